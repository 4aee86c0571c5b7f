"""The batcher's end: every request has its answer, and nothing is left."""

import asyncio
import gc
import threading
import time
import weakref
from pathlib import Path

import pytest

from server.engine.batching import Execution
from server.engine.session import Session
from tests.support import models
from tests.support.batches import (
    PATIENCE_SECONDS,
    Bench,
    Counted,
    Gate,
    Request,
    on_loop,
    opened,
    rows,
)
from tests.support.gateway import eventually

LONG_SECONDS = 3600.0


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """An affine model whose runs wait to be let through."""
    return opened(tmp_path, models.affine(), Gate)


@pytest.fixture(scope="module")
def affine(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A model that answers 2x + 1."""
    return opened(tmp_path_factory.mktemp("affine"), models.affine(), Counted)


def test_draining_an_idle_batcher_returns_at_once(affine: Counted) -> None:
    """With nothing to wait for, drain does not wait."""

    async def scenario() -> None:
        bench = Bench(affine)
        await asyncio.wait_for(bench.batcher.drain(), PATIENCE_SECONDS)

    on_loop(scenario)


@pytest.mark.parametrize("execution", [Execution.INLINE, Execution.THREAD])
def test_drain_returns_when_all_are_answered_and_not_before(
    affine: Counted, execution: Execution
) -> None:
    """Whatever waits in several batches is run to its end first."""

    async def scenario() -> None:
        bench = Bench(affine, max_rows=2, execution=execution)
        requests = [Request(rows(value)) for value in range(9)]
        bench.submit(*requests)
        await asyncio.wait_for(bench.batcher.drain(), PATIENCE_SECONDS)

        assert all(request.fate.done() for request in requests)
        assert len(bench.finished) == 5

    on_loop(scenario)


def test_drain_waits_for_the_run_that_goes_on(gate: Gate) -> None:
    """An empty queue is not enough: a batch is inside the model."""

    async def scenario() -> None:
        bench = Bench(gate, execution=Execution.THREAD)
        bench.submit(request := Request(rows(1)))
        await gate.has_begun()
        draining = asyncio.create_task(bench.batcher.drain())
        await asyncio.sleep(0.05)
        assert not draining.done()
        gate.let_through()
        await asyncio.wait_for(draining, PATIENCE_SECONDS)
        assert request.fate.done()

    on_loop(scenario)


def test_what_is_withdrawn_is_told_nothing_and_not_waited_for(gate: Gate) -> None:
    """Those that are wanted elsewhere leave the queue in order; the others keep their places."""

    async def scenario() -> None:
        bench = Bench(gate, max_rows=1, execution=Execution.THREAD)
        bench.submit(running := Request(rows(0)))
        await gate.has_begun()
        bench.submit(*(waiting := [Request(rows(value)) for value in (1, 2, 3)]))

        assert bench.batcher.withdraw(lambda entry: entry is not waiting[1]) == waiting[::2]
        assert bench.batcher.queued_rows == 1
        draining = asyncio.create_task(bench.batcher.drain())
        await asyncio.sleep(0)
        assert bench.batcher.withdraw(lambda _: True) == [waiting[1]]
        gate.let_through()
        await asyncio.wait_for(draining, PATIENCE_SECONDS)
        assert running.fate.done()
        assert not any(request.fate.done() for request in waiting)

    on_loop(scenario)


@pytest.mark.parametrize("leaves", [True, False], ids=["gone", "too late"])
def test_drain_returns_when_the_last_ones_are_dropped(gate: Gate, leaves: bool) -> None:
    """Requests that were held and then dropped by the watch on deadlines count as dealt with."""

    async def scenario() -> None:
        bench = Bench(gate, max_delay_seconds=LONG_SECONDS, max_rows=2, execution=Execution.THREAD)
        bench.submit(running := Request(rows(1, 1)))
        await gate.has_begun()
        bench.submit(last := Request(rows(2)))
        await asyncio.sleep(0)
        draining = asyncio.create_task(bench.batcher.drain())
        gate.let_through()
        await running.answer()
        if leaves:
            last.is_gone = True
        else:
            last.deadline = time.perf_counter() - 1
        await asyncio.wait_for(draining, PATIENCE_SECONDS)

        assert bench.dropped == [last]

    on_loop(scenario)


def test_the_threads_end_with_the_drain(affine: Counted) -> None:
    """A version that is let go leaves no idle threads, even while somebody still holds it."""
    held: list[Bench] = []
    before = set(threading.enumerate())

    async def scenario() -> None:
        bench = Bench(affine, max_rows=1, instances=3, execution=Execution.THREAD)
        held.append(bench)
        requests = [Request(rows(value)) for value in range(9)]
        bench.submit(*requests)
        await asyncio.gather(*[request.answer() for request in requests])
        assert set(threading.enumerate()) > before
        await bench.batcher.drain()

    on_loop(scenario)
    eventually(lambda: set(threading.enumerate()) <= before)


def test_nothing_holds_the_session_after_a_drain(tmp_path: Path) -> None:
    """An unloaded model's memory goes with its last reference, not with a forgotten timer."""
    session: Session | None = opened(tmp_path, models.affine(), Session)
    assert session is not None
    remembered = weakref.ref(session)

    async def scenario(session: Session) -> None:
        bench = Bench(session, max_rows=2, max_delay_seconds=LONG_SECONDS)
        bench.submit(first := Request(rows(1)))
        await asyncio.sleep(0.01)
        bench.submit(Request(rows(2)))
        await first.answer()
        await bench.batcher.drain()

    async def whole() -> None:
        nonlocal session
        assert session is not None
        await scenario(session)
        session = None
        gc.collect()
        assert remembered() is None

    on_loop(whole)
