"""HTTP answers as bytes, alike from the hot path and from uvicorn."""

from http import HTTPStatus

import pytest

from server.protocol.answers import InferAnswer
from server.protocol.errors import STATUS
from server.protocol.http_answer import (
    Answer,
    infer_http,
    json_headers,
    json_ok_prefix,
    response_head,
)

DATE = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]


def test_a_json_answer_says_so() -> None:
    """Type and length, in this order."""
    assert infer_http(InferAnswer(b"{}"), None) == Answer(
        200, [(b"content-type", b"application/json"), (b"content-length", b"2")], b"{}"
    )


def test_a_binary_answer_says_where_its_json_ends() -> None:
    """The length is that of all bytes, the header that of the JSON."""
    answer = infer_http(InferAnswer(b"{}\0\0", 2), "id-1")

    assert answer.headers == [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"4"),
        (b"inference-header-content-length", b"2"),
        (b"x-request-id", b"id-1"),
    ]


def test_a_request_id_is_echoed_only_to_who_sent_one() -> None:
    """A success needs no id of ours."""
    assert (b"x-request-id", b"a") in infer_http(InferAnswer(b"{}"), "a").headers
    assert b"x-request-id" not in dict(infer_http(InferAnswer(b"{}"), None).headers)


@pytest.mark.parametrize("close", [False, True])
def test_a_head_is_these_bytes(close: bool) -> None:
    """The server's own headers before the answer's, and `connection: close` at the end."""
    answer = Answer(404, json_headers(2), b"{}")

    assert response_head(answer, DATE, close=close) == (
        b"HTTP/1.1 404 Not Found\r\n"
        b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        b"content-type: application/json\r\n"
        b"content-length: 2\r\n" + b"connection: close\r\n" * close + b"\r\n"
    )


@pytest.mark.parametrize("status", sorted({200, *STATUS.values()}))
def test_every_status_that_we_send_has_its_line(status: int) -> None:
    """The phrase is that of the standard library, which uvicorn uses too."""
    head = response_head(Answer(status, [], b""), [], close=False)

    assert head == f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}\r\n\r\n".encode()


def test_the_prefix_of_most_answers_leaves_room_for_the_length() -> None:
    """Prefix, number and the empty line are the very head of that answer."""
    whole = response_head(Answer(200, json_headers(123), b""), DATE, close=False)

    assert json_ok_prefix(DATE) + b"123\r\n\r\n" == whole
