"""Clients that leave: whenever they do, nothing of them stays, and nobody else notices."""

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.dataplane.conftest import PlanOf
from tests.support.asking import (
    AFFINE,
    ask,
    check_nothing_left,
    check_serving,
    data_of,
    infer_body,
    leftovers,
    turn,
)
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import RawConnection, connected, get, post

COLD_AFFINE = "/v2/models/affin%65/infer"
HELD = "/v2/models/held/infer"
COLD_HELD = "/v2/models/hel%64/infer"
V1_HELD = "/v1/models/held:predict"
GOOD = infer_body([[1, 2, 3]])
V1_BODY = b'{"instances": [[1, 2, 3]]}'


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker whose model `held` answers when three rows have come."""
    plans = {
        "affine": plan_of("affine"),
        "held": plan_of("affine", max_rows=3, max_delay_ms=10_000),
    }
    with InProcessWorker(tmp_path_factory.mktemp("held"), plans) as worker:
        yield worker


def leave(client: RawConnection, how: str) -> None:
    """End a connection: in order, with a reset, or by closing our side only."""
    if how == "reset":
        client.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half":
        client.link.shutdown(socket.SHUT_WR)
    else:
        client.link.close()


def gone(worker: InProcessWorker) -> int:
    """Return how many requests to `held` were counted as left by their callers."""
    served = worker.worker.loader.loaded["held", "1"]
    count: int = worker.on_loop(lambda: served.telemetry.tally.outcomes["client_gone"])
    return count


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "request_",
    [
        post(AFFINE, GOOD),
        post(COLD_AFFINE, GOOD, "Expect: 100-continue"),
        get("/v2/models/affine"),
        post(AFFINE, b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD),
    ],
    ids=["hot", "cold", "get", "chunked"],
)
def test_leaving_at_any_byte_leaves_nothing(
    worker: InProcessWorker, request_: bytes, how: str
) -> None:
    """Wherever in a request its client leaves, the worker comes to hold nothing of it."""
    for sent in range(len(request_) + 1):
        with connected(worker.url) as client:
            client.send(request_[:sent])
            if sent % 3 == 0:
                turn(worker)
            leave(client, how)
    check_nothing_left(worker)
    check_serving(worker)


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("framing", ["Content-Length: 10000000", "Transfer-Encoding: chunked"])
def test_leaving_in_a_large_body_gives_its_bytes_back(
    worker: InProcessWorker, framing: str, how: str
) -> None:
    """What a half-sent body has reserved is free again when its client has left."""
    check_nothing_left(worker)
    head = f"POST {AFFINE} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode()
    body = b"30d40\r\n" + b"x" * 200_000 + b"\r\n30d40\r\n" if "chunked" in framing else b""
    with connected(worker.url) as client:
        client.send(head + body + b"x" * 1000)
        eventually(lambda: leftovers(worker)["bytes"] >= 200_000)
        leave(client, how)
        check_nothing_left(worker)


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize(("path", "body"), [(HELD, GOOD), (COLD_HELD, GOOD), (V1_HELD, V1_BODY)])
def test_a_request_whose_client_left_is_not_run(
    held: InProcessWorker, path: str, body: bytes, how: str
) -> None:
    """A queued request of somebody who left is dropped, counted, and changes no other's answer."""
    check_nothing_left(held)
    before = gone(held)
    with connected(held.url) as client:
        client.send(post(path, body))
        eventually(lambda: leftovers(held)["queued_rows"] == 1)
        leave(client, how)
        eventually(lambda: leftovers(held)["connections"] == 0)
        if how == "half":
            assert client.is_closed()
    answer = ask(held, post(HELD, infer_body([[4, 5, 6], [7, 8, 9]])))

    assert data_of(answer) == [9, 11, 13, 15, 17, 19]
    check_nothing_left(held)
    assert gone(held) == before + 1


def test_a_pipeline_whose_client_left_is_dropped_whole(held: InProcessWorker) -> None:
    """Of several requests in line, hot and cold, none is left behind."""
    check_nothing_left(held)
    before = gone(held)
    with connected(held.url) as client:
        client.send(post(HELD, GOOD) + get("/v2") + post(COLD_HELD, GOOD) + post(HELD, GOOD))
        eventually(lambda: leftovers(held)["queued_rows"] == 2)
    eventually(lambda: leftovers(held)["connections"] == 0)
    assert data_of(ask(held, post(HELD, GOOD))) == [3, 5, 7]

    check_nothing_left(held)
    assert gone(held) == before + 2
    check_serving(held)


def test_leaving_after_the_answer_is_no_fault(worker: InProcessWorker) -> None:
    """Clients that close between requests, or before they read, cost nothing."""
    for how in ("close", "reset", "half"):
        with connected(worker.url) as client:
            client.send(post(AFFINE, GOOD))
            assert data_of(client.read()) == [3, 5, 7]
            leave(client, how)
            if how == "half":
                assert client.is_closed()
    check_nothing_left(worker)
