"""What a connection may cost: sizes and numbers, and that nobody else pays for it."""

import contextlib
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from server.http.port import SPARE_CONNECTIONS
from tests.dataplane.conftest import PlanOf, StartWorker
from tests.support.asking import (
    AFFINE,
    ask,
    check_nothing_left,
    check_serving,
    error_of,
    infer_body,
    leftovers,
    turn,
)
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import connected, get, post

COLD_AFFINE = "/v2/models/affin%65/infer"
V1 = "/v1/models/affine:predict"
HELD = "/v2/models/held/infer"
HEALTH = "/v2/health/live"
GOOD = infer_body([[1, 2, 3]])


def _head(*lines: str, path: str = AFFINE) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", *lines]).encode() + b"\r\n\r\n"


TOO_MUCH: dict[str, tuple[bytes, int, str, str]] = {
    "header bytes": (_head("X: " + "x" * 40_000), 431, "headers_too_large", "32768 header bytes"),
    "header bytes in small fields": (
        _head(*[f"X-{number}: {'x' * 400}" for number in range(90)]),
        431,
        "headers_too_large",
        "32768 header bytes",
    ),
    "header fields": (
        _head(*[f"X-{number}: 1" for number in range(100)]),
        431,
        "headers_too_large",
        "in 100 fields",
    ),
    "target": (get("/" + "x" * 9000), 414, "url_too_long", "8192 bytes"),
    "announced body": (_head(f"Content-Length: {1 << 30}"), 413, "payload_too_large", "100000 b"),
    "chunked body": (
        _head("Transfer-Encoding: chunked") + (b"ea60\r\n" + b"x" * 60_000 + b"\r\n") * 2,
        413,
        "payload_too_large",
        "100000 bytes",
    ),
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker with small limits of sizes."""
    folder = tmp_path_factory.mktemp("limited")
    settings: dict[str, Any] = {"max_body_bytes": 100_000, "max_json_bytes": 20_000}
    with InProcessWorker(folder, {"affine": plan_of("affine")}, **settings) as worker:
        yield worker


@pytest.mark.parametrize("kind", sorted(TOO_MUCH))
def test_what_is_too_much_ends_its_own_connection(limited: InProcessWorker, kind: str) -> None:
    """Too many bytes get their status and code, name the limit, and cost nobody else anything."""
    request, status, code, text = TOO_MUCH[kind]
    with connected(limited.url) as other, connected(limited.url) as client:
        check_serving(limited, client)
        client.send(request)
        answer = client.read()
        assert error_of(answer) == (status, code)
        assert text in answer.body.decode()
        assert answer.header("connection") == "close"
        assert client.is_closed()
        check_serving(limited, other)
    check_serving(limited)
    check_nothing_left(limited)


def test_a_refusal_is_read_by_a_client_that_goes_on_sending(limited: InProcessWorker) -> None:
    """What comes after a refusal is thrown away, not met with a reset that destroys the answer."""
    with connected(limited.url) as client:
        client.send(_head(f"Content-Length: {1 << 30}"))
        client.send(b"x" * 500_000)
        turn(limited)
        client.send(b"x" * 500_000)
        assert error_of(client.read()) == (413, "payload_too_large")
        assert client.is_closed()


@pytest.mark.parametrize("path", [AFFINE, COLD_AFFINE, V1])
def test_large_json_is_refused_with_a_hint(limited: InProcessWorker, path: str) -> None:
    """JSON above its own limit is 413 and says what to do instead; the connection goes on."""
    with connected(limited.url) as client:
        client.send(post(path, GOOD + b" " * 20_000))
        answer = client.read()
        assert error_of(answer) == (413, "payload_too_large")
        assert b"may have 20000 bytes, got 20" in answer.body
        assert b"binary tensor extension" in answer.body
        check_serving(limited, client)


@pytest.mark.parametrize(
    ("more", "limit"),
    [([], b"20000 bytes"), (["Inference-Header-Content-Length: 100"], b"100000 bytes")],
)
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_refused_before_it_unfolds(
    limited: InProcessWorker, coding: str, more: list[str], limit: bytes
) -> None:
    """A small body that would unfold beyond its limit, JSON's or that of all, is 413."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    bomb = packer.compress(b" " * (4 << 20)) + packer.flush()
    assert len(bomb) < 100_000
    with connected(limited.url) as client:
        client.send(post(AFFINE, bomb, f"Content-Encoding: {coding}", *more))
        answer = client.read()
        assert error_of(answer) == (413, "payload_too_large")
        assert limit in answer.body
        check_serving(limited, client)


@pytest.mark.parametrize("path", [AFFINE, COLD_AFFINE])
def test_request_bytes_in_flight_are_bounded(
    start_worker: StartWorker, plan_of: PlanOf, path: str
) -> None:
    """When all the bytes that may be in flight are, a request gets 503 at once and may retry."""
    plans = {
        "affine": plan_of("affine", max_rows=8),
        "held": plan_of("affine", max_rows=2, max_delay_ms=10_000),
    }
    with start_worker(plans, max_in_flight_bytes=1 << 20) as worker:
        with connected(worker.url) as client:
            with connected(worker.url) as waiting:
                waiting.send(post(HELD, GOOD + b" " * ((1 << 20) - 200)))
                eventually(lambda: leftovers(worker)["bytes"] > (1 << 20) - 200)
                for refused in (post(path, GOOD + b" " * 1000), post(HELD, GOOD)):
                    client.send(refused)
                    answer = client.read()
                    assert error_of(answer) == (503, "memory_budget")
                    assert answer.header("retry-after") in ("1", "2", "3")
                    assert answer.header("x-shed-reason") == "request_bytes"
                    assert leftovers(worker)["in_flight"] == 1
            eventually(lambda: leftovers(worker)["bytes"] == 0)
            check_serving(worker, client)
        check_nothing_left(worker)


def test_a_body_for_which_there_is_no_room_is_refused_before_it_comes(
    start_worker: StartWorker, plan_of: PlanOf
) -> None:
    """A large Content-Length gets 503 from its headers alone when other bodies fill the budget."""
    with start_worker({"affine": plan_of("affine")}, max_in_flight_bytes=1 << 20) as worker:
        with connected(worker.url) as uploading, connected(worker.url) as client:
            uploading.send(_head("Content-Length: 900000") + b" " * 10)
            eventually(lambda: leftovers(worker)["bytes"] == 900_000)
            client.send(_head("Content-Length: 200000"))
            assert error_of(client.read()) == (503, "memory_budget")
            assert client.is_closed()
            check_serving(worker)
        check_nothing_left(worker)


def test_too_many_connections_are_refused_while_the_others_work(
    start_worker: StartWorker, plan_of: PlanOf
) -> None:
    """Beyond the limit all gets 503 but health; a connection is taken again when one has left."""
    with start_worker({"affine": plan_of("affine")}, max_connections=2) as worker:
        eventually(lambda: ask(worker, get(HEALTH)).status == 200)
        eventually(lambda: leftovers(worker)["connections"] == 0)
        with connected(worker.url) as first:
            with connected(worker.url) as second:
                check_serving(worker, first)
                check_serving(worker, second)
                for request in (post(AFFINE, GOOD), get("/v2"), post(HEALTH, b""), b""):
                    with connected(worker.url) as third:
                        third.send(request)
                        answer = third.read()
                        assert error_of(answer) == (503, "too_many_connections")
                        assert answer.header("retry-after") == "1"
                        assert third.is_closed()
                with connected(worker.url) as third:
                    third.send(get(HEALTH) + get(HEALTH))
                    answer = third.read()
                    assert (answer.status, answer.header("connection")) == (200, "close")
                    assert third.is_closed()
                check_serving(worker, first)
                check_serving(worker, second)
            eventually(lambda: leftovers(worker)["connections"] == 1)
            check_serving(worker)


def test_a_flood_of_connections_holds_nothing(start_worker: StartWorker, plan_of: PlanOf) -> None:
    """Beyond the spare places connections are closed at once; those that work go on."""
    with start_worker({"affine": plan_of("affine")}, max_connections=2) as worker:
        eventually(lambda: ask(worker, get(HEALTH)).status == 200)
        eventually(lambda: leftovers(worker)["connections"] == 0)
        with connected(worker.url) as good, contextlib.ExitStack() as stack:
            check_serving(worker, good)
            flood = [stack.enter_context(connected(worker.url)) for _ in range(100)]
            # A connection that is refused is counted until the loop has come round to its end.
            eventually(lambda: leftovers(worker)["connections"] <= 2 + SPARE_CONNECTIONS)
            check_serving(worker, good)
            assert error_of(flood[-1].read()) == (503, "too_many_connections")
            assert flood[-1].is_closed()
        eventually(lambda: leftovers(worker)["connections"] == 0)
        check_serving(worker)


def test_one_address_is_held_to_its_share(start_worker: StartWorker, plan_of: PlanOf) -> None:
    """If told to, a worker takes only some connections from one address."""
    with start_worker({"affine": plan_of("affine")}, max_connections_per_address=1) as worker:
        eventually(lambda: ask(worker, get(HEALTH)).status == 200)
        eventually(lambda: leftovers(worker)["connections"] == 0)
        with connected(worker.url) as first:
            check_serving(worker, first)
            with connected(worker.url) as second:
                assert error_of(second.read()) == (503, "too_many_connections")
                assert second.is_closed()
            check_serving(worker, first)
        eventually(lambda: leftovers(worker)["connections"] == 0)
        check_serving(worker)
