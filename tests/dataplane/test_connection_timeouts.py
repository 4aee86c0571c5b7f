"""How long a connection may take: slow senders, idle clients and those that do not go."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dataplane.conftest import PlanOf
from tests.support.asking import (
    AFFINE,
    affine_data,
    ask,
    check_nothing_left,
    check_serving,
    data_of,
    error_of,
    infer_body,
    leftovers,
)
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import connected, get, post

GOOD = infer_body([[1, 2, 3]])


def _head(*lines: str) -> bytes:
    return "\r\n".join([f"POST {AFFINE} HTTP/1.1", "Host: a", *lines]).encode() + b"\r\n\r\n"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker whose patience with a request that has begun is short."""
    settings: dict[str, Any] = {"header_timeout_seconds": 0.3, "body_timeout_seconds": 0.3}
    plans = {"affine": plan_of("affine")}
    with InProcessWorker(tmp_path_factory.mktemp("quick"), plans, **settings) as worker:
        yield worker


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker that lets idle clients go soon, but not before a slow machine has sent for them."""
    plans = {
        "affine": plan_of("affine"),
        "held": plan_of("affine", max_rows=2, max_delay_ms=10_000),
    }
    settings: dict[str, Any] = {"header_timeout_seconds": 1.5, "keep_alive_seconds": 1.5}
    with InProcessWorker(tmp_path_factory.mktemp("brisk"), plans, **settings) as worker:
        yield worker


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (b"P", "headers"),
        (_head("X: 1")[:-2], "headers"),
        (_head("Content-Length: 100"), "body"),
        (post(AFFINE, GOOD)[:-1], "body"),
        (_head("Transfer-Encoding: chunked") + b"5\r\nabc", "body"),
    ],
)
def test_slow_senders_are_told_and_closed(quick: InProcessWorker, part: bytes, text: str) -> None:
    """A request that does not arrive in time gets 408, be it the first one or a later one."""
    for before in (b"", post(AFFINE, GOOD)):
        with connected(quick.url) as client:
            client.send(before)
            if before:
                assert data_of(client.read()) == [3, 5, 7]
            client.send(part)
            answer = client.read()
            assert error_of(answer) == (408, "request_timeout")
            assert f"{text} did not arrive in time" in answer.body.decode()
            assert client.is_closed()
    check_serving(quick)
    check_nothing_left(quick)


def test_a_slow_sender_is_not_saved_by_dripping(quick: InProcessWorker) -> None:
    """Bytes that come now and then do not start a request's time anew."""
    with connected(quick.url) as client:
        client.send(b"POST / HTTP/1.1\r\nX: ")
        client.link.settimeout(0.02)
        for _ in range(500):
            try:
                if client.link.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                client.send(b"x")
        client.link.settimeout(60)
        assert error_of(client.read()) == (408, "request_timeout")


@pytest.mark.parametrize("before", [b"", post(AFFINE, GOOD), get("/v2"), b"\r\n\r\n"])
def test_idle_connections_are_closed_without_a_word(brisk: InProcessWorker, before: bytes) -> None:
    """A connection without a request is closed in time, with nothing that could be misread."""
    with connected(brisk.url) as client:
        client.send(before)
        if before.strip():
            assert client.read().status == 200
        assert client.is_closed()


def test_waiting_for_an_answer_is_not_idle(brisk: InProcessWorker) -> None:
    """A request that waits for its model longer than idle connections may live is answered."""
    with connected(brisk.url) as client:
        client.send(post("/v2/models/held/infer", GOOD))
        eventually(lambda: leftovers(brisk)["in_flight"] == 1)
        with connected(brisk.url) as other:
            assert other.is_closed()  # It was idle for as long.
        assert data_of(ask(brisk, post("/v2/models/held/infer", GOOD))) == [3, 5, 7]
        assert data_of(client.read()) == [3, 5, 7]


def test_a_refused_client_that_does_not_go_is_closed(quick: InProcessWorker) -> None:
    """After a refusal the server waits for its client only for a moment."""
    check_nothing_left(quick)
    with connected(quick.url) as client:
        client.send(b"nonsense\r\n\r\n")
        assert error_of(client.read()) == (400, "bad_http")
        eventually(lambda: leftovers(quick)["connections"] == 0)


def test_a_good_request_is_answered_after_all_of_this(quick: InProcessWorker) -> None:
    """The worker that met all these clients answers as ever."""
    assert data_of(ask(quick, post(AFFINE, infer_body([[0.3, 1e-8, -5]])))) == affine_data(
        [[0.3, 1e-8, -5]]
    )
