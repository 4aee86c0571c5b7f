"""The traffic of the last minutes, step by step."""

from collections import Counter

import numpy as np

from server.controlplane.recent import MAX_SERIES, STEP_SECONDS, STEPS, Recent
from server.controlplane.totals import Totals
from server.wire import tally
from server.wire.tally import BatchSize, DurationHistogram, Tally

START = 1_700_000_000.0


def counted(requests: int, failures: int = 0, seconds: float = 0.001) -> Tally:
    """Return what a worker counted: each request alone in a batch of two rows."""
    durations = DurationHistogram()
    durations.observe(np.full(requests, seconds))
    outcomes = Counter(ok=requests - failures, model_error=failures)
    return Tally(outcomes=outcomes, request=durations, sizes={2: BatchSize(requests - failures)})


class Bench:
    """Totals and what is kept of them, on a clock of its own."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.now = START
        self.recent = Recent(self.totals, lambda: self.now)

    def step(self, requests: int = 0, *, failures: int = 0, version: str = "1") -> None:
        """Let five seconds pass, with these requests in them."""
        if requests:
            message = tally.encode("m", version, counted(requests, failures))
            self.totals.add(memoryview(message))
        self.now += STEP_SECONDS
        self.recent.tick(self.now)


def test_each_step_has_what_came_in_it() -> None:
    """Sums become differences; failures are those with a status of 500 or more."""
    bench = Bench()
    bench.step(10, failures=2)
    bench.step()
    bench.step(30)

    found = bench.recent.versions("m")["1"]

    assert found.requests.tolist() == [10, 0, 30]
    assert found.failures.tolist() == [2, 0, 0]
    assert found.rows.tolist() == [16, 0, 60]
    assert found.batches.tolist() == [8, 0, 30]
    assert found.durations.sum(axis=1).tolist() == [10, 0, 30]
    assert (found.ends - START).tolist() == [5.0, 10.0, 15.0]
    assert found.spans.tolist() == [5.0] * 3


def test_a_version_that_comes_later_was_silent_before() -> None:
    """Control counted, and nothing came: that is zero, and known."""
    bench = Bench()
    bench.step(10)
    bench.step(20, version="2")

    assert bench.recent.versions("m")["2"].requests.tolist() == [0, 20]


def test_before_the_first_step_nothing_is_known() -> None:
    """There are no steps yet, also of models that nobody asks."""
    bench = Bench()

    assert bench.recent.versions("m") == {}
    assert len(bench.recent.silence().ends) == 0


def test_silence_has_as_many_steps_as_there_were() -> None:
    """Of a model without a request the rate is zero in each."""
    bench = Bench()
    bench.step(1)
    bench.step()

    assert bench.recent.silence().requests.tolist() == [0, 0]


def test_the_oldest_steps_are_forgotten() -> None:
    """There are as many as a quarter of an hour has, oldest first, and no more memory."""
    bench = Bench()
    for number in range(1, STEPS + 11):
        bench.step(number)
    held = bench.recent.held_bytes

    found = bench.recent.versions("m")["1"]
    bench.step(1)

    assert found.requests.tolist() == list(range(11, STEPS + 11))
    assert (np.diff(found.ends) == STEP_SECONDS).all()
    assert bench.recent.held_bytes == held


def test_a_model_that_goes_and_comes_back_begins_anew() -> None:
    """Even between two steps: its counts are never negative."""
    bench = Bench()
    bench.step(100)
    bench.totals.keep_only(set())
    bench.step(5)
    assert bench.recent.versions("m")["1"].requests.tolist() == [100, 5]

    bench.totals.keep_only(set())
    bench.step()
    assert bench.recent.versions("m") == {}


def test_a_clock_that_steps_back_makes_a_step_without_a_length() -> None:
    """No rate follows from it, and the next one is right again."""
    bench = Bench()
    bench.now -= 3600.0
    bench.step(10)
    bench.step(10)

    assert bench.recent.versions("m")["1"].spans.tolist() == [0.0, STEP_SECONDS]


def test_memory_is_bounded() -> None:
    """Beyond so many versions, others have no lines; those that are there go on."""
    bench = Bench()
    for number in range(MAX_SERIES + 5):
        bench.totals.versions["m", str(number)] = counted(1)

    bench.step()

    assert len(bench.recent.versions("m")) == MAX_SERIES
    assert bench.recent.held_bytes < 8 << 20


def test_models_are_told_apart() -> None:
    """Each has the traffic of its own versions."""
    bench = Bench()
    for model in ("a", "b"):
        bench.totals.versions[model, "1"] = counted(4)
    bench.totals.versions["a", "2"] = counted(2)
    bench.step()

    found = bench.recent.by_model()

    assert {model: len(versions) for model, versions in found.items()} == {"a": 2, "b": 1}
