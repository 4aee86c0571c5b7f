"""Runs that do not come back, on real threads: an endless loop, and a kernel that will not stop."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from server.engine.batching import Execution
from server.engine.running import BROKEN_OFF
from server.engine.runs import Runs
from server.engine.session import Session
from server.errors import DeadlineRun
from server.tensors import Array
from tests.support import models
from tests.support.batches import Bench, Gate, Request, on_loop, opened, rows

TOO_LATE = (DeadlineRun, "the deadline passed while the model ran")
HUGE = 2**60


def count(turns: int) -> Array:
    """Return a row with which the looping model turns so often."""
    return np.array([[turns]], np.int64)


@pytest.fixture
def loop(tmp_path: Path) -> Session:
    """A model that loops as often as it is told to."""
    return opened(tmp_path, models.loop(), Session)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A model whose runs wait to be let through, and hear of nothing meanwhile."""
    return opened(tmp_path, models.affine(), Gate)


def test_an_endless_loop_is_answered_at_the_deadline_and_broken_off(loop: Session) -> None:
    """The caller hears in time, the thread is free again, and the next request is served."""

    async def scenario() -> None:
        bench = Bench(loop, execution=Execution.THREAD)
        bench.submit(request := Request(count(HUGE), lives_seconds=0.2))
        assert await request.failure() == TOO_LATE
        assert -0.001 < time.perf_counter() - request.deadline < 0.5
        bench.submit(again := Request(count(3)))
        assert (await again.answer())[0].tolist() == [[3]]
        assert [batch.left for batch in bench.finished] == [{request}, ()]
        assert not bench.hangs
        await bench.batcher.drain()

    on_loop(scenario)


def test_who_has_more_time_is_not_cut_short_by_who_has_less(gate: Gate) -> None:
    """A member that is told too late leaves the others their rows; nobody gets those of another."""

    async def scenario() -> None:
        bench = Bench(gate, execution=Execution.THREAD)
        hasty, patient = Request(rows(1), lives_seconds=0.05), Request(rows(2))
        bench.submit(hasty, patient)
        await gate.has_begun()
        assert await hasty.failure() == TOO_LATE
        assert not patient.fate.done()
        gate.let_through()
        assert (await patient.answer())[0].tolist() == rows(5).tolist()
        assert bench.dropped == [hasty]
        await bench.batcher.drain()

    on_loop(scenario)


def test_callers_that_have_all_left_stop_the_run(loop: Session) -> None:
    """What nobody waits for burns no core."""

    async def scenario() -> None:
        bench = Bench(loop, execution=Execution.THREAD)
        bench.submit(leaving := Request(count(HUGE)))
        await asyncio.sleep(0)
        leaving.is_gone = True
        bench.submit(request := Request(count(2)))
        assert (await request.answer())[0].tolist() == [[2]]
        await bench.batcher.drain()

    on_loop(scenario)


def test_a_run_that_is_far_too_long_is_broken_off_and_said_to_hang(loop: Session) -> None:
    """Callers with time left hear that it was broken off; runs in a row are counted."""

    async def scenario() -> None:
        bench = Bench(loop, execution=Execution.THREAD, hang_kill_seconds=1.0)
        for _ in range(2):
            bench.submit(request := Request(count(HUGE)))
            assert await request.failure() == (DeadlineRun, BROKEN_OFF)
        bench.submit(good := Request(count(1)))
        await good.answer()
        bench.submit(request := Request(count(HUGE)))
        await request.error()
        assert [(hang.in_a_row, hang.is_given_up) for hang in bench.hangs] == [
            (1, False),
            (2, False),
            (1, False),
        ]
        assert bench.batcher.batch_seconds < 0.5
        await bench.batcher.drain()

    on_loop(scenario)


def test_a_kernel_that_will_not_stop_is_given_up(gate: Gate) -> None:
    """Everybody in it is told, those behind can be, and it is said that the thread is lost."""

    async def scenario() -> None:
        bench = Bench(gate, execution=Execution.THREAD, hang_kill_seconds=0.05)
        bench.submit(request := Request(rows(1)))
        await gate.has_begun()
        bench.submit(behind := Request(rows(2), lives_seconds=0.1))
        await behind.error()
        assert not bench.batcher.is_stuck
        assert await request.failure() == (DeadlineRun, BROKEN_OFF)
        assert bench.batcher.is_stuck
        assert [hang.is_given_up for hang in bench.hangs] == [True]

        gate.let_through()
        await bench.batcher.drain()
        assert not bench.batcher.is_stuck
        assert len(bench.hangs) == 1

    on_loop(scenario)


def test_members_of_a_run_that_stalls_can_be_withdrawn(gate: Gate) -> None:
    """They are nobody's then: who withdrew them answers them, and the run's rows are dropped."""

    async def scenario() -> None:
        bench, other = Bench(gate, execution=Execution.THREAD), Bench(gate)
        stalled, pinned, waiting = (Request(rows(value)) for value in (1, 2, 3))
        bench.submit(stalled, pinned)
        await gate.has_begun()
        bench.submit(waiting)
        assert bench.batcher.withdraw(lambda entry: entry is waiting) == [waiting]
        await asyncio.sleep(0.15)
        assert bench.batcher.withdraw(lambda entry: entry is not pinned) == [stalled]

        gate.let_through(2)
        other.submit(stalled, waiting)
        assert (await stalled.answer())[0].tolist() == rows(3).tolist()
        assert (await pinned.answer())[0].tolist() == rows(5).tolist()
        await bench.batcher.drain()

    on_loop(scenario)


def test_a_handle_is_used_again_unless_it_broke_something_off() -> None:
    """Making one costs as much as a small run; a used up one would break off all later runs."""
    runs = Runs("m/1", 20.0, lambda _entry, _error: None, lambda _hang: None)
    handle = runs.take_handle()
    assert runs.take_handle() is not handle
    runs.give_back(handle)
    assert runs.take_handle() is handle
    handle.terminate()
    runs.give_back(handle)
    assert not runs.take_handle().is_terminated
