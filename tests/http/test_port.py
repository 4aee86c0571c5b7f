"""Who may come in at a port, and who has to go."""

import hypothesis
import pytest
from hypothesis import strategies as st

from server.http.port import (
    RESERVED_DESCRIPTORS,
    SPARE_CONNECTIONS,
    HttpPort,
    Place,
    connection_limit,
    host_of,
)
from server.settings import Settings
from tests.support.quiet_client import QuietClient


@hypothesis.given(st.integers(1, 1 << 20), st.integers(1, 1 << 20))
def test_connections_leave_descriptors_for_the_rest(wanted: int, descriptors: int) -> None:
    """All connections together, the spare ones too, leave the reserve, if there is that much."""
    limit = connection_limit(wanted, descriptors)

    assert 1 <= limit <= wanted
    assert limit == 1 or limit + SPARE_CONNECTIONS + RESERVED_DESCRIPTORS <= descriptors


def test_places_are_given_in_order_and_given_back() -> None:
    """First the ordinary places, then the spare ones, then none; who leaves makes room."""
    port = HttpPort(Settings(max_connections=2))
    clients = [QuietClient() for _ in range(2 + SPARE_CONNECTIONS + 1)]
    places = [port.enter(client, "10.0.0.1") for client in clients]
    for client in clients[1:]:
        port.leave(client, "10.0.0.1")

    assert places == [Place.ORDINARY] * 2 + [Place.SPARE] * SPARE_CONNECTIONS + [Place.NONE]
    assert port.enter(QuietClient(), "10.0.0.1") is Place.ORDINARY
    assert len(port.connections) == 2


def test_one_address_may_be_held_to_a_share() -> None:
    """Connections beyond those of one address get no place; others are not touched."""
    port = HttpPort(Settings(max_connections_per_address=2))
    one, other = "10.0.0.1", "fe80::1"
    clients = [QuietClient() for _ in range(3)]
    places = [port.enter(client, one) for client in clients]
    others = [port.enter(QuietClient(), address) for address in (other, "")]
    for client in clients[1:]:
        port.leave(client, one)

    assert places == [Place.ORDINARY] * 2 + [Place.NONE]
    assert others == [Place.ORDINARY] * 2
    assert port.enter(QuietClient(), one) is Place.ORDINARY


@pytest.mark.parametrize(
    ("unread", "cut_off"),
    [
        ([], []),
        ([1 << 19, 1 << 19], [False, False]),
        ([1 << 18, 1 << 20, 1 << 18], [False, True, False]),
        ([(1 << 20) + 1], [True]),
        ([3 << 18, 4 << 18, 5 << 18], [False, True, True]),
    ],
)
def test_who_holds_most_is_cut_off(unread: list[int], cut_off: list[bool]) -> None:
    """What waits for slow readers is held to what may be in flight, at the cost of the largest."""
    port = HttpPort(Settings(max_in_flight_bytes=1 << 20))
    clients = [QuietClient(size) for size in unread]
    port.connections |= set(clients)
    port.sweep(1.0)

    assert [client.is_cut_off for client in clients] == cut_off


@pytest.mark.parametrize(
    ("peer", "address"),
    [(("10.0.0.1", 1), "10.0.0.1"), (("fe80::1", 1, 0, 0), "fe80::1"), ("", ""), (None, "")],
)
def test_the_address_of_a_client_is_that_of_its_machine(peer: object, address: str) -> None:
    """Its port counts for nothing; who has none, on Unix sockets say, shares one."""
    assert host_of(peer) == address
