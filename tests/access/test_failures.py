"""How often an address may fail."""

from hypothesis import given
from hypothesis import strategies as st

from server.access.failures import BURST, MAX_ADDRESSES, Failures


def test_ten_failures_are_answered_then_one_a_second() -> None:
    """Who mistypes a key is told so; who guesses is slowed down."""
    failures = Failures()

    assert [failures.note("10.0.0.1", 0.0) for _ in range(BURST + 1)] == [False] * BURST + [True]
    assert failures.is_over("10.0.0.1", 0.9)
    assert not failures.is_over("10.0.0.1", 1.0)
    assert not failures.note("10.0.0.1", 1.0)
    assert failures.note("10.0.0.1", 1.0)
    assert not failures.is_over("10.0.0.2", 1.0)


def test_one_host_has_a_whole_network_of_ipv6() -> None:
    """It must not begin anew with each address of it; IPv4 in IPv6 is IPv4."""
    failures = Failures()
    for number in range(BURST):
        failures.note(f"2001:db8::{number:x}", 0.0)
        failures.note("::ffff:10.0.0.1", 0.0)

    assert failures.is_over("2001:db8::ffff", 0.0)
    assert not failures.is_over("2001:db8:0:1::1", 0.0)
    assert failures.is_over("10.0.0.1", 0.0)


@given(st.lists(st.text(max_size=80), max_size=20))
def test_whatever_an_address_is_it_is_counted(addresses: list[str]) -> None:
    """A Unix socket has none; nothing raises."""
    failures = Failures()
    for address in addresses:
        failures.note(address, 0.0)

    assert len(failures) <= len(set(addresses))


def test_the_table_has_a_bound() -> None:
    """The address that failed longest ago goes; time that runs backwards gives nothing."""
    failures = Failures()
    for number in range(MAX_ADDRESSES + 5):
        for _ in range(BURST):
            failures.note(f"a{number}", 10.0)

    assert len(failures) == MAX_ADDRESSES
    assert not failures.is_over("a0", 10.0)
    assert failures.is_over("a9", 5.0)
