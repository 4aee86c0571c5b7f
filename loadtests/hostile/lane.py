"""One connection of a client that sends what it likes and counts the answers that come back."""

import asyncio
import re
import socket
import struct
from collections import deque
from dataclasses import dataclass

import orjson

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    status: int
    head: bytes
    body: bytes

    @property
    def code(self) -> str:
        """The stable code of an error; empty for anything else."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return ""
        return str(found.get("code", "")) if isinstance(found, dict) else ""


class Lane(asyncio.Protocol):
    """A connection: bytes out, whole answers in. Answers to HEAD have no body; say so before."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.is_closed = False
        self.garbage = b""
        """Bytes that are no answer."""
        self.methods: deque[bytes] = deque()
        """Of the requests whose answers have not come."""
        self.transport: asyncio.Transport
        self._received = b""
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, port: int, host: str = "127.0.0.1") -> "Lane":
        """Connect."""
        _, lane = await asyncio.get_running_loop().create_connection(cls, host, port)
        return lane

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the socket."""
        self.transport = transport

    def send(self, data: bytes) -> None:
        """Send bytes, if the other side has not closed."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Cut what has come into answers."""
        self._received += data
        while self._take():
            pass
        self._wake()

    def _take(self) -> bool:
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return False
        matched = _STATUS.match(head)
        if matched is None:
            self.garbage, self._received = self._received, b""
            return False
        status, length = int(matched[1]), _LENGTH.search(head)
        is_final = status >= 200
        is_bare = is_final and bool(self.methods) and self.methods[0] == b"HEAD"
        size = 0 if length is None or is_bare else int(length[1])
        if len(rest) < size:
            return False
        self._received = rest[size:]
        if is_final:
            if self.methods:
                self.methods.popleft()
            self.answers.append(Answer(status, head, rest[:size]))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has closed."""
        del exc
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def reset(self) -> None:
        """Leave without a word: the other side is told that the connection is no more."""
        link = self.transport.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def wait(self, answers: int, seconds: float) -> bool:
        """Wait until that many answers have come or the connection is closed; False if neither."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while len(self.answers) < answers and not self.is_closed:
            self._waiter = loop.create_future()
            try:
                await asyncio.wait_for(self._waiter, until - loop.time())
            except TimeoutError:
                return False
        return True

    async def ask(self, request: bytes, seconds: float = 30.0) -> Answer | None:
        """Send a request and return its answer; None if there is none."""
        self.answers.clear()
        self.send(request)
        await self.wait(1, seconds)
        return self.answers.popleft() if self.answers else None
