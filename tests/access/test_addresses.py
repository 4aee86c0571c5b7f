"""What counts as one address."""

import pytest

from server.access.addresses import group


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_host_is_one_address_whichever_it_uses(address: str, expected: str) -> None:
    """All of an IPv6 network of 64 bits is one; what is no address is itself, and short."""
    assert group(address) == expected
