"""A version under observation: rows in, alerts out, and nothing lost over a restart."""

from typing import Any

import numpy as np
import pytest

from server.monitoring.alerts import AlertEvent
from server.monitoring.drift import WHOLE, Limits
from server.monitoring.observer import LONGEST_FACTOR, MAX_UNSAVED, Observer, Pace
from server.monitoring.profile import Profile
from server.monitoring.rate_plans import Rule
from server.statistics.sequential import Alert
from tests.support.references import normal_blocks, normal_profile

PROFILE = normal_profile(3, 20_000)
START = 1_700_000_000.0


class Bench:
    """An observer that is ticked each second, and what has happened."""

    def __init__(self, profile: Profile = PROFILE, seed: int = 3, now: float = START) -> None:
        self.observer = Observer(profile, Limits(), Pace(), now)
        self.profile = profile
        self.now = now
        self.events: list[AlertEvent] = []
        self.evaluations = 0
        self._rng = np.random.default_rng(seed)

    def run(self, seconds: int, rows: int = 50, shift: Any = 0.0) -> "Bench":
        """Take rows each second; `shift` is added to the inputs, in standard deviations."""
        for _ in range(seconds):
            self.now += 1.0
            if rows:
                x = self._rng.standard_normal((rows, 3)) + shift
                self.observer.take(rows, *normal_blocks(self.profile, x.astype(np.float32)))
            if self.observer.tick(self.now):
                self.evaluations += 1
                question = self.observer.question(self.now)
                self.events += self.observer.step(question, question.answer(), self.now)
        return self

    def happened(self) -> list[tuple[str, str, str]]:
        """Return rule, column and change of all that has happened."""
        names = [column.name for column in self.profile.layout.columns]
        return [
            (event.key[0].value, "" if event.key[1] == WHOLE else names[event.key[1]], event.change)
            for event in self.events
        ]

    def firing(self) -> set[tuple[Rule, int]]:
        """Return the alerts that fire."""
        alerts = self.observer.alerts.items()
        return {key for key, alert in alerts if alert.state.alert is Alert.FIRING}


def test_clean_rows_raise_nothing() -> None:
    """Half an hour of clean rows is judged every ten seconds, and nothing happens."""
    bench = Bench().run(1800)

    assert bench.evaluations == 180
    assert bench.events == []


def test_a_shift_is_told_within_half_a_minute_and_over_soon_after() -> None:
    """Two evaluations after rows have shifted the alert fires, with the moment; then it clears."""
    bench = Bench().run(300)
    shifted = bench.now
    bench.run(25, shift=[0.0, 0.8, 0.0])

    raised = [event for event in bench.events if event.change == "raised"]
    assert ("drift", "f1", "raised") in bench.happened()
    assert all(abs((event.alert.onset_seconds or 0.0) - shifted) <= 10.0 for event in raised)
    bench.run(300)
    assert not bench.firing()
    before = len(bench.events)
    bench.run(900)
    assert len(bench.events) == before


@pytest.mark.parametrize("idle_seconds", [0, 45, 3000])
def test_no_change_began_before_the_first_row(idle_seconds: int) -> None:
    """Rows that are odd from the first one on are so since they come, not since it was started."""
    bench = Bench().run(idle_seconds, rows=0)
    first = bench.now
    bench.run(30, shift=[0.0, 0.8, 0.0])

    onsets = [event.alert.onset_seconds for event in bench.events if event.change == "raised"]
    assert onsets
    assert all(onset is not None and first <= onset <= first + 10.0 for onset in onsets)


def test_a_small_slow_shift_is_found_once() -> None:
    """A tenth of a standard deviation raises in the long run, and does not flap."""
    bench = Bench().run(600).run(3600, shift=[0.12, 0.0, 0.0])

    drift = [one for one in bench.happened() if one[0] == "drift" and one[1] == "f0"]
    assert [change for _, _, change in drift if change != "pending"] == ["raised"]


@pytest.mark.parametrize(("rows", "evaluations"), [(1000, 6), (5, 3), (1, 1), (0, 0)])
def test_a_sub_window_waits_for_rows_but_not_for_ever(rows: int, evaluations: int) -> None:
    """Busy versions are judged every ten seconds, slower ones with 100 rows, all in a minute."""
    bench = Bench().run(60, rows)

    assert bench.evaluations == evaluations
    assert LONGEST_FACTOR * Pace().seconds == 60.0


def test_silence_changes_nothing() -> None:
    """Without rows nothing is judged: a firing alert stays, and nothing is raised."""
    bench = Bench().run(100).run(60, shift=2.0)
    firing, happened = bench.firing(), len(bench.events)

    bench.run(7200, rows=0)

    assert firing
    assert bench.firing() == firing
    assert len(bench.events) == happened


def test_a_clock_that_steps_back_loses_nothing() -> None:
    """Rows before and after are counted once, and sub-windows go on being closed."""
    bench = Bench().run(30)
    bench.now -= 10_000.0
    bench.run(30)

    assert int(bench.observer.totals[-1]) == 60 * 50
    assert bench.evaluations == 5


def test_a_restart_loses_nothing_that_was_flushed() -> None:
    """An observer made of the saved sub-windows and alerts goes on as the first one would have."""
    first = Bench().run(200).run(45, shift=[0.0, 0.0, 1.0])
    cells, opened = first.observer.unsaved(first.now)
    assert opened is not None
    second = Bench(seed=4, now=first.now)

    second.observer.restore([*cells, opened], first.observer.alerts, second.now)

    views = zip(first.observer.views(first.now), second.observer.views(second.now), strict=True)
    rows = [(int(one.counts[-1]), int(other.counts[-1])) for one, other in views]
    assert rows[-1] == (245 * 50, 245 * 50)
    assert second.firing() == first.firing() != set()
    assert second.run(60, shift=[0.0, 0.0, 1.0]).firing() == first.firing()
    assert "raised" not in {change for _, _, change in second.happened()}


def test_cells_of_another_width_are_left_out() -> None:
    """What was counted with other columns is not taken for counts of these."""
    other = Bench(normal_profile(2, 1000))
    other.observer.take(10, *normal_blocks(other.profile, np.zeros((10, 2), np.float32)))
    _, opened = other.observer.unsaved(START + 1.0)
    assert opened is not None
    bench = Bench()

    bench.observer.restore([opened], {}, bench.now)

    assert not any(view.counts.any() for view in bench.observer.views(bench.now))


def test_what_the_store_has_is_forgotten_and_the_rest_is_kept() -> None:
    """Saved sub-windows leave, later ones stay; a store that is away costs no row."""
    bench = Bench().run(50)
    cells, _ = bench.observer.unsaved(bench.now)
    bench.run(10)
    bench.observer.saved(cells)
    left, _ = bench.observer.unsaved(bench.now)

    assert len(cells) == 5
    assert len(left) == 1
    bench.run(10 * MAX_UNSAVED + 200)
    many, _ = bench.observer.unsaved(bench.now)
    assert len(many) == MAX_UNSAVED
    assert sum(int(cell.counts[-1]) for cell in many) == 50 * (10 + 10 * MAX_UNSAVED + 200)


def test_volume_is_judged_of_what_is_live_only() -> None:
    """A live version whose rows stop raises `volume`; one that is not live may well stop."""
    for is_live in (True, False):
        bench = Bench()
        events = []
        for block in range(20):
            if block < 15:
                bench.observer.take(1000, None, None)
            bench.now += 300.0
            events += bench.observer.judge_volume(bench.now, is_live=is_live)
        changes = [event.change.value for event in events if event.key == (Rule.VOLUME, WHOLE)]
        assert changes == (["pending", "raised"] if is_live else [])


def test_a_machine_that_slept_has_no_volume() -> None:
    """A block that lasted for hours is nothing to compare, nor to be compared with."""
    bench = Bench()
    for _ in range(15):
        bench.observer.take(1000, None, None)
        bench.now += 300.0
        bench.observer.judge_volume(bench.now, is_live=True)
    bench.now += 36_000.0

    assert bench.observer.judge_volume(bench.now, is_live=True) == []


def test_memory_is_bounded_and_told() -> None:
    """Once all windows are full it does not grow, however many rows still come."""
    bench = Bench().run(300)
    before = bench.observer.held_bytes
    bench.run(1200)

    assert before < bench.observer.held_bytes < 4 * before
    assert bench.observer.held_bytes < 1 << 20
