"""What comes after an alert is over: nothing of the old change, and everything of a new one."""

from typing import Any

import numpy as np

from server.monitoring.counting import RowCounter
from server.monitoring.drift import Limits
from server.monitoring.observer import Observer, Pace
from server.statistics.window import HOUR_SECONDS, Cell
from tests.monitoring.test_observer import PROFILE, START, Bench
from tests.support.references import mixed_profile, mixed_rows, normal_blocks

DAY_SECONDS = 24 * HOUR_SECONDS


def _after_a_shift(seconds: int = 60, seed: int = 3) -> Bench:
    """Return a bench on which the first column was shifted, and the alert has been cleared."""
    bench = Bench(seed=seed).run(300).run(seconds, shift=[1.0, 0.0, 0.0])
    while bench.firing():
        bench.run(10)
    return bench


def _raised(bench: Bench) -> list[tuple[str, str]]:
    return [(rule, column) for rule, column, change in bench.happened() if change == "raised"]


def test_no_window_brings_an_old_change_back() -> None:
    """Windows that still hold the shifted rows raise neither their column nor all together."""
    bench = _after_a_shift()
    before = _raised(bench)

    bench.run(1800)

    assert ("drift", "f0") in before
    assert _raised(bench) == before


def test_a_second_change_has_its_own_moment() -> None:
    """The onset of a later change is not that of the first one, though a window holds both."""
    bench = _after_a_shift()
    moment = bench.now
    bench.run(60, shift=[0.5, 0.0, 0.0])

    onsets = [
        event.alert.onset_seconds
        for event in bench.events
        if event.change == "raised" and event.key[1] == 0
    ]
    assert len(onsets) == 2
    assert onsets[1] is not None
    assert abs(onsets[1] - moment) <= 10.0


def test_cumulative_sums_begin_anew() -> None:
    """A small shift right after a large one is found as soon as after none."""
    bench = _after_a_shift()
    before = len(_raised(bench))

    bench.run(200, shift=[0.1, 0.0, 0.0])

    assert _raised(bench)[before:] == [("drift", "f0")]
    (event,) = [one for one in bench.events if one.change == "raised"][before:]
    assert event.alert.reading is not None
    assert event.alert.reading.words == "location up for long"


def test_new_words_are_remembered_for_the_report() -> None:
    """The last categories that the reference never had, as long as others come."""
    profile = mixed_profile(2000)
    observer = Observer(profile, Limits(), Pace(), START)
    groups = profile.layout.groups
    inputs, outputs = mixed_rows(np.random.default_rng(1), 5)
    inputs["colour"][:2] = "mauve"

    observer.take(5, groups[0].blocks(inputs), groups[1].blocks(outputs))

    names = [one.column.name for one in profile.columns]
    assert observer.snapshot(START + 1.0).novel_words == {names.index("colour"): {"mauve": 2}}


def test_the_window_of_a_day_is_one_of_a_day() -> None:
    """Of restored counts those that are older than a day are in no window of it."""
    counter = RowCounter(Bench().observer.judge.layout)
    x = np.zeros((10, 3), np.float32)
    cells: list[Any] = []
    for age in (DAY_SECONDS + HOUR_SECONDS, 2 * HOUR_SECONDS, 30):
        counter.add(10, *normal_blocks(PROFILE, x))
        cells.append(Cell(START - age, START - age + 10.0, counter.take().counts))
    bench = Bench()

    bench.observer.restore(cells, {}, START)

    assert int(bench.observer.views(START)[-1].counts[-1]) == 20
