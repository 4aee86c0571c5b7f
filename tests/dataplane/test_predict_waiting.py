"""Requests that wait: for how long, for how many, and what becomes of them when something fails."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from server.dataplane.call import Call
from server.engine.admission import Room
from server.errors import ModelFailed
from server.protocol.answers import InferAnswer
from server.protocol.errors import INTERNAL_TEXT
from server.protocol.request_headers import PLAIN, InferHeaders
from tests.dataplane.conftest import PlanOf
from tests.support.asking import (
    ask,
    check_nothing_left,
    check_serving,
    data_of,
    error_of,
    infer_body,
    leftovers,
    turn,
)
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import connected, post

HELD = "/v2/models/held/infer"
SLOW = "/v2/models/slow/infer"


class Recorded(Call):
    """A call whose answers are kept; `fault` is raised instead of keeping a good one."""

    def __init__(self, fault: Exception | None = None) -> None:
        super().__init__()
        self.answers: list[InferAnswer | Exception] = []
        self.fault = fault

    def answered(self, answer: InferAnswer | Exception) -> None:
        if self.fault is not None and isinstance(answer, InferAnswer):
            raise self.fault
        self.answers.append(answer)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker whose model `held` has room for four rows and runs when three are there."""
    plans = {
        "affine": plan_of("affine", max_rows=8),
        "held": plan_of("affine", max_rows=3, queue_rows=4, max_delay_ms=10_000),
        "slow": plan_of("slow", max_rows=1, execution="thread", max_queue_ms=60_000),
    }
    folder = tmp_path_factory.mktemp("held")
    with InProcessWorker(folder, plans, max_request_timeout_ms=9_000) as worker:
        yield worker


def asked(path: str, rows: list[list[float]], *headers: str) -> bytes:
    """Return an inference request, in V1 where the path is of V1."""
    body = json.dumps({"instances": rows}).encode() if ":predict" in path else infer_body(rows)
    return post(path, body, *headers)


def submit(
    worker: InProcessWorker, call: Call, body: bytes, model: str = "affine", **more: Any
) -> None:
    """Give a call to the predictor."""
    target = worker.worker.plane.routes.table.find(model, "1")
    headers = more.pop("headers", PLAIN)
    predictor = worker.worker.plane.predictor
    worker.on_loop(lambda: predictor.submit(call, target, body, headers, **more))


def outcomes(worker: InProcessWorker, code: str) -> int:
    """Return how often an outcome of the affine model was counted."""
    served = worker.worker.loader.loaded["affine", "1"]
    count: int = worker.on_loop(lambda: served.telemetry.tally.outcomes[code])
    return count


@pytest.mark.parametrize("path", [HELD, HELD + "?cold", "/v1/models/held:predict"])
@pytest.mark.parametrize("rows", [3, 4])
def test_a_full_queue_refuses_at_once(held: InProcessWorker, path: str, rows: int) -> None:
    """A request that the queue cannot take, whole or in parts, gets 503 while others wait."""
    check_nothing_left(held)
    with connected(held.url) as waiting, connected(held.url) as client:
        waiting.send(asked(HELD, [[1, 2, 3]] * 2))
        eventually(lambda: leftovers(held)["queued_rows"] == 2)
        client.send(asked(path, [[1, 2, 3]] * rows))
        answer = client.read()
        assert error_of(answer) == (503, "queue_full")
        assert answer.header("retry-after") in ("1", "2", "3")
        assert answer.header("x-shed-reason") == "queue_rows"
        assert b"queue holds 2 " in answer.body
        assert b"of 4" in answer.body
        assert leftovers(held)["queued_rows"] == 2
        assert leftovers(held)["in_flight"] == 1
        check_serving(held, client)

        client.send(asked(path, [[4, 5, 6]]))
        assert client.read().status == 200
        assert data_of(waiting.read()) == [3, 5, 7] * 2


@pytest.mark.parametrize(
    ("in_header", "in_body", "seconds"),
    [
        (None, None, 5.0),
        (2000, None, 2.0),
        (None, 3_000_000, 3.0),
        (2000, 3_000_000, 2.0),
        (3000, 2_000_000, 2.0),
        (8000, None, 8.0),
        (999_999_999, None, 9.0),
        (None, 10**12, 9.0),
        (None, 0, 5.0),
        (1000, 0, 1.0),
    ],
)
def test_the_shortest_wait_asked_for_counts(
    held: InProcessWorker, in_header: int | None, in_body: int | None, seconds: float
) -> None:
    """Header, body or default decide how long a request may wait, up to the longest allowed."""
    parameters: dict[str, Any] = {} if in_body is None else {"parameters": {"timeout": in_body}}
    headers = InferHeaders(timeout_seconds=None if in_header is None else in_header / 1000)
    call = Recorded()
    submit(held, call, infer_body([[1, 2, 3]], **parameters), "held", headers=headers)
    call.is_gone = True

    assert call.deadline - call.arrived == pytest.approx(seconds)
    assert data_of(ask(held, asked(HELD, [[1, 2, 3]] * 2))) == [3, 5, 7] * 2
    assert call.answers == []
    check_nothing_left(held)


def forget_speed(worker: InProcessWorker) -> None:
    """Leave the worker as if nobody knew how slow the slow model is."""
    batcher = worker.worker.loader.loaded["slow", "1"].batcher

    def forget() -> None:
        batcher.room = Room(batcher.room.policy)
        batcher.expect(0.0)

    worker.on_loop(forget)


TOO_SHORT = [
    asked(SLOW, [[9]], "X-Request-Timeout-Ms: 1"),
    asked(SLOW + "?cold", [[9]], "grpc-timeout: 1000u"),
    asked("/v1/models/slow:predict", [[9]], "x-envoy-expected-rq-timeout-ms: 1"),
    post(SLOW, infer_body([[9]], parameters={"timeout": 1})),
]


@pytest.mark.parametrize("request_bytes", TOO_SHORT, ids=["ours", "grpc", "envoy", "body"])
def test_a_deadline_that_passes_in_the_queue_is_504(
    held: InProcessWorker, request_bytes: bytes
) -> None:
    """A request that waits behind slow batches for longer than it wants to is not run."""
    forget_speed(held)
    with connected(held.url) as slow, connected(held.url) as client:
        slow.send(b"".join(asked(SLOW, [[number]]) for number in range(4)))
        eventually(lambda: leftovers(held)["queued_rows"])
        client.send(request_bytes)
        assert error_of(client.read()) == (504, "deadline_queue")
        assert [data_of(slow.read()) for _ in range(4)] == [[0], [1], [2], [3]]
        check_serving(held, client)


@pytest.mark.parametrize("request_bytes", TOO_SHORT, ids=["ours", "grpc", "envoy", "body"])
def test_a_deadline_that_will_pass_in_the_queue_is_told_at_once(
    held: InProcessWorker, request_bytes: bytes
) -> None:
    """When the model's speed is known, nobody waits for an answer that would come too late."""
    assert data_of(ask(held, asked(SLOW, [[5]]))) == [5]
    with connected(held.url) as slow, connected(held.url) as client:
        slow.send(b"".join(asked(SLOW, [[number]]) for number in range(4)))
        eventually(lambda: leftovers(held)["queued_rows"] > 1)
        client.send(request_bytes)
        answer = client.read()
        assert error_of(answer) == (503, "overloaded")
        assert answer.header("x-shed-reason") == "deadline"
        assert [data_of(slow.read()) for _ in range(4)] == [[0], [1], [2], [3]]
        check_serving(held, client)


def test_who_has_time_left_waits_for_its_turn(held: InProcessWorker) -> None:
    """A deadline that leaves time for what is ahead refuses nobody."""
    with connected(held.url) as slow, connected(held.url) as client:
        slow.send(b"".join(asked(SLOW, [[number]]) for number in range(4)))
        eventually(lambda: leftovers(held)["queued_rows"])
        client.send(asked(SLOW, [[9]], "X-Request-Timeout-Ms: 8000"))
        assert data_of(client.read()) == [9]
        assert [data_of(slow.read()) for _ in range(4)] == [[0], [1], [2], [3]]


def test_an_unexpected_fault_answers_its_caller_and_nobody_else(held: InProcessWorker) -> None:
    """A decoder that raises what it should not costs one request, which is counted and let go."""
    fault = RuntimeError("of the decoder")

    def decode(*_: object) -> Any:
        raise fault

    before = outcomes(held, "internal")
    call = Recorded()
    submit(held, call, b"{}", decode=decode)

    assert call.answers == [fault]
    assert outcomes(held, "internal") == before + 1
    check_nothing_left(held)
    check_serving(held)


@pytest.mark.parametrize("rows", [1, 20])
def test_a_caller_that_cannot_take_its_answer_gets_an_error(
    held: InProcessWorker, rows: int
) -> None:
    """If writing an answer fails, whole or put together from parts, the call ends all the same."""
    before = outcomes(held, "internal")
    call, mate = Recorded(RuntimeError("of the writer")), Recorded()
    target = held.worker.plane.routes.table.find("affine", None)
    predictor = held.worker.plane.predictor

    def submit_both() -> None:
        predictor.submit(call, target, infer_body([[1, 2, 3]] * rows), PLAIN)
        predictor.submit(mate, target, infer_body([[1, 2, 3]]), PLAIN)

    held.on_loop(submit_both)
    check_nothing_left(held)

    (error,) = call.answers
    assert str(error) == INTERNAL_TEXT
    assert [type(answer) for answer in mate.answers] == [InferAnswer]
    assert outcomes(held, "internal") == before + 1


def test_a_large_request_whose_caller_leaves_is_dropped(held: InProcessWorker) -> None:
    """The parts of a request that nobody waits for any more are not run, and it is counted once."""
    before = outcomes(held, "client_gone")
    call = Recorded()
    target = held.worker.plane.routes.table.find("affine", None)

    def submit_and_leave() -> None:
        held.worker.plane.predictor.submit(call, target, infer_body([[1, 2, 3]] * 20), PLAIN)
        call.is_gone = True

    held.on_loop(submit_and_leave)
    check_nothing_left(held)

    assert call.answers == []
    assert outcomes(held, "client_gone") == before + 1


def test_an_error_for_somebody_who_left_is_told_to_nobody(held: InProcessWorker) -> None:
    """A call whose caller has left takes neither answer nor error, and counts as left."""
    call = Recorded()
    call.is_gone = True

    assert call.fail(ModelFailed("too late")) == "client_gone"
    assert call.fail(None) == "client_gone"
    assert call.answers == []
    check_serving(held)


@pytest.mark.parametrize("path", [HELD, HELD + "?cold", "/v1/models/held:predict"])
def test_the_time_runs_from_the_first_byte(held: InProcessWorker, path: str) -> None:
    """A request whose body comes too late is not even read; the next one has its own time."""
    with connected(held.url) as client:
        late = asked(path, [[1, 2, 3]] * 3, "X-Request-Timeout-Ms: 30")
        client.send(late[:-20])
        turn(held)
        sent = time.monotonic()
        eventually(lambda: time.monotonic() > sent + 0.035)
        client.send(late[-20:])
        assert error_of(client.read()) == (504, "deadline_queue")

        in_time = asked(path, [[1, 2, 3]] * 3, "X-Request-Timeout-Ms: 8000")
        client.send(in_time[:-20])
        turn(held)
        client.send(in_time[-20:])
        assert client.read().status == 200
        check_serving(held, client)
