"""HTTP answers as values, and their bytes.

Decides the bytes of a response head, in the very form in which uvicorn writes one, so that the
hot path and the Starlette application answer alike. Does not know sockets.
"""

from dataclasses import dataclass
from http import HTTPStatus

from server.protocol.answers import BINARY_TYPE, JSON_TYPE, InferAnswer

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer; `headers` include the content length."""

    status: int
    headers: Headers
    body: bytes


def json_headers(length: int) -> Headers:
    """Return the headers of a JSON body of `length` bytes."""
    return [(b"content-type", JSON_TYPE), (b"content-length", b"%d" % length)]


def origin_headers(version: str, generation: int) -> Headers:
    """Return the headers that say which version answered, under which release state."""
    return [
        (b"x-model-version", version.encode()),
        (b"x-release-generation", b"%d" % generation),
    ]


def infer_http(
    answer: InferAnswer, origin: Headers, prediction_id: str, request_id: str | None
) -> Answer:
    """Wrap an inference answer; `request_id` is echoed if the caller sent one."""
    headers = json_headers(len(answer.body))
    headers += origin
    headers.append((b"x-prediction-id", prediction_id.encode()))
    if answer.json_length is not None:
        headers[0] = (b"content-type", BINARY_TYPE)
        headers.append((b"inference-header-content-length", b"%d" % answer.json_length))
    if request_id is not None:
        headers.append((b"x-request-id", request_id.encode()))
    return Answer(200, headers, answer.body)


_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def response_head(answer: Answer, default_headers: Headers, *, close: bool) -> bytes:
    """Return status line and headers, the server's own (the date) before the answer's."""
    lines = [_STATUS_LINES[answer.status]]
    for name, value in (*default_headers, *answer.headers):
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"connection: close\r\n\r\n" if close else b"\r\n")
    return b"".join(lines)


def header_lines(headers: Headers) -> bytes:
    """Return headers as they stand in a head."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


def ok_prefix(content_type: bytes, default_headers: Headers) -> bytes:
    """Return the head of an answer with status 200 up to the value of the content length."""
    answer = Answer(200, [(b"content-type", content_type), (b"content-length", b"")], b"")
    return response_head(answer, default_headers, close=False)[:-4]


def before_prediction_id(origin: Headers) -> bytes:
    """Return what stands between content length and prediction id in the head of that answer."""
    fields = b"".join(b"\r\n%b: %b" % field for field in origin)
    return fields + b"\r\nx-prediction-id: "
