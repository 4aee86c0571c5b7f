"""The bytes of hot answers: the short way and the general one, plain and compressed."""

import asyncio
import zlib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.dataplane.connection import DataConnection
from server.dataplane.exchanges import HotExchange
from server.dataplane.plane import Plane
from server.dataplane.routes import Routes
from server.dataplane.served import ServedVersion
from server.dataplane.targets import Target
from server.dataplane.telemetry import Telemetry
from server.errors import QueueFull
from server.protocol.answers import InferAnswer
from server.protocol.http_answer import origin_headers
from server.protocol.request_headers import InferHeaders
from server.settings import Settings

DATE = [(b"date", b"today")]


def target() -> Target:
    """Stand in for version 3 under generation 12."""
    return Target(cast("ServedVersion", None), origin_headers("3", 12))


class Line:
    """A connection of which exchanges see only what they need; it counts how often it advances."""

    def __init__(self) -> None:
        self.plane = Plane(
            Settings(compress_min_bytes=100),
            Routes(),
            Telemetry(0, lambda _kind, _parts: True, 0),
        )
        self.plane.telemetry.tag, self.plane.prediction_id_end = "ab12cd34", b"-ab12cd34"
        self.server_state = SimpleNamespace(default_headers=DATE)
        self.advanced = 0
        self.tasks: list[asyncio.Task[Any]] = []

    def advance(self) -> None:
        self.advanced += 1

    def keep(self, task: asyncio.Task[Any]) -> None:
        self.tasks.append(task)


def answered(
    answer: InferAnswer | Exception, headers: InferHeaders | None = None, *, close: bool = False
) -> bytes:
    """Return the bytes that an exchange makes of an answer, having let its line advance once."""

    async def play() -> bytes:
        line = Line()
        exchange = HotExchange(cast("DataConnection", line), close=close)
        exchange.target, exchange.number = target(), 0x5F1C
        if headers is not None:
            exchange.headers = headers
        exchange.answered(answer)
        if line.tasks:
            assert (exchange.response, line.advanced) == (None, 0)
            await line.tasks[0]
            await asyncio.sleep(0)
        assert line.advanced == 1
        assert exchange.response is not None
        return exchange.response

    return asyncio.run(play())


JSON = b"content-type: application/json\r\n"
ORIGIN = b"x-model-version: 3\r\nx-release-generation: 12\r\n"
SAID = ORIGIN + b"x-prediction-id: 5f1c-ab12cd34\r\n"


@pytest.mark.parametrize(
    ("answer", "headers", "close", "expected"),
    [
        (InferAnswer(b"{}"), None, False, JSON + b"content-length: 2\r\n" + SAID + b"\r\n{}"),
        (
            InferAnswer(b"{}"),
            None,
            True,
            JSON + b"content-length: 2\r\n" + SAID + b"connection: close\r\n\r\n{}",
        ),
        (
            InferAnswer(b"{}"),
            InferHeaders(request_id="me"),
            False,
            JSON + b"content-length: 2\r\n" + SAID + b"x-request-id: me\r\n\r\n{}",
        ),
        (
            InferAnswer(b"{}"),
            InferHeaders(prediction_id="order:17"),
            False,
            JSON + b"content-length: 2\r\n" + ORIGIN + b"x-prediction-id: order:17\r\n\r\n{}",
        ),
        (
            InferAnswer(b"{}\0\1", 2),
            InferHeaders(json_length=9, accept_encoding=b"gzip"),
            False,
            b"content-type: application/octet-stream\r\ncontent-length: 4\r\n"
            + SAID
            + b"inference-header-content-length: 2\r\n\r\n{}\0\1",
        ),
    ],
)
def test_an_answer_has_its_headers_in_order(
    answer: InferAnswer, headers: InferHeaders | None, expected: bytes, *, close: bool
) -> None:
    """The server's own headers come first, then the answer's, then the end of the connection."""
    assert answered(answer, headers, close=close) == (
        b"HTTP/1.1 200 OK\r\ndate: today\r\n" + expected
    )


@pytest.mark.parametrize(
    "headers",
    [
        None,
        InferHeaders(json_length=9),
        InferHeaders(request_id="me"),
        InferHeaders(prediction_id="order:17"),
        InferHeaders(accept_encoding=b"gzip", routing_key=b"user"),
    ],
)
@pytest.mark.parametrize("close", [False, True])
def test_the_short_ways_write_what_the_general_one_does(
    close: bool, headers: InferHeaders | None
) -> None:
    """A body that is ready, in one piece or in several, gives the same bytes as an answer."""

    async def play(way: str, *given: Any) -> bytes:
        exchange = HotExchange(cast("DataConnection", Line()), close=close)
        exchange.headers = headers or exchange.headers
        exchange.target, exchange.number = target(), 0x5F1C
        getattr(exchange, way)(*given)
        assert exchange.response is not None
        return exchange.response

    body, pieces = b'{"a":1}', [b"{}", memoryview(b"\0\1"), memoryview(b"\2")]
    for short, answer in (
        (play("answered_json", body), InferAnswer(body)),
        (play("answered_binary", pieces, 5), InferAnswer(b"{}\0\1\2", 2)),
    ):
        assert asyncio.run(short) == asyncio.run(play("answered", answer))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_large_answer_is_compressed_beside_the_loop(coding: str) -> None:
    """Compression happens on a thread; until then there is no response, and then all of it."""
    body = b"[" + b"1," * 200 + b"1]"
    response = answered(InferAnswer(body), InferHeaders(accept_encoding=coding.encode()))
    head, _, rest = response.partition(b"\r\n\r\n")

    assert zlib.decompress(rest, 31 if coding == "gzip" else 15) == body
    assert head.split(b"\r\n")[1:] == [
        b"date: today",
        b"content-type: application/json",
        b"content-length: %d" % len(rest),
        *SAID.splitlines(),
        b"content-encoding: " + coding.encode(),
        b"vary: accept-encoding",
    ]


def test_an_error_has_the_callers_id_or_a_new_one() -> None:
    """Errors are written in their one form, with the id that was given or one of ours."""
    named = answered(QueueFull("full"), InferHeaders(request_id="me"), close=True)
    assert named.startswith(b"HTTP/1.1 503 Service Unavailable\r\ndate: today\r\n")
    assert b"\r\nretry-after: 1\r\nx-shed-reason: queue_rows\r\n" in named
    assert b"\r\nx-request-id: me\r\nconnection: close\r\n\r\n" in named
    assert named.endswith(b'{"error":"full","code":"queue_full","request_id":"me"}')

    first, second = answered(QueueFull("full")), answered(QueueFull("full"))
    assert first != second
    assert len(first) == len(second)
