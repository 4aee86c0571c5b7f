"""Clients that shake hands: they have places as everybody else, and give them back."""

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from server.http.handshakes import TlsListener
from server.http.port import SPARE_CONNECTIONS
from tests.support.asking import AFFINE, check_nothing_left, error_of, infer_body, leftovers
from tests.support.authority import Authority
from tests.support.dataplane import InProcessWorker, plan
from tests.support.gateway import eventually
from tests.support.models import affine
from tests.support.raw import RawConnection, connected, get, post

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
HEALTH = get("/v2/health/live")
PATIENT: dict[str, Any] = {"header_timeout_seconds": 600}

Start = Callable[..., AbstractContextManager[InProcessWorker]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs for the workers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start(tmp_path: Path, authority: Authority) -> Start:
    """Start a worker that speaks TLS and has one model."""
    cert, key = map(str, authority.sign("server", HERE))
    (tmp_path / "affine.onnx").write_bytes(affine())

    def begin(**settings: Any) -> InProcessWorker:
        plans = {"affine": plan(tmp_path / "affine.onnx")}
        return InProcessWorker(tmp_path, plans, tls_cert=cert, tls_key=key, **settings)

    return begin


def shaken(link: socket.socket, authority: Authority) -> RawConnection:
    """Do the handshake on a connection."""
    context = ssl.create_default_context(cafile=str(authority.path))
    return RawConnection(context.wrap_socket(link, server_hostname="127.0.0.1"))


@contextlib.contextmanager
def secure(worker: InProcessWorker, authority: Authority) -> Iterator[RawConnection]:
    """Connect with TLS; ConnectionError if that is refused."""
    with socket.create_connection(("127.0.0.1", worker.port), 60) as link:
        client = shaken(link, authority)
        with client.link:
            yield client


def is_healthy(worker: InProcessWorker, authority: Authority) -> bool:
    """Ask for health on a connection of its own."""
    with secure(worker, authority) as client:
        client.send(HEALTH)
        return client.read().status == 200


def crowd(worker: InProcessWorker, stack: contextlib.ExitStack, size: int) -> None:
    """Open connections that never say hello, and wait until the worker has them."""
    for _ in range(size):
        stack.enter_context(connected(worker.url))
    eventually(lambda: leftovers(worker)["connections"] == size)


def test_who_never_says_hello_takes_a_place(start: Start, authority: Authority) -> None:
    """Beyond the limit, health is answered and all else refused; beyond that, nobody is heard."""
    with start(max_connections=2, **PATIENT) as worker:
        check_nothing_left(worker)
        with contextlib.ExitStack() as stack:
            crowd(worker, stack, 2)
            with secure(worker, authority) as client:
                client.send(HEALTH)
                assert client.read().status == 200
            with secure(worker, authority) as client:
                client.send(post(AFFINE, infer_body([[1, 2, 3]])))
                assert error_of(client.read()) == (503, "too_many_connections")
            eventually(lambda: leftovers(worker)["connections"] == 2)
        check_nothing_left(worker)
        with contextlib.ExitStack() as stack:
            for _ in range(2 + SPARE_CONNECTIONS):
                stack.enter_context(connected(worker.url))
            with connected(worker.url) as one_more:
                assert one_more.is_closed()
        check_nothing_left(worker)


def test_a_handshake_and_its_connection_are_one(start: Start, authority: Authority) -> None:
    """Where an address may have one connection, the handshake does not count beside it."""
    with start(max_connections_per_address=1) as worker:
        # The connection by which the worker's start was seen may still hold the one place.
        eventually(lambda: is_healthy(worker, authority))
        check_nothing_left(worker)
        with secure(worker, authority) as client:
            client.send(HEALTH)
            assert client.read().status == 200
            with connected(worker.url) as other:
                assert other.is_closed()
            client.send(HEALTH)
            assert client.read().status == 200
        check_nothing_left(worker)
        assert is_healthy(worker, authority)


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02\x00\x01", HEALTH, b"\x80" * 400])
def test_a_handshake_that_fails_gives_its_place_back(start: Start, hello: bytes) -> None:
    """Whether the client leaves, or says what is none."""
    with start(**PATIENT) as worker:
        check_nothing_left(worker)
        for _ in range(3):
            with connected(worker.url) as client:
                eventually(lambda: leftovers(worker)["connections"] == 1)
                client.send(hello)
        check_nothing_left(worker)


def test_who_shakes_hands_when_the_worker_stops_is_still_answered(
    start: Start, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came before the end: like a request that is on its way on an idle connection."""
    monkeypatch.setattr("server.http.handshakes.QUIET_SECONDS", 30.0)
    with start(**PATIENT) as worker:
        check_nothing_left(worker)
        with socket.create_connection(("127.0.0.1", worker.port), 60) as link:
            eventually(lambda: leftovers(worker)["connections"] == 1)
            worker.stop()
            eventually(lambda: is_refused(worker))
            client = shaken(link, authority)
            with client.link:
                client.send(HEALTH)
                answer = client.read()
                assert (answer.status, answer.header("connection")) == (200, "close")
    assert worker.exit_code == 0


def test_who_never_says_hello_does_not_hold_up_the_end(start: Start) -> None:
    """It has the time that idle connections have."""
    with contextlib.ExitStack() as stack:
        with start(drain_timeout_seconds=600, **PATIENT) as worker:
            check_nothing_left(worker)
            stack.enter_context(connected(worker.url))
            eventually(lambda: leftovers(worker)["connections"] == 1)
        assert worker.exit_code == 0


def is_refused(worker: InProcessWorker) -> bool:
    """Whether the worker listens no more."""
    try:
        socket.create_connection(("127.0.0.1", worker.port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


class Exhausted(socket.socket):
    """A listening socket whose first connections find no descriptor."""

    failures = 3

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "no descriptor is left")
        return super().accept()


def test_who_finds_no_descriptor_is_accepted_later() -> None:
    """It waits in the kernel; nothing turns meanwhile, and others are accepted after it."""

    async def accept_two() -> list[str]:
        addresses: list[str] = []

        def begin(link: socket.socket, address: str) -> None:
            link.close()
            addresses.append(address)
            if len(addresses) == 2:
                both.set()

        both = asyncio.Event()
        with Exhausted() as bound, contextlib.ExitStack() as stack:
            bound.bind(("127.0.0.1", 0))
            listener = TlsListener(bound, 5, begin)
            for _ in range(2):
                stack.enter_context(socket.create_connection(bound.getsockname()))
            await both.wait()
            listener.close()
            await listener.wait_closed()
            assert bound.failures == 0
        return addresses

    assert asyncio.run(accept_two()) == ["127.0.0.1"] * 2
