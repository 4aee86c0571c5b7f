"""Where the webhook may be posted to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.access.posting import is_public, is_this_machine


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    """Of either version."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.1.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a9fe:a9fe",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
        "example.com",
        "",
    ],
)
def test_addresses_around_us_are_not(address: str) -> None:
    """Those of this machine, its neighbours, all machines, or another version's in disguise."""
    assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_no_more_public_than_itself(address: object) -> None:
    """Mapped into IPv6 it is what it was; through a tunnel it never counts."""
    assert is_public(f"::ffff:{address}") == is_public(str(address))
    assert not is_public(f"64:ff9b::{address}")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_an_operator_may_mean_this_machine(host: str) -> None:
    """A receiver beside the gateway needs no setting."""
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "10.0.0.1", "127.0.0.1.nip.io", ""])
def test_what_only_leads_to_it_does_not_mean_it(host: str) -> None:
    """Such names are chosen by somebody else, or hide what they are."""
    assert not is_this_machine(host)
