"""A client asks at its own rate, whatever the answers take, and says how late it was."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from loadtests.shadowing.steady_load import CONNECTIONS, SteadyLoad

RATE = 400.0
BODY = b"row"


class Connection(asyncio.Protocol):
    """Answers each request as soon as its three bytes of body are there."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._server.connections += 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.partition(b"\r\n\r\n")[2] == BODY:
            self._received = b""
            answer = self._server.answer
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer)
            self._transport.write(head + answer)


class Server:
    """Answers on a thread of its own."""

    def __init__(self) -> None:
        self.answer = b"good"
        self.connections = 0
        self.port = 0
        self._is_over: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._is_open = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._is_open.wait(10.0)

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._is_over.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._is_over = asyncio.get_running_loop(), asyncio.Event()
        async with await self._loop.create_server(lambda: Connection(self), "127.0.0.1") as server:
            self.port = server.sockets[0].getsockname()[1]
            self._is_open.set()
            await self._is_over.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that is ended after the test."""
    one = Server()
    yield one
    one.close()


def test_every_request_of_a_window_is_in_it(server: Server) -> None:
    """About as many as the rate says, over connections that stay; a wrong answer is a failure."""
    url = f"http://127.0.0.1:{server.port}/"
    with SteadyLoad(url, BODY, b"good", RATE) as load:
        first = load.window(0.5)
        server.answer = b"bad"
        second = load.window(0.2)

    assert 0.5 * RATE * 0.5 < len(first.seconds) < 0.5 * RATE * 2.0
    assert len(first.sent_late) == len(first.seconds)
    assert not first.failures
    assert 0.0 < first.quantile(0.5) <= first.quantile(0.99)
    assert second.failures
    assert "bad" in second.failures[-1]
    assert server.connections == CONNECTIONS
