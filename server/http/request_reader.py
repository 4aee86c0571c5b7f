"""From the bytes of a connection to complete requests.

Decides what is a request we may read: sizes of headers, target and body, one Host, a version of
1.0 or 1.1, framing that nobody can read in two ways. Collects each request whole, then tells the
connection, which finds its parts in the reader's public attributes until the call returns. Does
not know routes or answers.

The parser is httptools; what it lets through and we do not is checked here (two Hosts, HTTP/0.9,
`Transfer-Encoding: gzip, chunked`, Transfer-Encoding in HTTP/1.0).

Concurrency: event loop only.
"""

from collections import deque
from typing import Any, Final, Protocol

import httptools

from server.engine.admission import Budget
from server.errors import (
    BadHttp,
    HeadersTooLarge,
    MemoryBudget,
    PayloadTooLarge,
    RequestTimeout,
    TidegateError,
    UrlTooLong,
)
from server.http.asgi_scope import asgi_scope
from server.http.framing import HOST, KINDS, LENGTH, NOTED, SPECIAL, body_length, special_fields
from server.http.repeated_head import RepeatedHead
from server.protocol.http_answer import Headers
from server.protocol.request_headers import CONTENT_ENCODING
from server.settings import Settings

# Where in a request the connection is. Plain integers: an Enum costs a microsecond a request.
IDLE: Final = 0
HEADERS: Final = 1
BODY: Final = 2

_SMALL_BODY_BYTES = 64 << 10
"""Bodies up to this size are reserved in the budget only as far as they have arrived in part."""

MAX_AT_ONCE = 1024
"""Requests in one piece of the stream; beyond it somebody wants to keep us busy, not an answer."""

MAX_CHUNKS = 1 << 16
"""Chunks of one body; beyond it somebody sends single bytes to keep us busy."""

_CHUNK_BYTES = 16
"""Bytes around a chunk that are nobody's fault: its size and the ends of its lines."""
_NO_ROOM = "too many request bytes are in flight"


class Listener(Protocol):
    """Who is told of requests."""

    def request_begun(self) -> None:
        """The first piece of a request has come, and there will be more."""

    def expect_continue(self) -> None:
        """A client waits for 100 Continue."""

    def request_complete(self) -> None:
        """A request has arrived whole."""


class RequestReader:
    """Read one connection's requests."""

    def __init__(self, listener: Listener, settings: Settings, budget: Budget) -> None:
        self.phase = IDLE
        # The request that is being read, or that has just been read.
        self.method = b""
        self.url = b""
        self.http_version = "1.1"
        self.headers: Headers = []
        self.has_noted = False  # A header is among those that an inference cares about.
        self.is_repeated = False  # All headers but the length are those of the request before.
        self.is_encoded = False  # The body has a Content-Encoding.
        self.keep_alive = True
        self.body: bytes | bytearray = b""
        # How it is read.
        self._listener = listener
        self._settings = settings
        self._small_body_bytes = min(_SMALL_BODY_BYTES, settings.max_body_bytes)
        self._max_header_bytes = settings.max_header_bytes
        self._max_headers = settings.max_headers
        self._max_url_bytes = settings.max_url_bytes
        self._budget = budget
        self._parser = httptools.HttpRequestParser(self)
        self._since = 0.0
        self._clock = 0.0
        self._has_begun = False
        self._is_special = False
        self._body_bytes = 0
        self._offers_upgrade = False
        self._last_head = RepeatedHead(settings.max_body_bytes)
        self._length = b""  # The digits of the Content-Length in `headers`.
        self._fields: Headers | deque[tuple[bytes, bytes]] = []
        self._raw_bytes = 0
        """What has come of the headers, or of the body and its framing, after their first piece."""
        self._chunks = 0
        self._begun = 0
        """Requests that begin in the piece which is being read."""
        self._reserved = 0

    def feed(self, data: bytes, clock: float) -> TidegateError | None:
        """Read a chunk; return the error that makes the rest of the connection unreadable."""
        self._clock = clock
        is_new = self.phase == IDLE
        if is_new:
            body = self._last_head.body_of(data) if self.keep_alive else None
            if body is not None:
                self._repeated(body, self._last_head.length)
                return None
        else:
            # What never ends (a field, a chunk's extension) is not told to us: count what comes.
            self._raw_bytes += len(data)
        self._begun = 0
        try:
            self._feed_all(data)
        except httptools.HttpParserCallbackError as wrapped:
            error = wrapped.__context__
            if isinstance(error, TidegateError):
                # Its traceback leads to this very frame, which holds it: one circle more.
                return error.with_traceback(None)
            raise
        except httptools.HttpParserError:
            return BadHttp("the bytes are not a valid HTTP/1.1 request")
        if self.phase != IDLE:
            return self._check_unfinished()
        if is_new and not self._is_special:
            self._last_head.remember(data, self._body_bytes)
        return None

    def _repeated(self, body: bytes, length: bytes) -> None:
        """Take a request that is the last one again, but for its body."""
        if length != self._length:
            self._length = length
            # A new list, because whoever was given the last one may still read it.
            self.headers = [(n, length if n == b"content-length" else v) for n, v in self.headers]
        self.is_repeated = True
        self.body = body
        self._since = self._clock
        self._listener.request_complete()
        self.body = b""

    def _check_unfinished(self) -> TidegateError | None:
        """Refuse headers without end and chunks that are mostly framing; reserve what has come."""
        if self._begun:
            self._listener.request_begun()
        if self._raw_bytes > self._max_header_bytes:
            if self.phase == HEADERS:
                return self._headers_too_large()
            framing = self._raw_bytes - len(self.body)
            if framing > self._max_header_bytes + _CHUNK_BYTES * self._chunks:
                return BadHttp("the chunks of the body have too many bytes around them")
        is_held = len(self.body) <= self._reserved or self._reserve(len(self.body))
        return None if is_held else MemoryBudget(_NO_ROOM)

    def _feed_all(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # An offer to change the protocol may be ignored (RFC 9110 §7.8). But the parser
                # takes what follows the headers for the other protocol, even a body, and a body
                # must never be read as a request: read this request again, without the offer.
                again = self._head_without_offer() if self._offers_upgrade else b""
                self._offers_upgrade = False
                self._parser = httptools.HttpRequestParser(self)
                data = again + data[upgrade.args[0] :]

    def _head_without_offer(self) -> bytes:
        version = self.http_version.encode()
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def close(self) -> None:
        """Give back what a half-read request has reserved; nothing may be read after this."""
        self._release()
        del self._parser, self._listener  # They hold the reader: circles wait for the collector.

    def mark(self, now: float) -> None:
        """Start the time of idleness anew."""
        if self.phase == IDLE:
            self._since = now

    def overdue(self, now: float) -> TidegateError | None:
        """Return an error if a request has been arriving for too long."""
        waited = now - self._since
        if self.phase == HEADERS and waited > self._settings.header_timeout_seconds:
            return RequestTimeout("the request's headers did not arrive in time")
        if self.phase == BODY and waited > self._settings.body_timeout_seconds:
            return RequestTimeout("the request's body did not arrive in time")
        return None

    def is_quiet(self, now: float, seconds: float) -> bool:
        """Whether there has been no request for that long."""
        return self.phase == IDLE and now - self._since >= seconds

    def is_idle_too_long(self, now: float) -> bool:
        """Whether the connection has been without a request for too long."""
        settings = self._settings
        limit = settings.keep_alive_seconds if self._has_begun else settings.header_timeout_seconds
        return self.phase == IDLE and now - self._since > limit

    def scope(self, **more: Any) -> dict[str, Any]:
        """Return the ASGI scope of the request that has just been read; see `asgi_scope`."""
        scope = asgi_scope(self.method, self.url, self.http_version, self.headers)
        return {**scope, **more}

    # What the parser tells.

    def on_message_begin(self) -> None:
        """Start a new request."""
        self._begun += 1
        if self._begun > MAX_AT_ONCE:
            raise BadHttp(f"{MAX_AT_ONCE} requests may be sent at once on one connection")
        self.phase = HEADERS
        self.url = b""
        self.body = b""
        self._fields = []
        self._since = self._clock
        self._has_begun = True
        self._raw_bytes = 0
        self.is_repeated = False
        self._last_head.forget()

    def on_url(self, url: bytes) -> None:
        """Take the target, or a piece of it."""
        self.url += url
        if len(self.url) > self._max_url_bytes:
            raise UrlTooLong(f"the target may have {self._max_url_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field."""
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check everything that the headers decide."""
        self.headers = headers = list(self._fields)
        self._fields = deque(maxlen=0)  # Fields after the body (trailers) are not used.
        size = len(self.url) + 4 * len(headers)
        kinds = []
        length = 0
        for name, value in headers:
            size += len(name) + len(value)
            kind = KINDS.get(name)
            if kind is not None:
                kinds.append(kind)
                if kind == LENGTH:
                    self._length = value
                    length = body_length(value)
        if size > self._max_header_bytes or len(headers) > self._max_headers:
            raise self._headers_too_large()
        self._check_version(kinds.count(HOST))
        self.has_noted = NOTED in kinds
        self.is_encoded = False
        self.phase = BODY
        self._since = self._clock
        self._raw_bytes = 0
        is_waiting = False
        self._is_special = SPECIAL in kinds or kinds.count(LENGTH) > 1
        if self._is_special:
            is_waiting = self._check_special(headers)
        if length > self._small_body_bytes:
            self._check_size(length)
        if is_waiting:
            self._listener.expect_continue()

    def _check_version(self, hosts: int) -> None:
        self.http_version = version = self._parser.get_http_version()
        if version == "1.1":
            if hosts != 1:
                raise BadHttp(f"a request needs one Host header, got {hosts}")
        elif version != "1.0":
            raise BadHttp(f"HTTP/{version} is not spoken here; HTTP/1.1 and 1.0 are")

    def _check_special(self, headers: Headers) -> bool:
        """Check how the body is framed; return whether the client waits for 100 Continue."""
        is_new = self.http_version == "1.1"
        special = special_fields(headers, is_new=is_new)
        self.is_encoded = CONTENT_ENCODING in special
        self._chunks = 0
        if b"upgrade" in special and self._parser.should_upgrade():
            self._offers_upgrade = True
            return False
        return is_new and special.get(b"expect", [])[:1] == [b"100-continue"]

    def on_chunk_header(self) -> None:
        """Count a chunk; bodies with a Content-Length have none."""
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise BadHttp(f"a body may come in {MAX_CHUNKS} chunks")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if not self.body:
            self.body = body
            if len(body) > self._small_body_bytes:
                self._check_size(len(body))
            return
        if isinstance(self.body, bytes):
            self.body = bytearray(self.body)
        self.body += body
        self._check_size(len(self.body))

    def on_message_complete(self) -> None:
        """Tell the connection of the whole request."""
        if self._offers_upgrade:
            return
        parser = self._parser
        self.method = parser.get_method()
        self.keep_alive = self.http_version == "1.1" and parser.should_keep_alive()
        self.phase = IDLE
        self._since = self._clock
        if self._reserved:
            self._release()
        self._body_bytes = len(self.body)
        self._listener.request_complete()
        self.body = b""  # An idle connection must not hold the memory of its last request.

    def _check_size(self, size: int) -> None:
        """Refuse a body that is too large, or for which there is no room at the moment."""
        limit = self._settings.max_body_bytes
        if size > limit:
            raise PayloadTooLarge(f"the body may have {limit} bytes")
        if size > max(_SMALL_BODY_BYTES, self._reserved) and not self._reserve(size):
            raise MemoryBudget(_NO_ROOM)

    def _reserve(self, size: int) -> bool:
        """Have that much of the budget for the body; False if there is not enough."""
        is_held = self._budget.take(size - self._reserved)
        if is_held:
            self._reserved = size
        return is_held

    def _release(self) -> None:
        self._budget.give_back(self._reserved)
        self._reserved = 0

    def _headers_too_large(self) -> HeadersTooLarge:
        return HeadersTooLarge(
            f"a request may have {self._settings.max_header_bytes} header bytes "
            f"in {self._settings.max_headers} fields"
        )
