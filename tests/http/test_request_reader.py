"""From bytes to requests, without a socket: what is read, reserved and timed."""

import hypothesis
import pytest
from hypothesis import strategies as st

from server.engine.admission import Budget
from server.errors import BadHttp, TidegateError
from server.http.request_reader import BODY, HEADERS, IDLE
from server.settings import Settings
from tests.support.asking import cut
from tests.support.reading import CHUNKED, LARGE, Recorder, head


def test_a_request_is_told_whole() -> None:
    """Method, target, lower-cased headers in order and the body arrive together."""
    seen = Recorder().feed(head("X-B: 1", "x-A:  two ", "Content-Length: 3") + b"abc").requests

    headers = ((b"host", b"a"), (b"x-b", b"1"), (b"x-a", b"two"), (b"content-length", b"3"))
    assert [
        (s.method, s.url, [(n, v.strip()) for n, v in s.headers], s.body, s.keep_alive)
        for s in seen
    ] == [(b"POST", b"/", list(headers), b"abc", True)]


@pytest.mark.parametrize(
    ("lines", "version", "stays"),
    [
        ([], "HTTP/1.1", True),
        (["Connection: close"], "HTTP/1.1", False),
        (["Connection: Close, x"], "HTTP/1.1", False),
        ([], "HTTP/1.0", False),
        (["Connection: keep-alive"], "HTTP/1.0", False),
    ],
)
def test_what_keeps_a_connection_open(lines: list[str], version: str, stays: bool) -> None:
    """Only HTTP/1.1 without Connection: close stays open, as uvicorn has it."""
    recorder = Recorder().feed(head(*lines, version=version))

    assert [seen.keep_alive for seen in recorder.requests] == [stays]


_REQUESTS = st.lists(
    st.one_of(
        st.binary(max_size=3000).map(lambda body: head(f"Content-Length: {len(body)}") + body),
        st.lists(st.binary(min_size=1, max_size=700), max_size=5).map(
            lambda chunks: (
                CHUNKED
                + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
                + b"0\r\nX-Trailer: 1\r\n\r\n"
            )
        ),
        st.just(head("Connection: Upgrade", "Upgrade: websocket")),
        st.binary(max_size=50).map(
            lambda body: (
                head("Connection: Upgrade", "Upgrade: h2c", f"Content-Length: {len(body)}") + body
            )
        ),
        st.just(b"\r\n" + head("X-Long: " + "x" * 1500)),
    ),
    min_size=1,
    max_size=6,
)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(_REQUESTS, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_any_cut_gives_the_same_requests(requests: list[bytes], places: list[int]) -> None:
    """However pipelined requests are cut, the same ones are told, one for each that was sent."""
    data = b"".join(requests)
    whole = Recorder().feed(data)
    pieces = Recorder().feed(*cut(data, places))

    assert whole.error is None
    assert len(whole.requests) == len(requests)
    assert (pieces.requests, pieces.error) == (whole.requests, None)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(st.binary(max_size=200), st.lists(st.integers(0, 1 << 20), max_size=4))
def test_no_bytes_can_do_more_than_be_refused(data: bytes, places: list[int]) -> None:
    """Whatever follows a request's start, the reader raises nothing and at most refuses."""
    for start in (
        b"",
        b"POST / HTTP/1.1\r\nHost: a\r\n",
        CHUNKED,
        b"POST / HTTP/1.1\r\nContent-Length:",
    ):
        recorder = Recorder().feed(*cut(start + data, places))
        assert recorder.error is None or isinstance(recorder.error, TidegateError)


def test_permission_to_send_is_asked_once_and_only_for_what_may_come() -> None:
    """100-continue is passed on for a good head, and not for one that is refused."""
    good = Recorder().feed(head("Expect: 100-Continue", "Content-Length: 5"))
    offer = Recorder().feed(
        head("Expect: 100-continue", "Content-Length: 5", "Upgrade: a", "Connection: upgrade")
    )
    old = Recorder().feed(head("Expect: 100-continue", "Content-Length: 5", version="HTTP/1.0"))
    large = Recorder().feed(head("Expect: 100-continue", "Content-Length: 4097"))
    odd = Recorder().feed(head("Expect: money", "Content-Length: 5"))

    assert [one.continues for one in (good, offer, old, large, odd)] == [1, 1, 0, 0, 0]
    assert large.code == "payload_too_large"


@pytest.mark.parametrize("start", [head("Content-Length: 50000"), CHUNKED + b"c350\r\n"])
def test_a_small_body_is_reserved_as_far_as_it_has_come(start: bytes) -> None:
    """Bodies that arrive in part are counted too: a thousand slow clients hold a lot together."""
    recorder = Recorder(LARGE, Budget(60_000)).feed(start + b"x" * 20_000)
    first = recorder.budget.used
    recorder.feed(b"x" * 20_000)
    second = recorder.budget.used
    other = Recorder(LARGE, recorder.budget).feed(head("Content-Length: 50000") + b"x" * 20_001)
    end = b"x" * 10_000 + (b"\r\n0\r\n\r\n" if start.startswith(CHUNKED) else b"")

    assert (first, second, other.code) == (20_000, 40_000, "memory_budget")
    assert len(recorder.feed(end).requests[0].body) == 50_000
    assert recorder.budget.used == 0


def test_a_large_body_is_reserved_while_it_arrives() -> None:
    """Bytes of a body over 64 KiB are taken from the budget before they come, and given back."""
    recorder = Recorder(LARGE, Budget(300_000))
    recorder.feed(head("Content-Length: 200000"), b"x" * 1000)
    during = recorder.budget.used
    refused = Recorder(LARGE, recorder.budget).feed(head("Content-Length: 200000"))
    recorder.feed(b"x" * 199_000)

    assert during == 200_000
    assert refused.code == "memory_budget"
    assert recorder.budget.used == 0
    assert len(recorder.requests[0].body) == 200_000


def test_a_chunked_body_is_reserved_as_it_grows() -> None:
    """A body of unknown length takes from the budget what has come, and is refused beyond it."""
    budget = Budget(100_000)
    recorder = Recorder(LARGE, budget).feed(CHUNKED, *[b"2710\r\n" + b"x" * 10_000 + b"\r\n"] * 9)
    during = budget.used
    recorder.feed(b"4e20\r\n" + b"x" * 20_000)
    recorder.reader.close()

    assert 64 << 10 < during <= 100_000
    assert recorder.code == "memory_budget"
    assert budget.used == 0


def test_closing_gives_back_what_half_a_body_has_reserved() -> None:
    """A client that leaves in the middle of its body leaves nothing reserved."""
    recorder = Recorder(LARGE).feed(head("Content-Length: 200000"), b"x")
    recorder.reader.close()

    assert recorder.budget.used == 0


def test_a_finished_request_is_not_held() -> None:
    """Between requests, the reader keeps no body in memory."""
    recorder = Recorder().feed(head("Content-Length: 3") + b"abc")

    assert recorder.requests[0].body == b"abc"
    assert recorder.reader.body == b""


def test_time_runs_by_phase() -> None:
    """Headers and body have their own time-outs, each from its own start; idleness has two."""
    settings = Settings(header_timeout_seconds=1, body_timeout_seconds=2, keep_alive_seconds=5)
    recorder = Recorder(settings)
    reader = recorder.reader
    reader.mark(100.0)
    assert (reader.phase, reader.overdue(200.0)) == (IDLE, None)
    assert [reader.is_idle_too_long(now) for now in (101.0, 101.1)] == [False, True]

    recorder.feed(b"POST / HTTP/1.1\r\n")
    reader.mark(150.0)
    assert (reader.phase, reader.overdue(101.0)) == (HEADERS, None)
    assert "headers" in str(reader.overdue(101.1))
    assert not reader.is_idle_too_long(200.0)

    recorder.clock = 101.0
    recorder.feed(b"Host: a\r\nContent-Length: 2\r\n\r\n")
    assert (reader.phase, reader.overdue(103.0)) == (BODY, None)
    assert "body" in str(reader.overdue(103.1))

    recorder.clock = 102.0
    recorder.feed(b"ab")
    assert reader.overdue(200.0) is None
    assert [reader.is_idle_too_long(now) for now in (107.0, 107.1)] == [False, True]


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/", "/", b"/", b""),
        ("/v2/m%20x?a=%20&b", "/v2/m x", b"/v2/m%20x", b"a=%20&b"),
        ("http://elsewhere/v2", "/v2", b"/v2", b""),
        ("http://elsewhere", "/", b"/", b""),
        ("/%C3%A4", "/ä", b"/%C3%A4", b""),
    ],
)
def test_the_scope_has_the_target_in_parts(
    target: str, path: str, raw_path: bytes, query: bytes
) -> None:
    """The application gets the path decoded and raw, and the query apart."""
    scope = Recorder().feed(head(target=target)).reader.scope(client=None)

    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)
    assert (scope["method"], scope["http_version"]) == ("POST", "1.1")


@pytest.mark.parametrize("target", ["/%ff", "/%C3"])
def test_a_target_that_is_no_text_is_refused(target: str) -> None:
    """A percent-encoded path must be UTF-8."""
    reader = Recorder().feed(head(target=target)).reader

    with pytest.raises(BadHttp, match="not a valid URL"):
        reader.scope()
