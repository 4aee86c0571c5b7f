"""What the control port answers to those who do not speak HTTP well, and that it goes on."""

import contextlib
import json
from collections.abc import Iterator

import pytest

from tests.support import models
from tests.support.gateway import Gateway, call, running
from tests.support.raw import RawAnswer, connected, get, post

INDEX = "/v2/repository/index"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that waits for a second and takes small headers only."""
    folder = tmp_path_factory.mktemp("control-port")
    models.put(folder / "models", "m", 1, models.affine())
    settings = {"header_timeout_seconds": 1, "body_timeout_seconds": 1, "max_header_bytes": 2000}
    with running(folder / "models", folder / "state", **settings) as one:
        yield one


def _refusal(answer: RawAnswer) -> tuple[int, str]:
    document = json.loads(answer.body)
    assert document.keys() == {"error", "code", "request_id"}
    assert answer.header("content-type") == "application/json"
    return answer.status, document["code"]


@pytest.mark.parametrize(
    ("request_bytes", "refusal"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400, "bad_http")),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000 + b"\r\n\r\n",
            (431, "headers_too_large"),
        ),
        (get("/" + "x" * 20_000), (414, "url_too_long")),
        (post(INDEX, b"[" * (5 << 20)), (413, "payload_too_large")),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", (408, "request_timeout")),
        (post(INDEX, b"{}")[:-1], (408, "request_timeout")),
        (
            post(INDEX, b"{}", "Transfer-Encoding: chunked"),
            (400, "bad_http"),
        ),
    ],
    ids=["tls", "headers", "url", "body", "slow head", "slow body", "two lengths"],
)
def test_whoever_breaks_a_limit_is_told_and_nobody_else_notices(
    gateway: Gateway, request_bytes: bytes, refusal: tuple[int, str]
) -> None:
    """The refusal is JSON as all errors are, its connection ends, and others are answered."""
    with connected(gateway.control) as client, connected(gateway.control) as other:
        other.send(get("/v2/health/live"))  # Who has not asked anything yet is not waited for.
        assert other.read().status == 200
        with contextlib.suppress(ConnectionError):  # Refused while it was still sending.
            client.send(request_bytes)
        assert _refusal(client.read()) == refusal
        assert client.is_closed()
        other.send(get("/v2/health/live"))
        assert other.read().status == 200
    assert call(gateway.control + INDEX, b"").json[0]["name"] == "m"


def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    """Two questions in one packet are two answers, the first one first."""
    with connected(gateway.control) as client:
        client.send(get("/v2/health/live") + get("/v2/models/m/ready"))
        first, second = client.read(), client.read()

    assert "live" in json.loads(first.body)
    assert json.loads(second.body) == {"name": "m", "ready": True}
