"""Connections of a port that speaks TLS, from when they are accepted until their handshake is done.

Decides that whoever shakes hands has a place at the port like everybody else, and for how long. The
event loop's own server tells of a connection only when its handshake is done: those who never
finish it would take descriptors and memory that no limit has seen.

Whoever gets no place is let go at once: without a handshake nobody can be told why.

Concurrency: event loop only.
Lifetime: of the listener, the server's; of a handshake, until its connection begins or its time is
over.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

from uvicorn.server import ServerState

from server.errors import TooManyConnections
from server.http.port import QUIET_SECONDS, SPARE_SECONDS, HttpPort, Place, host_of

_RETRY_SECONDS = 0.1
"""Between two attempts to accept when no descriptor is left."""

Connect = Callable[[], asyncio.Protocol]


class Handshake(asyncio.Protocol):
    """A client that has been accepted, until its connection takes its place."""

    def __init__(
        self,
        port: HttpPort,
        state: ServerState,
        connect: Connect,
        link: socket.socket,
        address: str,
    ) -> None:
        self._port = port
        self._state = state
        self._connect = connect
        self._link = link
        self._address = address
        self._task: asyncio.Task[None] | None = None
        self._is_over = False

    def begin(self, context: ssl.SSLContext) -> None:
        """Take a place and shake hands; if there is none, end the connection."""
        self._state.connections.add(self)  # type: ignore[arg-type]
        place = self._port.enter(self, self._address)
        if place is Place.NONE:
            self._port.refused(TooManyConnections.code)
            self._leave()
            self._link.close()
            return
        seconds = self._port.settings.header_timeout_seconds
        if place is Place.SPARE:
            seconds = min(seconds, SPARE_SECONDS)
        self._task = asyncio.get_running_loop().create_task(self._run(context, seconds))

    async def _run(self, context: ssl.SSLContext, seconds: float) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self, self._link, ssl=context, ssl_handshake_timeout=seconds
            )
        except OSError:
            pass  # It has left, it took too long, or what it said was no handshake.
        finally:
            self._leave()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make way for the connection."""
        self._leave()
        connection = self._connect()
        transport.set_protocol(connection)
        connection.connection_made(transport)

    def _leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._port.leave(self, self._address)
            self._state.connections.discard(self)

    # What the port and uvicorn ask of everybody who has a place.

    def check_time(self, now: float) -> None:
        """Do nothing: the event loop keeps the time of handshakes."""

    def unread_bytes(self, now: float) -> int:
        """Return 0: nothing has been answered yet."""
        del now
        return 0

    def cut_off(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()

    def shutdown(self) -> None:
        """Leave it the time that idle connections have; uvicorn calls this when it stops."""
        asyncio.get_running_loop().call_later(QUIET_SECONDS, self.cut_off)


class TlsListener:
    """Accepts the connections of a bound socket; for uvicorn, in place of the loop's own server."""

    def __init__(
        self,
        bound: socket.socket,
        backlog: int,
        begin: Callable[[socket.socket, str], None],
    ) -> None:
        """Listen, and tell `begin` each connection and the address that it comes from."""
        bound.setblocking(False)
        bound.listen(backlog)
        self._bound = bound
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        """Take one connection; the loop calls again, after all else, if more are waiting."""
        try:
            link, peer = self._bound.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # No descriptor is left, say: those who wait can wait in the kernel.
            self._loop.remove_reader(self._bound)
            self._again = self._loop.call_later(_RETRY_SECONDS, self._listen)
            return
        link.setblocking(False)
        self._begin(link, host_of(peer))

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._bound)
        if self._again is not None:
            self._again.cancel()

    async def wait_closed(self) -> None:
        """Return at once: that is so."""
