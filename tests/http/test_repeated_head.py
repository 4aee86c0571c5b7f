"""Requests whose head is the last one's: what is taken for one, and that it reads the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.admission import Budget
from server.http.repeated_head import RepeatedHead
from server.http.request_reader import RequestReader
from server.settings import Settings

HEAD = b"POST /a HTTP/1.1\r\nHost: h\r\ncontent-LENGTH:  %d\r\nX: y\r\n\r\n"


def request(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


def remembered(
    body: bytes = b"abc", head: bytes = HEAD, max_body_bytes: int = 1000
) -> RepeatedHead:
    repeated = RepeatedHead(max_body_bytes)
    repeated.remember(request(body, head), len(body))
    return repeated


class Reading:
    """A reader that writes down each request it was told of."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.reader = RequestReader(self, Settings(), Budget(1 << 20))

    def request_begun(self) -> None:
        """Whole requests are what matters here."""

    def expect_continue(self) -> None:
        self.requests.append("continue")

    def request_complete(self) -> None:
        reader = self.reader
        self.requests.append(
            (
                (reader.method, reader.url, reader.http_version, list(reader.headers)),
                (bytes(reader.body), reader.keep_alive, reader.has_noted, reader.is_encoded),
            )
        )


HEADS = [
    HEAD,
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nX-Request-Id: one\r\nContent-Length: %d\r\n\r\n",
    b"POST /a HTTP/1.1\r\nContent-Length: %d\r\nContent-Encoding: gzip\r\nHost: h\r\n\r\n",
    b"POST /a HTTP/1.1\r\nContent-Length: %d\r\nExpect: 100-continue\r\nHost: h\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0%d\r\n\r\n",
]
BODIES = [b"", b"a", b"ab", b"x" * 9, b"x" * 10, b"x" * 100, b"\r\n\r\n", HEAD % 3]


@given(
    st.lists(st.tuples(st.sampled_from(HEADS), st.sampled_from(BODIES)), min_size=1, max_size=12)
)
def test_a_request_reads_the_same_whether_its_head_was_recognized_or_parsed(
    sequence: list[tuple[bytes, bytes]],
) -> None:
    """Requests that come whole, and so may be recognized, read like those that come in pieces."""
    whole, pieces = Reading(), Reading()
    for head, body in sequence:
        data = request(body, head)
        assert whole.reader.feed(data, 1.0) is None
        assert pieces.reader.feed(data[:5], 1.0) is None
        assert pieces.reader.feed(data[5:], 1.0) is None

    assert whole.requests == pieces.requests
    assert sum(one != "continue" for one in whole.requests) == len(sequence)


def test_a_repeated_head_is_recognized_whatever_its_length_says() -> None:
    """The digits of the length may differ, and the body is what follows the head."""
    repeated = remembered(b"abc")

    for body in (b"abc", b"", b"xyz", b"y" * 1000):
        assert repeated.body_of(request(body)) == body
        assert repeated.length == b"%d" % len(body)


@pytest.mark.parametrize(
    "chunk",
    [
        request(b"abc") + b"P",
        request(b"abc")[:-1],
        request(b"abc") * 2,
        request(b"abc").replace(b"X: y", b"X: z"),
        request(b"abc").replace(b"/a", b"/b"),
        request(b"abc").replace(b" 3", b" +3"),
        request(b"abc").replace(b" 3", b" 3 "),
        request(b"abc").replace(b" 3", b" 3, 3"),
        request(b"abc").replace(b" 3", b" "),
        request(b"abc").replace(b" 3", b" 0000003"),
        request(b"y" * 1001),
        b"",
    ],
)
def test_anything_else_is_left_to_the_parser(chunk: bytes) -> None:
    """More or fewer bytes, another field, odd digits or a large body are not recognized."""
    assert remembered().body_of(chunk) is None


def test_a_head_that_ends_otherwise_than_it_seems_is_not_remembered() -> None:
    """If the parser's body is not what follows the first empty line, the head is not used."""
    repeated = RepeatedHead(1000)
    chunk = b"POST / HTTP/1.1\nHost: h\nContent-Length: 30\n\n" + request(b"abc")

    repeated.remember(chunk, 30)

    assert repeated.body_of(chunk) is None


def test_a_forgotten_head_is_not_recognized() -> None:
    """After another request has been parsed, the head before it counts for nothing."""
    repeated = remembered()

    repeated.forget()

    assert repeated.body_of(request(b"abc")) is None


def test_a_client_that_changes_its_head_all_the_time_is_soon_left_alone() -> None:
    """After a few heads none is remembered any more, so that trying costs nothing."""
    repeated = RepeatedHead(1000)
    for number in range(20):
        head = HEAD.replace(b"y", b"%d" % number)
        repeated.remember(request(b"abc", head), 3)

    assert repeated.body_of(request(b"abc", HEAD.replace(b"y", b"19"))) is None
    assert repeated.body_of(request(b"abc", HEAD.replace(b"y", b"7"))) == b"abc"
