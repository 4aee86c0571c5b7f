"""Connections byte by byte, for what no HTTP library would send."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class RawAnswer:
    """One answer as it came."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header field."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.lower().encode():
                return value.strip().decode()
        return None


class RawConnection:
    """A client that sends what it is told and reads whole answers."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.link.sendall(data)

    def read(self, *, has_body: bool = True) -> RawAnswer:
        """Read one answer; ConnectionError if there is none. Answers to HEAD have no body."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        answer = RawAnswer(status, head, b"")
        length = int(answer.header("content-length") or 0) if has_body else 0
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return RawAnswer(status, head, body)

    def read_to_end(self) -> bytes:
        """Read until the server closes."""
        with contextlib.suppress(ConnectionError):
            while True:
                self._more()
        rest, self._buffer = self._buffer, b""
        return rest

    def is_closed(self) -> bool:
        """Wait until the server closes; nothing may come before."""
        return self.read_to_end() == b""

    def _more(self) -> None:
        piece = self.link.recv(65536)
        if not piece:
            raise ConnectionError("closed by the server")
        self._buffer += piece


@contextlib.contextmanager
def connected(url: str, timeout: float = 60.0) -> Iterator[RawConnection]:
    """Connect to a server."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    with socket.create_connection((parts.hostname, parts.port), timeout) as link:
        yield RawConnection(link)


def post(path: str, body: bytes, *headers: str, version: str = "HTTP/1.1") -> bytes:
    """Return the bytes of a POST."""
    lines = [f"POST {path} {version}", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def get(path: str, *headers: str) -> bytes:
    """Return the bytes of a GET."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers]).encode() + b"\r\n\r\n"
