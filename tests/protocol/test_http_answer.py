"""HTTP answers as bytes, alike from the hot path and from uvicorn."""

from http import HTTPStatus

import pytest

from server.protocol.answers import InferAnswer
from server.protocol.errors import STATUS
from server.protocol.http_answer import (
    Answer,
    before_prediction_id,
    infer_http,
    json_headers,
    ok_prefix,
    origin_headers,
    response_head,
)

DATE = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]


ORIGIN = [(b"x-model-version", b"3"), (b"x-release-generation", b"12")]


def test_a_json_answer_says_so() -> None:
    """Type and length, then who answered and the prediction's id, in this order."""
    assert infer_http(InferAnswer(b"{}"), ORIGIN, "5f-ab", None) == Answer(
        200,
        [
            (b"content-type", b"application/json"),
            (b"content-length", b"2"),
            *ORIGIN,
            (b"x-prediction-id", b"5f-ab"),
        ],
        b"{}",
    )


def test_an_answer_says_which_version_answered_under_which_state() -> None:
    """The origin is a version and the generation of its model's release state."""
    assert origin_headers("3", 12) == ORIGIN


def test_a_binary_answer_says_where_its_json_ends() -> None:
    """The length is that of all bytes, the header that of the JSON."""
    answer = infer_http(InferAnswer(b"{}\0\0", 2), [], "5f-ab", "id-1")

    assert answer.headers == [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"4"),
        (b"x-prediction-id", b"5f-ab"),
        (b"inference-header-content-length", b"2"),
        (b"x-request-id", b"id-1"),
    ]


def test_a_request_id_is_echoed_only_to_who_sent_one() -> None:
    """A success needs no id of ours."""
    assert (b"x-request-id", b"a") in infer_http(InferAnswer(b"{}"), [], "1", "a").headers
    assert b"x-request-id" not in dict(infer_http(InferAnswer(b"{}"), [], "1", None).headers)


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


def test_the_head_of_most_answers_is_joined_from_ready_parts() -> None:
    """Prefix, length, origin, id and the empty line are the very head of that answer."""
    answer = infer_http(InferAnswer(b"x" * 123), ORIGIN, "5f-ab", None)
    prefix = ok_prefix(b"application/json", DATE)
    parts = [prefix, b"123", before_prediction_id(ORIGIN), b"5f-ab\r\n\r\n"]

    assert b"".join(parts) == response_head(answer, DATE, close=False)
