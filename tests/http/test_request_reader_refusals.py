"""What the reader refuses: ambiguous framing, and what is larger than its limits."""

import pytest

from server.errors import BadHttp
from server.http.request_reader import MAX_AT_ONCE, MAX_CHUNKS
from tests.support.reading import CHUNKED, LARGE, Recorder, head

REFUSED: dict[str, tuple[bytes, str]] = {
    "no host": (head(host=""), "bad_http"),
    "two hosts": (head("Host: b"), "bad_http"),
    "http 0.9": (b"GET /\r\n\r\n", "bad_http"),
    "http 0.9 spelled out": (head(version="HTTP/0.9"), "bad_http"),
    "http 2": (head(version="HTTP/2.0"), "bad_http"),
    "http 2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad_http"),
    "unknown version": (head(version="HTTP/9.9"), "bad_http"),
    "unknown method": (b"PREDICT / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_http"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "bad_http"),
    "te and length": (head("Transfer-Encoding: chunked", "Content-Length: 5"), "bad_http"),
    "length and te": (head("Content-Length: 5", "Transfer-Encoding: chunked"), "bad_http"),
    "te gzip, chunked": (head("Transfer-Encoding: gzip, chunked"), "bad_http"),
    "te gzip": (head("Transfer-Encoding: gzip"), "bad_http"),
    "te identity": (head("Transfer-Encoding: identity"), "bad_http"),
    "te chunked, chunked": (head("Transfer-Encoding: chunked, chunked"), "bad_http"),
    "te twice": (head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), "bad_http"),
    "te empty": (head("Transfer-Encoding:"), "bad_http"),
    "te on 1.0": (head("Transfer-Encoding: chunked", version="HTTP/1.0"), "bad_http"),
    "length twice": (head("Content-Length: 2", "Content-Length: 2") + b"ab", "bad_http"),
    "length list": (head("Content-Length: 2, 2") + b"ab", "bad_http"),
    "length negative": (head("Content-Length: -2") + b"ab", "bad_http"),
    "length signed": (head("Content-Length: +2") + b"ab", "bad_http"),
    "length hex": (head("Content-Length: 0x2") + b"ab", "bad_http"),
    "length empty": (head("Content-Length:"), "bad_http"),
    "length too many digits": (head("Content-Length: " + "0" * 1500 + "2") + b"ab", "bad_http"),
    "length overflowing": (head("Content-Length: 99999999999999999999"), "bad_http"),
    "bare lf": (b"POST / HTTP/1.1\nHost: a\n\n", "bad_http"),
    "bare lf in a field": (b"POST / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "bad_http"),
    "bare cr": (b"POST / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "bad_http"),
    "folded field": (head("X-Long: a\r\n b"), "bad_http"),
    "space before colon": (head("X-Any : b"), "bad_http"),
    "field without colon": (head("X-Any"), "bad_http"),
    "nul in a field": (head("X-Any: a\0b"), "bad_http"),
    "chunk size g": (CHUNKED + b"g\r\n", "bad_http"),
    "chunk size negative": (CHUNKED + b"-1\r\n", "bad_http"),
    "chunk size 0x": (CHUNKED + b"0x1\r\na\r\n", "bad_http"),
    "chunk size huge": (CHUNKED + b"f" * 17 + b"\r\n", "bad_http"),
    "chunk size empty": (CHUNKED + b"\r\n", "bad_http"),
    "chunk size spaced": (CHUNKED + b"1 \r\na\r\n", "bad_http"),
    "chunk bare lf": (CHUNKED + b"1\na\r\n0\r\n\r\n", "bad_http"),
    "chunk too long": (CHUNKED + b"1\r\nab\r\n0\r\n\r\n", "bad_http"),
    "long field": (head("X-Long: " + "x" * 2048), "headers_too_large"),
    "many fields": (head(*[f"X-{number}: 1" for number in range(10)]), "headers_too_large"),
    "many bytes": (head(*["X: " + "x" * 300] * 8), "headers_too_large"),
    "field without end": (b"POST / HTTP/1.1\r\nX: " + b"x" * 4096, "headers_too_large"),
    "long target": (head(target="/" + "x" * 256), "url_too_long"),
    "target without end": (b"POST /" + b"x" * 300, "url_too_long"),
    "long body": (head("Content-Length: 4097"), "payload_too_large"),
    "long chunk": (CHUNKED + b"1001\r\n" + b"x" * 4097, "payload_too_large"),
    "long in chunks": (
        CHUNKED + b"10\r\n0123456789abcdef\r\n" * 257,
        "payload_too_large",
    ),
}


@pytest.mark.parametrize("kind", sorted(REFUSED))
@pytest.mark.parametrize("size", [1, 7, 64])
def test_what_is_refused(kind: str, size: int) -> None:
    """Ambiguous or oversized requests are refused by the same code, however they are cut."""
    data, code = REFUSED[kind]
    recorder = Recorder().feed(*[data[at : at + size] for at in range(0, len(data), size)])

    assert recorder.code == code
    assert recorder.requests == []


@pytest.mark.parametrize("kind", sorted(REFUSED.keys() - {"field without end"}))
def test_what_is_refused_in_one_piece(kind: str) -> None:
    """Nothing of a request that is refused is told, though all of it came at once."""
    data, code = REFUSED[kind]
    recorder = Recorder().feed(data)

    assert (recorder.code, recorder.requests) == (code, [])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (head(host=""), "one Host header, got 0"),
        (head("Host: b"), "one Host header, got 2"),
        (head(version="HTTP/2.0"), "HTTP/2.0 is not spoken here"),
        (head(target="/" + "x" * 256), "256 bytes"),
        (head("Content-Length: 4097"), "4096 bytes"),
        (head("X: " + "x" * 2048), "2048 header bytes in 10 fields"),
    ],
)
def test_refusals_name_the_limit(data: bytes, text: str) -> None:
    """A refusal says what was expected, with the number of the limit."""
    assert text in str(Recorder().feed(data).error)


@pytest.mark.parametrize(
    "data",
    [
        head(*[f"X-{number}: 1" for number in range(9)]),
        head(target="/" + "x" * 255),
        head("X-Long: " + "x" * 1900),
        head("Content-Length: 4096") + b"x" * 4096,
        CHUNKED + b"1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n",
    ],
)
def test_the_limits_themselves_are_allowed(data: bytes) -> None:
    """What is exactly as large as a limit allows is read."""
    recorder = Recorder().feed(data)

    assert (recorder.error, len(recorder.requests)) == (None, 1)


@pytest.mark.parametrize(
    "offer",
    [
        head("Connection: Upgrade", "Upgrade: websocket", "Content-Length: {size}"),
        head("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "Transfer-Encoding: chunked"),
    ],
)
def test_the_body_of_an_upgrade_offer_is_never_a_request(offer: bytes) -> None:
    """A request hidden in the body of one that offers another protocol stays a body."""
    hidden = head("X-Hidden: 1", target="/hidden")
    body = hidden if b"{size}" in offer else b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
    offer = offer.replace(b"{size}", b"%d" % len(hidden))

    recorder = Recorder().feed(offer + body + head(target="/next"))

    assert [(seen.url, seen.body) for seen in recorder.requests] == [
        (b"/", hidden),
        (b"/next", b""),
    ]


def test_connect_opens_no_tunnel() -> None:
    """CONNECT, whose body other servers may read in another way, becomes no request."""
    reader = Recorder().feed(b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n").reader

    with pytest.raises(BadHttp, match="CONNECT is not possible here"):
        reader.scope()


def test_single_byte_chunks_are_counted() -> None:
    """A body may come in 65,536 chunks, and not in one more."""
    chunk = b"1\r\nx\r\n"
    fits = Recorder(LARGE).feed(CHUNKED, *[chunk * 1024] * (MAX_CHUNKS // 1024 - 1))
    fits.feed(chunk * 1023, b"0\r\n\r\n")
    floods = Recorder(LARGE).feed(CHUNKED, *[chunk * 1024] * (MAX_CHUNKS // 1024), b"0\r\n\r\n")

    assert [len(seen.body) for seen in fits.requests] == [MAX_CHUNKS - 1]
    assert (floods.code, floods.requests) == ("bad_http", [])


@pytest.mark.parametrize("start", [b"1;", b"1\r\nx\r\n0\r\nX-Trailer: "])
def test_what_stands_around_chunks_is_bounded(start: bytes) -> None:
    """An extension or a trailer without end is refused, though it is no part of the body."""
    recorder = Recorder(LARGE).feed(CHUNKED, start, *[b"x" * 1000] * 40)

    assert recorder.code == "bad_http"


OFFER = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "fits"), [(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1024), (OFFER, 512)]
)
def test_requests_that_come_at_once_are_counted(request_: bytes, fits: int) -> None:
    """One piece of the stream may hold 1,024 requests; of thousands the rest is not even read.

    An offer to change the protocol is read twice and counts twice.
    """
    assert MAX_AT_ONCE == 1024
    all_read = Recorder().feed(request_ * fits, request_ * fits)
    flood = Recorder().feed(request_ * 5000)

    assert (len(all_read.requests), all_read.code) == (2 * fits, None)
    assert (len(flood.requests), flood.code) == (fits, "bad_http")
