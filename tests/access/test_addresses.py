"""What counts as one address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.access.addresses import group


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_host_counts_once(address: str, expected: str) -> None:
    """It has a whole network of IPv6, and IPv4 in IPv6 is IPv4; a Unix socket has no address."""
    assert group(address) == expected


@given(st.text(max_size=200))
def test_whatever_an_address_is_it_counts_as_something(address: str) -> None:
    """Nothing raises, and nothing long is kept."""
    assert len(group(address)) <= 64
