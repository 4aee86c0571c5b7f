"""A version whose rows follow the clock: quiet by day and by night, and a change is still told."""

import numpy as np
import pytest

from server.monitoring.alerts import Change
from server.monitoring.drift import WHOLE, Limits
from server.monitoring.hours import Cycle
from server.monitoring.observer import Observer, Pace
from server.monitoring.rate_plans import Rule
from server.monitoring.report import describe_windows, report_columns
from tests.support import seasons
from tests.support.seasons import DAY, MIDNIGHT, NAMES, blocks_at

HOUR = 3600.0
PROFILE = seasons.profile()


class Bench:
    """An observer whose clock goes half a minute at a time, and what has happened."""

    def __init__(self, cycle: Cycle | None = Cycle.DAY, now: float = MIDNIGHT) -> None:
        self.profile = seasons.profile(cycle)
        limits = Limits(evaluation_seconds=30.0)
        self.observer = Observer(self.profile, limits, Pace(100, 30.0), now)
        self.now = now
        self.raised: list[tuple[str, str]] = []
        self._rng = np.random.default_rng(17)

    def run(self, seconds: float, shift: float = 0.0, judged_each: int = 1) -> "Bench":
        """Take a hundred rows each half minute; `shift` is added to the height.

        One in `judged_each` half minutes is evaluated.
        """
        for turn in range(int(seconds / 30.0)):
            moments = np.sort(self.now + 30.0 * self._rng.random(100))
            self.now += 30.0
            self.observer.take(100, *blocks_at(seasons.LAYOUT, self._rng, moments, shift))
            is_closed = self.observer.tick(self.now)
            if is_closed and turn % judged_each == 0:
                question = self.observer.question(self.now)
                events = self.observer.step(question, question.answer(), self.now)
                self.raised += [
                    (event.key[0].value, "" if event.key[1] == WHOLE else NAMES[event.key[1]])
                    for event in events
                    if event.change is Change.RAISED
                ]
        return self


def test_a_rhythm_of_its_own_hours_raises_nothing() -> None:
    """Neither numbers nor categories, missing values nor all together, from midnight to evening."""
    # Windows of two minutes and more have every row; to judge each of half a minute too takes long.
    assert Bench().run(18 * HOUR, judged_each=4).raised == []


def test_the_same_day_is_a_change_to_a_reference_without_hours() -> None:
    """So the day above is quiet for its hours alone."""
    assert len(Bench(None).run(HOUR).raised) >= 1


@pytest.mark.parametrize("hour", [0.0, 5.7, 13.0])
def test_a_shift_against_the_same_hour_is_told_soon(hour: float) -> None:
    """Half a standard deviation, less than the clock does by itself, within some 500 rows."""
    bench = Bench(now=MIDNIGHT + hour * HOUR).run(1200.0)
    assert bench.raised == []
    changed = bench.now
    bench.run(180.0, shift=0.5)
    assert ("drift", "height") in bench.raised
    assert {column for _, column in bench.raised} <= {"height", ""}

    alert = bench.observer.alerts[Rule.DRIFT, NAMES.index("height")]
    assert alert.onset_seconds is not None
    assert abs(alert.onset_seconds - changed) <= 60.0


def test_a_small_shift_is_told_by_cumulated_sums() -> None:
    """A fifth of one, for less than an hour, beside a wave of as much in that time."""
    bench = Bench(now=MIDNIGHT + 5.0 * HOUR).run(600.0).run(2400.0, shift=0.2)
    assert ("drift", "height") in bench.raised
    assert {column for _, column in bench.raised} <= {"height", ""}


def test_the_report_names_the_hours() -> None:
    """Each window tells which hours of the reference it is held to, and what they are worth."""
    bench = Bench(now=MIDNIGHT + 8.0 * HOUR).run(1.25 * HOUR)
    snapshot = bench.observer.snapshot(bench.now)
    windows = {one["name"]: one for one in describe_windows(snapshot)}
    empty = describe_windows(Bench().observer.snapshot(MIDNIGHT))[0]

    assert (empty["reference_hours"], empty["reference_rows"]) == ([], 0)
    assert windows["1"]["reference_hours"] == ["08h", "09h"]
    assert windows["day"]["reference_hours"] == ["07h", "08h", "09h"]
    rows = PROFILE.columns[0].counts.rows / 24
    assert 0.8 * rows < windows["1"]["reference_rows"] < 2.2 * rows
    column = report_columns(snapshot)[0]
    assert (
        column["verdict"]["reference_hours"]
        == windows[column["verdict"]["window"]]["reference_hours"]
    )
    height = next(one for one in report_columns(snapshot) if one["name"] == "height")
    # By a quarter past nine nearly all is in the upper half of all rows, on both sides.
    reference, live = (height["histogram"][side] for side in ("reference", "live"))
    assert np.abs(np.array(reference) - np.array(live)).max() < 0.05
    assert sum(reference[:10]) < 0.35


def test_a_restart_loses_no_hours() -> None:
    """Windows that are restored are held to the same hours as before."""
    first = Bench(now=MIDNIGHT + 10.0 * HOUR).run(1500.0)
    cells, _ = first.observer.unsaved(first.now)
    second = Bench(now=first.now)
    second.observer.restore(cells, {}, first.now)

    before, after = (
        one.observer.judge.references.hours(one.observer.views(first.now)[3].counts)
        for one in (first, second)
    )
    assert before == after
    assert second.run(600.0).raised == []


@pytest.mark.parametrize("step", [-30 * DAY, -HOUR, 400 * DAY, -MIDNIGHT - 5 * DAY])
def test_a_clock_that_is_set_breaks_nothing(step: float) -> None:
    """Back or forth, even to before 1970: rows are held to the hour that the clock then says."""
    bench = Bench(now=MIDNIGHT + 4.0 * HOUR).run(600.0)
    bench.now += step
    bench.run(600.0)
    windows = describe_windows(bench.observer.snapshot(bench.now))
    assert windows[0]["reference_hours"]
    assert windows[0]["rows"] > 0
