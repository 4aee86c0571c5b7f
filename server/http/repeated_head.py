"""Recognize a request whose head is the last one's, without asking the parser.

A client sends the same head again and again on its connection, with another length at most. A chunk
that repeats the last head byte for byte, but for the digits of its length, and then holds just that
many bytes, is one whole request, and all that its head says is known. That saves most of the price
of reading a request.

Decides whether a chunk is such a request. Does not know what heads say: its owner remembers only
heads that the parser has read, of requests with nothing special to them.

Concurrency: event loop only.
Lifetime: the connection's.
"""

import re

_LENGTH_FIELD = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,6})\r\n", re.IGNORECASE)
_MAX_DIGITS = 6
_MAX_HEADS = 8
"""Heads to remember one after the other. A client that changes its head all the time (a request id
in it, say) gains nothing from this, and is soon left alone."""


class RepeatedHead:
    """The head of a connection's last request, cut at the digits of its length."""

    def __init__(self, max_body_bytes: int) -> None:
        self.length = b""
        """The digits of the last request's length."""
        self._max_body_bytes = max_body_bytes
        self._before = b""
        self._after = b""
        self._heads = 0

    def forget(self) -> None:
        """Recognize nothing until another head has been remembered."""
        self._before = b""

    def body_of(self, chunk: bytes) -> bytes | None:
        """Return the body of the request that `chunk` is, if its head is the remembered one."""
        before, after = self._before, self._after
        if not before or not chunk.startswith(before):
            return None
        start = len(before)
        end = chunk.find(b"\r", start, start + _MAX_DIGITS + 1)
        length = chunk[start:end]
        if end < 0 or not length.isdigit() or not chunk.startswith(after, end):
            return None
        body_at = end + len(after)
        body_bytes = len(chunk) - body_at
        if body_bytes != int(length) or body_bytes > self._max_body_bytes:
            return None
        self.length = length
        return chunk[body_at:]

    def remember(self, chunk: bytes, body_bytes: int) -> None:
        """Keep the head of the one request that `chunk` is; the parser gave its body's length."""
        if self._heads >= _MAX_HEADS:
            return
        self._heads += 1
        head_bytes = chunk.find(b"\r\n\r\n") + 4
        field = _LENGTH_FIELD.search(chunk, 0, head_bytes)
        # What looks like a head may be less or more than what the parser took for one.
        if field is None or not body_bytes == len(chunk) - head_bytes == int(field[1]):
            return
        start, end = field.span(1)
        self._before, self._after = chunk[:start], chunk[end:head_bytes]
        self.length = field[1]
