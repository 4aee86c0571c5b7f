"""A model that keeps the event loop is broken off from beside it."""

import threading
from pathlib import Path

import numpy as np
import pytest

from server.engine.batching import Execution
from server.engine.hanging import GIVE_UP_SECONDS, INLINE_LIMIT_SECONDS
from server.engine.session import RunHandle, Session
from server.engine.watchdog import TICK_SECONDS, Watchdog
from tests.support import models
from tests.support.batches import Bench, Request, on_loop, opened

TICKS = round(INLINE_LIMIT_SECONDS / TICK_SECONDS)
GIVE_UP_TICKS = round(GIVE_UP_SECONDS / TICK_SECONDS)


@pytest.fixture
def stuck() -> list[str]:
    """What does not let go of the loop."""
    return []


@pytest.fixture
def watchdog(stuck: list[str]) -> Watchdog:
    """A watchdog whose ticks the test gives."""
    return Watchdog(stuck.append)


def tick(watchdog: Watchdog, times: int) -> None:
    """Let time pass."""
    for _ in range(times):
        watchdog.tick()


def test_one_long_run_is_broken_off_and_then_given_up(watchdog: Watchdog, stuck: list[str]) -> None:
    """The first tick only sees it; each after that is a quarter of a second."""
    handle = RunHandle("m/3")
    watchdog.begin(handle, INLINE_LIMIT_SECONDS)
    tick(watchdog, TICKS)
    assert not handle.is_terminated
    tick(watchdog, 1)
    assert handle.is_terminated
    tick(watchdog, GIVE_UP_TICKS - 1)
    assert stuck == []
    tick(watchdog, 1)
    assert stuck == ["m/3"]


def test_many_short_runs_are_none_of_its_business(watchdog: Watchdog) -> None:
    """Even with one handle and one running at every tick."""
    handle = RunHandle("m/3")
    for _ in range(10 * TICKS):
        watchdog.begin(handle, INLINE_LIMIT_SECONDS)
        watchdog.tick()
        watchdog.end()
    assert not handle.is_terminated


def test_an_idle_loop_is_not_looked_after(watchdog: Watchdog) -> None:
    """A run that came back is never broken off afterwards."""
    handle = RunHandle("m/3")
    watchdog.begin(handle, INLINE_LIMIT_SECONDS)
    tick(watchdog, TICKS)
    watchdog.end()
    tick(watchdog, 10 * TICKS)
    assert not handle.is_terminated


def test_a_second_hang_has_its_own_time(watchdog: Watchdog, stuck: list[str]) -> None:
    """What was broken off before makes the next run neither shorter nor given up."""
    for _ in range(2):
        handle = RunHandle("m/3")
        watchdog.begin(handle, INLINE_LIMIT_SECONDS)
        tick(watchdog, TICKS)
        assert not handle.is_terminated
        tick(watchdog, GIVE_UP_TICKS - 1)
        assert handle.is_terminated
        watchdog.end()
    assert stuck == []


def test_a_model_that_hangs_on_the_loop_gives_it_back_and_moves_to_a_thread(
    tmp_path: Path,
) -> None:
    """Its caller gets an error, it is said to hang, and the next one keeps the loop free."""
    session = opened(tmp_path, models.loop(), Session)

    async def scenario() -> None:
        bench = Bench(session, execution=Execution.INLINE, hang_kill_seconds=1.0)
        bench.watchdog.start()
        bench.submit(request := Request(np.array([[2**60]], np.int64)))
        assert (await request.failure())[1].startswith("the model was broken off")
        assert [hang.in_a_row for hang in bench.hangs] == [1]

        bench.submit(again := Request(np.array([[2]], np.int64)))
        assert (await again.answer())[0].tolist() == [[2]]
        assert any(thread.name.startswith("model") for thread in threading.enumerate())
        await bench.batcher.drain()

    on_loop(scenario)
