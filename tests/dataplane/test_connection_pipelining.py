"""Several requests on one connection: in order, each with its own rows, and never too many."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from server.http.connection import MAX_PIPELINED, Connection
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
    send_pieces,
    turn,
)
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import connected, get, post

COLD_AFFINE = "/v2/models/affin%65/infer"
HELD = "/v2/models/held/infer"
COLD_HELD = "/v2/models/hel%64/infer"


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker whose model `held` answers a row only when a second one comes; see `release`."""
    plans = {
        "affine": plan_of("affine", max_rows=8),
        "held": plan_of("affine", max_rows=2, max_delay_ms=10_000),
    }
    folder: Path = tmp_path_factory.mktemp("gated")
    with InProcessWorker(folder, plans, max_in_flight_bytes=1 << 20) as worker:
        yield worker


def release(worker: InProcessWorker) -> None:
    """Let the one request that waits for `held` be answered."""
    assert data_of(ask(worker, post(HELD, infer_body([[0, 0, 0]])))) == [1, 1, 1]


def line_of(worker: InProcessWorker) -> int:
    """Return how many exchanges stand in the line of the only connection."""

    def look() -> int:
        (connection,) = worker.worker.plane.connections
        assert isinstance(connection, Connection)
        return len(connection._exchanges)

    length: int = worker.on_loop(look)
    return length


def affine(row: list[float], *, is_hot: bool = True) -> bytes:
    return post(AFFINE if is_hot else COLD_AFFINE, infer_body([row]))


_KINDS = st.sampled_from(["hot", "cold", "get", "head", "bad", "rows", "missing", "slow"])


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    kinds=st.lists(_KINDS, min_size=1, max_size=2 * MAX_PIPELINED), in_pieces=st.booleans()
)
def test_answers_come_in_the_order_of_their_requests(
    worker: InProcessWorker, kinds: list[str], *, in_pieces: bool
) -> None:
    """Hot and cold, good and bad, fast and slow requests are answered in order, with own rows."""
    requests = []
    for number, kind in enumerate(kinds):
        row = [number, 0.5, -number]
        requests.append(
            {
                "hot": affine(row),
                "cold": affine(row, is_hot=False),
                "get": get(f"/v2/models/affine?{number}"),
                "head": b"HEAD /v2/models/affine HTTP/1.1\r\nHost: test\r\n\r\n",
                "bad": post(AFFINE, b"{", f"X-Request-Id: id-{number}"),
                "rows": post(AFFINE, infer_body([row] * 9)),
                "missing": get(f"/nowhere/{number}"),
                "slow": post("/v2/models/slow/infer", infer_body([[number]])),
            }[kind]
        )
    with connected(worker.url) as client:
        send_pieces(worker, client, requests if in_pieces else [b"".join(requests)])
        for number, kind in enumerate(kinds):
            answer = client.read(has_body=kind != "head")
            row = [number, 0.5, -number]
            match kind:
                case "hot" | "cold":
                    assert data_of(answer) == affine_data(row)
                case "rows":
                    assert data_of(answer) == affine_data([row] * 9)
                case "slow":
                    assert data_of(answer) == [number]
                case "bad":
                    assert error_of(answer) == (400, "bad_json")
                    assert answer.header("x-request-id") == f"id-{number}"
                case "missing":
                    assert error_of(answer) == (404, "not_found")
                    assert f"/nowhere/{number}".encode() in answer.body
                case _:
                    assert answer.status == 200
        check_serving(worker, client)


def test_a_big_pipeline_is_answered_whole(worker: InProcessWorker) -> None:
    """A thousand requests sent at once are answered one by one, in order."""
    requests = b"".join(affine([number, 0, 0], is_hot=number % 10 != 9) for number in range(1000))
    with connected(worker.url) as client:
        client.send(requests)
        for number in range(1000):
            assert data_of(client.read()) == affine_data([number, 0, 0])


@pytest.mark.parametrize("path", [HELD, COLD_HELD])
def test_a_long_line_is_not_made_longer(gated: InProcessWorker, path: str) -> None:
    """A connection with as many requests as it may have is not read until they are answered."""
    check_nothing_left(gated)
    some = b"".join(get(f"/v2/models/affine?{number}") for number in range(MAX_PIPELINED + 8))
    with connected(gated.url) as client:
        send_pieces(gated, client, [post(path, infer_body([[1, 2, 3]])) + some, some, some])
        turn(gated)
        assert line_of(gated) == MAX_PIPELINED + 9

        release(gated)
        assert data_of(client.read()) == affine_data([1, 2, 3])
        for _ in range(3 * (MAX_PIPELINED + 8)):
            assert client.read().status == 200
        check_serving(gated, client)


def test_bodies_that_wait_in_the_line_count_as_in_flight(gated: InProcessWorker) -> None:
    """Cold requests behind a slow answer take from the budget, and end the line if it is used up.

    Without that, a single connection could make the worker hold any number of large bodies.
    """
    check_nothing_left(gated)
    waiting = post(COLD_AFFINE, infer_body([[1, 2, 3]]) + b" " * 300_000)
    with connected(gated.url) as client:
        send_pieces(gated, client, [post(HELD, infer_body([[1, 2, 3]])), *[waiting] * 3])
        eventually(lambda: leftovers(gated)["bytes"] > 900_000)
        client.send(waiting)
        eventually(lambda: line_of(gated) == 5)
        check_serving(gated)

        release(gated)
        assert [client.read().status for _ in range(4)] == [200] * 4
        assert error_of(client.read()) == (503, "memory_budget")
        assert client.is_closed()
    check_nothing_left(gated)


def test_a_line_that_is_given_up_holds_nothing(gated: InProcessWorker) -> None:
    """When the client leaves, or its line ends in a bad target, what waited is let go."""
    check_nothing_left(gated)
    waiting = post(COLD_AFFINE, infer_body([[1, 2, 3]]) + b" " * 300_000)
    for last in (waiting, post("/%ff", b" " * 300_000)):
        with connected(gated.url) as client:
            send_pieces(gated, client, [post(HELD, infer_body([[1, 2, 3]])), waiting, last])
            eventually(lambda: leftovers(gated)["bytes"] > 300_000)
        eventually(lambda: leftovers(gated)["connections"] == 0)
        release(gated)
        check_nothing_left(gated)


def test_a_refusal_waits_for_its_turn(gated: InProcessWorker) -> None:
    """Bytes that are no request end the connection after the answers to the requests before."""
    with connected(gated.url) as client:
        client.send(post(HELD, infer_body([[1, 2, 3]])) + affine([1, 1, 1], is_hot=False))
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + affine([2, 2, 2]))
        turn(gated)
        release(gated)

        assert data_of(client.read()) == affine_data([1, 2, 3])
        assert data_of(client.read()) == affine_data([1, 1, 1])
        refusal = client.read()
        assert error_of(refusal) == (400, "bad_http")
        assert refusal.header("connection") == "close"
        assert client.is_closed()


def test_nothing_is_answered_after_a_request_to_close(worker: InProcessWorker) -> None:
    """Requests behind one with Connection: close get no answer."""
    closing = post(AFFINE, infer_body([[1, 2, 3]]), "Connection: close")
    for behind in (affine([2, 2, 2]), affine([2, 2, 2], is_hot=False), b"no request\r\n\r\n"):
        with connected(worker.url) as client:
            client.send(closing + behind)
            answer = client.read()
            assert data_of(answer) == affine_data([1, 2, 3])
            assert answer.header("connection") == "close"
            assert client.is_closed()


def _expecting(path: str, body: bytes) -> bytes:
    return post(path, body, "Expect: 100-continue")[: -len(body)]


@pytest.mark.parametrize("path", [AFFINE, COLD_AFFINE])
def test_permission_to_send_comes_at_once(worker: InProcessWorker, path: str) -> None:
    """A client that waits for 100 Continue is told to go on, and then gets one answer."""
    body = infer_body([[1, 2, 3]])
    with connected(worker.url) as client:
        client.send(_expecting(path, body))
        assert client.read().status == 100
        client.send(body)
        assert data_of(client.read()) == affine_data([1, 2, 3])
        check_serving(worker, client)


@pytest.mark.parametrize("first", [HELD, COLD_HELD])
def test_permission_to_send_waits_for_its_turn(gated: InProcessWorker, first: str) -> None:
    """100 Continue never stands before the answers to earlier requests."""
    body = infer_body([[4, 5, 6]])
    with connected(gated.url) as client:
        send_pieces(
            gated, client, [post(first, infer_body([[1, 2, 3]])) + _expecting(AFFINE, body)]
        )
        release(gated)
        assert data_of(client.read()) == affine_data([1, 2, 3])
        assert client.read().status == 100
        client.send(body)
        assert data_of(client.read()) == affine_data([4, 5, 6])


def test_no_permission_is_needed_once_the_body_is_there(gated: InProcessWorker) -> None:
    """A client that sends its body without waiting is not told to go on afterwards."""
    with connected(gated.url) as client:
        body = infer_body([[4, 5, 6]])
        send_pieces(gated, client, [post(HELD, infer_body([[1, 2, 3]])), _expecting(AFFINE, body)])
        send_pieces(gated, client, [body])
        release(gated)
        assert [client.read().status for _ in range(2)] == [200, 200]
        check_serving(gated, client)


def test_permission_is_refused_for_a_body_that_is_too_large(worker: InProcessWorker) -> None:
    """The answer to a size that is not allowed is 413 at once, without 100 Continue."""
    head = f"POST {AFFINE} HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 40}\r\n"
    with connected(worker.url) as client:
        client.send(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert error_of(client.read()) == (413, "payload_too_large")
        assert client.is_closed()
    check_serving(worker)


def test_offers_of_other_protocols_are_ignored(worker: InProcessWorker) -> None:
    """An offer to upgrade is answered like any request, its body and what follows it as well."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    with connected(worker.url) as client:
        client.send(post(AFFINE, infer_body([[1, 2, 3]]), *offer) + get("/v2", *offer))
        assert data_of(client.read()) == affine_data([1, 2, 3])
        assert client.read().status == 200
        check_serving(worker, client)


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Content-Length: 0\r\nContent-Length: 4",
        "Content-Length: 0, 4",
        "Content-Length: 4\r\n 0",
        "Content-Length : 0",
    ],
)
@pytest.mark.parametrize("path", [AFFINE, COLD_AFFINE])
def test_an_ambiguous_request_gets_one_answer(
    worker: InProcessWorker, framing: str, path: str
) -> None:
    """What could be read as one request or as two is refused once, and the connection ends."""
    request = f"POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode()
    with connected(worker.url) as client:
        client.send(request + b"0\r\n\r\n" + get("/v2"))
        assert error_of(client.read()) == (400, "bad_http")
        assert client.is_closed()
    check_serving(worker)


def test_a_tunnel_is_refused_with_one_answer(worker: InProcessWorker) -> None:
    """CONNECT is refused, and what follows it is not read."""
    for target in ("/", "test:80"):
        head = f"CONNECT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n".encode()
        with connected(worker.url) as client:
            client.send(head + get("/v2"))
            assert error_of(client.read()) == (400, "bad_http")
            assert client.is_closed()
