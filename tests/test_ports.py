"""Ports are taken so that nobody shares them unnoticed."""

import socket

import pytest

from server import ports


def test_a_free_port_is_taken_and_named() -> None:
    """Port 0 gives a port of the system's choice, which can then be asked for."""
    with ports.bind("127.0.0.1", 0) as bound:
        assert bound.getsockname() == ("127.0.0.1", ports.number_of(bound))


@pytest.mark.parametrize("shared", [False, True])
def test_a_taken_port_is_refused_with_its_address(shared: bool) -> None:
    """The error names the one address that cannot be had, and why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = ports.number_of(taken)

        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port}: Address already in use"):
            ports.bind("127.0.0.1", port, shared=shared)


def test_a_name_that_is_no_address_is_refused() -> None:
    """What cannot be looked up is said like any other reason."""
    with pytest.raises(OSError, match=r"no such host\.invalid:0: "):
        ports.bind("no such host.invalid", 0)


def test_a_shared_port_is_for_workers_and_for_no_other_gateway() -> None:
    """Sockets that ask for sharing may join a held port; a gateway that starts may not."""
    with ports.bind("127.0.0.1", 0, shared=True) as held, socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(held.getsockname())

        with pytest.raises(OSError, match="Address already in use"):
            ports.bind("127.0.0.1", ports.number_of(held), shared=True)


def test_connections_end_when_nothing_of_an_answer_is_taken() -> None:
    """What a listening socket is told holds for the connections that it accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports.give_up_after(listener, 1.5)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
                unsent = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
                assert unsent == 128 << 10
