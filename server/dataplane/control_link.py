"""The worker's end of the socket to control: connect, stay connected, send, receive.

Decides when to try again and when a message cannot be taken. Predictions go on whatever happens
here. Does not know what messages mean.

Concurrency: event loop only.
Lifetime: `run` is one task for the life of the worker.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from server.wire.frames import MAX_PAYLOAD_BYTES, FrameReader, Kind, frame

log = structlog.get_logger()

MAX_PENDING_BYTES = 4 << 20
"""Bytes that may wait in the socket; beyond it, messages that may be dropped are."""

_RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


class _Stream(asyncio.Protocol):
    """One connection to control."""

    def __init__(self, on_frame: Callable[[Kind, memoryview], None]) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self.has_spoken = False
        """Whether control has said anything that could be understood."""
        self._on_frame = on_frame
        self._reader = FrameReader()

    def data_received(self, data: bytes) -> None:
        for kind, payload in self._reader.feed(data):
            self._on_frame(kind, payload)
            self.has_spoken = True

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.closed.done():
            self.closed.set_result(None)


class ControlLink:
    """The connection to control, whichever it is at the moment."""

    def __init__(
        self,
        path: str,
        *,
        on_frame: Callable[[Kind, memoryview], None],
        on_connected: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._path = path
        self._on_frame = on_frame
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None

    @property
    def is_connected(self) -> bool:
        """Whether control can be reached."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, kind: Kind, parts: Sequence[bytes | memoryview]) -> bool:
        """Send a message; False if there is no connection, or too much waits or comes at once."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > MAX_PENDING_BYTES:
            return False
        if sum(map(len, parts)) > MAX_PAYLOAD_BYTES:
            return False  # Control would cut the connection rather than read it.
        transport.write(frame(kind, *parts))
        return True

    async def run(self) -> None:
        """Keep a connection, for ever."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            try:
                transport, stream = await loop.create_unix_connection(
                    lambda: _Stream(self._on_frame), self._path
                )
            except OSError:
                pass  # Nobody listens: try again.
            else:
                await self._keep(transport, stream)
                # A control that only accepts is no better than none: the pauses go on growing.
                attempt = 0 if stream.has_spoken else attempt
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
            attempt += 1

    async def _keep(self, transport: asyncio.Transport, stream: _Stream) -> None:
        """Use a connection until it is lost."""
        self._transport = transport
        self._on_connected()
        try:
            await stream.closed
        finally:
            self._transport = None
            transport.close()
        log.warning("control_lost")
        self._on_lost()

    async def flush(self, timeout_seconds: float) -> None:
        """Wait until everything sent has left this process, but not longer than that."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while (  # noqa: ASYNC110
            self._transport is not None
            and self._transport.get_write_buffer_size()
            and loop.time() < deadline
        ):
            await asyncio.sleep(0.005)  # A transport tells nobody when it is empty.
