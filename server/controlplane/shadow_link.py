"""Control's end of the socket to the shadow process.

Decides how much may wait to be sent: beyond it, what is newest is not sent. There is one shadow
process; if another one comes, it takes the place of the one before. Does not know what messages
mean.

Concurrency: event loop only.
Lifetime: `listen` is called once; connections come and go.
"""

import asyncio
from typing import Protocol

from server.controlplane.unix_port import UnixPort
from server.wire.frames import FrameReader, Kind, frame

MAX_WAITING_BYTES = 4 << 20
"""Bytes of mirrored records that may wait in the socket."""


class Listener(Protocol):
    """Who is told what shadow says."""

    def shadow_came(self) -> None:
        """A shadow process has connected."""

    def shadow_said(self, kind: Kind, payload: memoryview) -> None:
        """It sent a message."""

    def shadow_left(self) -> None:
        """It is gone."""


class _Stream(asyncio.Protocol):
    """One connection."""

    def __init__(self, link: "ShadowLink") -> None:
        self.transport: asyncio.Transport | None = None
        self._link = link
        self._reader = FrameReader()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._link.joined(self)

    def data_received(self, data: bytes) -> None:
        for kind, payload in self._reader.feed(data):
            self._link.listener.shadow_said(kind, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._link.lost(self)


class ShadowLink:
    """The connection to the shadow process, whichever it is at the moment."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._stream: _Stream | None = None
        self.port = UnixPort(lambda: _Stream(self))
        """Where the shadow process finds control."""

    async def listen(self, path: str) -> asyncio.Server:
        """Accept the shadow process at `path`."""
        return await self.port.open(path)

    @property
    def is_connected(self) -> bool:
        """Whether there is a shadow process."""
        return self._stream is not None

    def send(self, kind: Kind, *parts: bytes | memoryview) -> bool:
        """Send a message; False if there is nobody to send it to."""
        transport = self._stream.transport if self._stream is not None else None
        if transport is None or transport.is_closing():
            return False
        transport.write(frame(kind, *parts))
        return True

    @property
    def is_full(self) -> bool:
        """Whether so much waits that a record must not be sent."""
        transport = self._stream.transport if self._stream is not None else None
        return transport is not None and transport.get_write_buffer_size() > MAX_WAITING_BYTES

    def joined(self, stream: _Stream) -> None:
        """A shadow process has connected."""
        before, self._stream = self._stream, stream
        if before is not None and before.transport is not None:
            before.transport.abort()
            self.listener.shadow_left()
        self.listener.shadow_came()

    def lost(self, stream: _Stream) -> None:
        """A connection has ended."""
        if stream is self._stream:
            self._stream = None
            self.listener.shadow_left()
