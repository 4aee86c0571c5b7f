"""Who is let in when there is little room: priorities, and the bytes of one model."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from server.dataplane.call import Call
from server.engine.admission import RoomPolicy
from server.errors import MemoryBudget, Overloaded, QueueFull
from server.protocol.answers import InferAnswer
from server.protocol.priorities import HIGH, LOW, NORMAL
from server.protocol.request_headers import InferHeaders
from tests.dataplane.conftest import PlanOf, StartWorker
from tests.support.asking import (
    ask,
    check_nothing_left,
    check_serving,
    data_of,
    error_of,
    infer_body,
)
from tests.support.dataplane import InProcessWorker
from tests.support.raw import get, post

ROW = [[1.0, 2.0, 3.0]]
MEBIBYTE = 1 << 20


class Recorded(Call):
    """A call whose answers are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[InferAnswer | Exception] = []

    def answered(self, answer: InferAnswer | Exception) -> None:
        self.answers.append(answer)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker whose model `held` waits for eight rows, which its callers then all bring."""
    plans = {
        "affine": plan_of("affine", max_rows=8),
        "held": plan_of("affine", max_rows=8, max_delay_ms=10_000),
    }
    folder = tmp_path_factory.mktemp("room")
    with InProcessWorker(folder, plans, max_in_flight_bytes=MEBIBYTE) as worker:
        yield worker


def submit(
    worker: InProcessWorker, priority: int = NORMAL, padding: int = 0, **more: Any
) -> Recorded:
    """Give a call of one row to the predictor; to be called on the worker's loop."""
    call = Recorded()
    target = worker.worker.plane.routes.table.find("held", "1")
    body = infer_body(ROW, **more) + b" " * padding
    worker.worker.plane.predictor.submit(call, target, body, InferHeaders(priority=priority))
    return call


def let_go(worker: InProcessWorker, waiting: int) -> None:
    """Fill the batch that is held, so that nothing is left."""
    room = worker.worker.loader.loaded["held", "1"].batcher.room
    worker.on_loop(room.guess, 0.0)
    rest = ROW * (8 - waiting)
    assert data_of(ask(worker, post("/v2/models/held/infer", infer_body(rest)))) == [3, 5, 7] * len(
        rest
    )
    check_nothing_left(worker)


@pytest.mark.parametrize(
    ("in_header", "in_body", "room"),
    [
        (NORMAL, None, 4),
        (NORMAL, 0, 4),
        (NORMAL, 1, 5),
        (NORMAL, 2, 4),
        (NORMAL, 3, 2),
        (HIGH, None, 5),
        (HIGH, 3, 2),
        (LOW, None, 2),
        (LOW, 1, 5),
        (LOW, 2, 4),
    ],
)
def test_low_priority_has_half_of_the_room_and_high_a_quarter_more(
    held: InProcessWorker, in_header: int, in_body: int | None, room: int
) -> None:
    """What the body says goes before the header; 0 says nothing."""
    bound = held.worker.loader.loaded["held", "1"].batcher.room
    more: dict[str, Any] = {} if in_body is None else {"parameters": {"priority": in_body}}

    def fill() -> list[Recorded]:
        bound.policy = RoomPolicy(queue_rows=8192, max_queue_seconds=0.0051, full_rows=1)
        bound.guess(0.001)
        assert bound.rows == (5, 4, 2)
        return [submit(held, in_header, **more) for _ in range(room + 1)]

    *admitted, refused = held.on_loop(fill)

    assert [call.answers for call in admitted] == [[]] * room
    [error] = refused.answers
    assert isinstance(error, Overloaded)
    assert error.shed_reason == ("low_priority" if room == 2 else "queue_wait")
    let_go(held, room)
    assert [type(call.answers[0]) for call in admitted] == [InferAnswer] * room
    check_serving(held)


def test_who_is_refused_is_told_to_come_back_at_different_times(held: InProcessWorker) -> None:
    """If all came back after one second, the next second would be as bad."""
    bound = held.worker.loader.loaded["held", "1"].batcher.room

    def fill() -> list[Recorded]:
        bound.policy = RoomPolicy(queue_rows=8192, max_queue_seconds=0.0051, full_rows=1)
        bound.guess(0.001)
        return [submit(held) for _ in range(13)][4:]

    refused = held.on_loop(fill)

    seconds = [error.retry_after_seconds for call in refused for error in call.answers]
    assert sorted(seconds) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    let_go(held, 4)


def test_one_model_leaves_bytes_for_another(held: InProcessWorker) -> None:
    """However many bytes wait for a model, a request to another one is read and answered."""

    def fill() -> list[Recorded]:
        return [submit(held, padding=200_000) for _ in range(5)]

    calls = held.on_loop(fill)

    refused = [call for call in calls if call.answers]
    assert len(refused) == 1
    [error] = refused[0].answers
    assert isinstance(error, MemoryBudget)
    assert held.worker.plane.budget.used < MEBIBYTE * 0.81
    check_serving(held)
    let_go(held, 4)


def test_a_caller_over_its_quota_is_told_when_to_come_back(
    start_worker: StartWorker, plan_of: PlanOf
) -> None:
    """Whichever way it asks, the same bucket counts; health and metadata are not inferences."""
    v1 = b'{"instances": [[1, 2, 3]]}'
    requests = [
        post("/v2/models/affine/infer", infer_body(ROW)),
        post("/v2/models/affine/infer?cold", infer_body(ROW)),
        post("/v1/models/affine:predict", v1),
    ]
    limits = {"quota_requests_per_second": 0.01, "quota_burst": 3}
    with start_worker({"affine": plan_of("affine")}, **limits) as worker:
        assert [ask(worker, request).status for request in requests] == [200] * 3
        for request in requests:
            answer = ask(worker, request)
            assert error_of(answer) == (429, "quota_exceeded")
            assert answer.header("x-shed-reason") == "quota"
            assert 90 < int(answer.header("retry-after") or 0) <= 100
        assert ask(worker, get("/v2/health/live")).status == 200
        assert ask(worker, get("/v2/models/affine")).status == 200
        check_nothing_left(worker)


def test_a_queue_with_all_its_rows_is_full_whatever_the_speed(held: InProcessWorker) -> None:
    """The bound in rows has a code of its own, because another setting moves it."""
    batcher = held.worker.loader.loaded["held", "1"].batcher
    before = batcher.limits

    def fill() -> list[Recorded]:
        batcher.limits = replace(before, queue_rows=3)
        batcher.room.policy = RoomPolicy(queue_rows=3, max_queue_seconds=60.0, full_rows=1)
        batcher.room.guess(0.001)
        return [submit(held) for _ in range(4)]

    *_, refused = held.on_loop(fill)
    batcher.limits = before
    batcher.room.policy = RoomPolicy(before.queue_rows, max_queue_seconds=60.0, full_rows=1)

    [error] = refused.answers
    assert isinstance(error, QueueFull)
    assert str(error) == "the model's queue holds all the 3 rows it may"
    let_go(held, 3)
