"""The batcher's queue: its bound, deadlines, callers who leave, holding for company."""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.batching import Closed, Execution
from server.errors import DeadlineQueue, QueueFull
from tests.support import models
from tests.support.batches import Bench, Counted, Gate, Request, on_loop, opened, rows

TOO_LATE = (DeadlineQueue, "the deadline passed while the request waited")
LONG_SECONDS = 3600.0


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """An affine model whose runs wait to be let through."""
    return opened(tmp_path, models.affine(), Gate)


@pytest.fixture(scope="module")
def affine(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A model that answers 2x + 1."""
    return opened(tmp_path_factory.mktemp("affine"), models.affine(), Counted)


def test_a_full_queue_refuses_at_once_and_says_how_full_it_is(affine: Counted) -> None:
    """The bound counts rows and is inclusive; who was refused leaves no trace."""

    async def scenario() -> None:
        bench = Bench(affine, queue_rows=5)
        requests = [Request(rows(1, 2, 3)), Request(rows(4, 5))]
        bench.submit(*requests)
        text = "the model's queue holds 5 rows of 5, and the request has 1"
        with pytest.raises(QueueFull, match=text):
            bench.submit(Request(rows(6)))
        assert bench.batcher.queued_rows == 5
        for request in requests:
            await request.answer()

        bench.submit(fits := Request(rows(1, 2, 3, 4, 5)))
        assert len((await fits.answer())[0]) == 5

    on_loop(scenario)


@settings(max_examples=40)
@given(counts=st.lists(st.integers(1, 8), max_size=20), limit=st.integers(1, 30))
def test_what_waits_never_exceeds_the_bound(affine: Counted, counts: list[int], limit: int) -> None:
    """Of any requests in one turn, exactly those that still fit are taken, and all answered."""

    async def scenario() -> None:
        bench = Bench(affine, queue_rows=limit)
        taken: list[Request] = []
        for count in counts:
            request = Request(rows(*range(count)))
            fits = sum(one.rows for one in taken) + count <= limit
            try:
                bench.submit(request)
            except QueueFull:
                assert not fits
            else:
                assert fits
                taken.append(request)
            assert bench.batcher.queued_rows == sum(one.rows for one in taken)
        for request in taken:
            await request.answer()

    on_loop(scenario)


def test_who_has_left_or_is_too_late_never_reaches_the_model(affine: Counted) -> None:
    """They leave before the run, each in its own way; the others' rows are theirs as always."""
    affine.rows.clear()

    async def scenario() -> None:
        bench = Bench(affine)
        gone, late = Request(rows(1, 1)), Request(rows(2), lives_seconds=-1.0)
        both, first, last = Request(rows(5), lives_seconds=-1.0), Request(rows(3)), Request(rows(4))
        gone.is_gone = both.is_gone = True
        bench.submit(first, gone, late, both, last)

        assert [(await one.answer())[0].tolist() for one in (first, last)] == [
            rows(7).tolist(),
            rows(9).tolist(),
        ]
        assert await late.failure() == TOO_LATE
        assert gone.fate.cancelled()
        assert both.fate.cancelled()
        assert bench.dropped == [gone, late, both]
        [batch] = bench.finished
        assert batch.entries == [first, last]
        assert bench.batcher.queued_rows == 0

    on_loop(scenario)
    assert affine.rows == [2]


def test_a_queue_of_nobody_who_waits_runs_nothing(affine: Counted) -> None:
    """If all have left, there is no batch, and the next caller is served."""
    affine.rows.clear()

    async def scenario() -> None:
        bench = Bench(affine)
        gone = Request(rows(1))
        gone.is_gone = True
        bench.submit(gone)
        await asyncio.wait([gone.fate])
        assert not bench.finished
        bench.submit(request := Request(rows(2)))
        await request.answer()

    on_loop(scenario)
    assert affine.rows == [1]


def test_a_caller_who_leaves_during_the_run_does_not_disturb_it(gate: Gate) -> None:
    """What runs is finished for its mates, who get their own rows and not those next to them."""

    async def scenario() -> None:
        bench = Bench(gate, execution=Execution.THREAD)
        leaving, staying = Request(rows(1)), Request(rows(2))
        bench.submit(leaving, staying)
        await gate.has_begun()
        leaving.is_gone = True
        gate.let_through()

        assert (await staying.answer())[0].tolist() == rows(5).tolist()
        await bench.batcher.drain()

    on_loop(scenario)


def test_a_deadline_that_passes_while_the_model_is_busy_is_told_meanwhile(gate: Gate) -> None:
    """Nobody waits for the end of a long run to hear that it is too late, or to be let go."""

    async def scenario() -> None:
        bench = Bench(gate, execution=Execution.THREAD)
        bench.submit(running := Request(rows(1)))
        await gate.has_begun()
        late, gone = Request(rows(2, 2), lives_seconds=0.01), Request(rows(3))
        patient = Request(rows(4))
        gone.is_gone = True
        bench.submit(late, gone, patient)

        assert await late.failure() == TOO_LATE
        await asyncio.wait([gone.fate])
        assert not running.fate.done()
        assert bench.batcher.queued_rows == 1
        gate.let_through(2)
        assert (await patient.answer())[0][0, 0] == 9
        await running.answer()
        await bench.batcher.drain()

    on_loop(scenario)


def test_deadlines_are_watched_for_as_long_as_the_model_is_busy(gate: Gate) -> None:
    """One look is not enough: after one request was told that it is too late, so is the next."""

    async def scenario() -> None:
        bench = Bench(gate, execution=Execution.THREAD)
        bench.submit(running := Request(rows(1)))
        await gate.has_begun()
        waiting = [Request(rows(value)) for value in (2, 3, 4)]
        bench.submit(*waiting)
        for request in reversed(waiting):
            request.deadline = time.perf_counter() - 1
            assert await request.failure() == TOO_LATE
        assert bench.dropped == waiting[::-1]
        gate.let_through()
        await running.answer()
        await bench.batcher.drain()

    on_loop(scenario)


def test_a_full_queue_has_room_again_when_those_in_it_are_too_late(gate: Gate) -> None:
    """Rows of requests that expired do not count any more."""

    async def scenario() -> None:
        bench = Bench(gate, queue_rows=3, execution=Execution.THREAD)
        bench.submit(running := Request(rows(1)))
        await gate.has_begun()
        bench.submit(late := Request(rows(1, 2, 3), lives_seconds=0.01))
        with pytest.raises(QueueFull):
            bench.submit(Request(rows(4)))
        await late.error()
        bench.submit(request := Request(rows(4)))
        gate.let_through(2)
        await running.answer()
        await request.answer()
        await bench.batcher.drain()

    on_loop(scenario)


def test_a_delay_gathers_requests_of_several_turns(affine: Counted) -> None:
    """With a delay, what comes in later turns of the loop still shares the batch."""

    async def scenario() -> None:
        bench = Bench(affine, max_delay_seconds=0.5)
        requests = [Request(rows(value)) for value in range(3)]
        for request in requests:
            bench.submit(request)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for request in requests:
            await request.answer()

        [batch] = bench.finished
        assert batch.entries == requests
        assert batch.closed is Closed.DELAY
        assert batch.started >= requests[0].arrived + 0.5

    on_loop(scenario)


def test_a_full_batch_does_not_wait_for_the_delay(affine: Counted) -> None:
    """An hour's delay is no delay for a batch that can take no more."""

    async def scenario() -> None:
        bench = Bench(affine, max_rows=4, max_delay_seconds=LONG_SECONDS)
        bench.submit(first := Request(rows(1, 2)))
        await asyncio.sleep(0.01)
        bench.submit(second := Request(rows(3, 4)))
        await first.answer()
        await second.answer()

        assert [batch.closed for batch in bench.finished] == [Closed.FULL]

    on_loop(scenario)


def test_a_deadline_shorter_than_the_delay_is_kept(affine: Counted) -> None:
    """A caller with less time than the delay is answered, not held until it is too late."""

    async def scenario() -> None:
        bench = Bench(affine, max_delay_seconds=LONG_SECONDS)
        bench.submit(request := Request(rows(1), lives_seconds=3.0))

        assert (await request.answer())[0].tolist() == rows(3).tolist()
        assert request.batch is not None
        assert request.batch.started < request.deadline

    on_loop(scenario)


def test_a_newcomer_with_little_time_ends_the_hold_for_all(affine: Counted) -> None:
    """A hold that was to last an hour is cut short by whoever cannot wait that long."""

    async def scenario() -> None:
        bench = Bench(affine, max_delay_seconds=LONG_SECONDS)
        bench.submit(patient := Request(rows(1)))
        await asyncio.sleep(0.01)
        bench.submit(hasty := Request(rows(2), lives_seconds=3.0))
        await hasty.answer()
        await patient.answer()

        assert [len(batch.entries) for batch in bench.finished] == [2]

    on_loop(scenario)
