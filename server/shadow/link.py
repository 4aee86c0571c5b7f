"""The shadow process' end of the socket to control.

Decides how long to try to connect, and how to take no more: what is too much waits in the socket,
and control, which sees that, drops what is newest. Does not know what messages mean.

Concurrency: event loop only.
Lifetime: the process's. A connection that is lost is not made again: without control there is
nothing to do, and the supervisor starts a new process if one is wanted.
"""

import asyncio
from collections.abc import Callable

from server.wire.frames import FrameReader, Kind, frame

_TRIES = 100
_PAUSE_SECONDS = 0.1


class Link(asyncio.Protocol):
    """The connection."""

    def __init__(self, on_frame: Callable[[Kind, memoryview], None]) -> None:
        self.is_lost = asyncio.Event()
        self._on_frame = on_frame
        self._reader = FrameReader()
        self._transport: asyncio.Transport
        self._is_paused = False

    @classmethod
    async def connect(cls, path: str, on_frame: Callable[[Kind, memoryview], None]) -> "Link":
        """Connect to control, which may be on its way.

        Raises:
            OSError: it does not come.

        """
        loop = asyncio.get_running_loop()
        for attempt in range(_TRIES):
            try:
                _, link = await loop.create_unix_connection(lambda: cls(on_frame), path)
            except OSError:
                if attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return link
        raise OSError("never tried")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand each whole frame on."""
        for kind, payload in self._reader.feed(data):
            self._on_frame(kind, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        """Control is gone."""
        del exc
        self.is_lost.set()

    def send(self, kind: Kind, message: bytes) -> None:
        """Send a message, some time soon."""
        if not self._transport.is_closing():
            self._transport.write(frame(kind, message))

    async def sent(self) -> None:
        """Return when all that was sent has left this process, or cannot."""
        await asyncio.sleep(0)  # Writes are carried out at the end of a turn of the loop.
        while self._transport.get_write_buffer_size() and not self.is_lost.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # A transport tells nobody when it is empty.

    def may_read(self, *, is_wanted: bool) -> None:
        """Read on, or leave what comes in the socket."""
        if self._is_paused is not is_wanted or self._transport.is_closing():
            return
        self._is_paused = not is_wanted
        if is_wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
