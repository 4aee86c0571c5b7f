"""What windows say of columns, and what it costs when nothing has changed."""

from typing import Any

import numpy as np
import pytest

from server.monitoring.counting import RowCounter
from server.monitoring.cumulating import CusumSums
from server.monitoring.drift import WHOLE, Judge, Limits, View, careful, sure_rows
from server.monitoring.profile import Profile
from server.monitoring.rate_plans import Rule
from server.monitoring.together import Dependence
from server.statistics.sequential import strength
from tests.support.references import (
    mixed_profile,
    mixed_rows,
    normal_blocks,
    normal_profile,
    scored_profile,
    scored_rows,
)

ROWS = 2000
PROFILE = mixed_profile(20_000)
JUDGE = Judge(PROFILE, Limits(), 5)
NAMES = [column.name for column in PROFILE.layout.columns]


def _view(inputs: Any, outputs: Any, rows: int = ROWS) -> View:
    counter = RowCounter(JUDGE.layout)
    groups = PROFILE.layout.groups
    counter.add(rows, groups[0].blocks(inputs), groups[1].blocks(outputs))
    return View("1", counter.take().counts, 0.0, 10.0)


def _raising(view: View, judge: Judge = JUDGE) -> set[tuple[str, str]]:
    """Return rule and column of every reading of a window that would raise."""
    sums = CusumSums(len(judge.screen.number_places))
    together = Dependence(judge.layout, judge.bases)
    found = judge.readings([view], sums, together, frozenset())
    return {
        (rule.value, judge.layout.columns[place].name)
        for (rule, place), readings in found.items()
        for one in readings
        if strength(one.p, judge.alpha) >= 1.0 and one.effect >= 1.0
    }


def _rows() -> tuple[Any, Any]:
    return mixed_rows(np.random.default_rng(11), ROWS)


@pytest.mark.parametrize(
    ("rows", "times"), [(200, 5.0), (400, 2.5), (1000, 1.0), (100_000, 1.0), (0, 1000.0)]
)
def test_the_tail_of_few_rows_is_taken_with_care(rows: int, times: float) -> None:
    """The fewer rows a window has, the less improbable must what it says be taken to be."""
    assert careful(1e-7, rows) == pytest.approx(times * 1e-7)
    assert careful(0.5, rows) <= 1.0


def test_drift_of_few_rows_is_taken_with_care_and_rates_as_they_are() -> None:
    """Bins and categories are asymptotic; rates are exact tests, and need none."""
    inputs, outputs = _rows()
    few = {name: array[:250] for name, array in inputs.items()}
    view = _view(few, {name: array[:250] for name, array in outputs.items()}, 250)
    place = 0
    verdict = JUDGE.references.ways(view.counts)[0].verdict(place, view.counts)
    found = JUDGE.readings(
        [view],
        CusumSums(len(JUDGE.screen.number_places)),
        Dependence(JUDGE.layout, JUDGE.bases),
        frozenset({(Rule.DRIFT, place)}),
    )

    (drift,) = [one for one in found[Rule.DRIFT, place] if one.p < 1.0 or one.words][:1]
    assert drift.p == pytest.approx(careful(verdict.parts[0].adjusted_p, 250))
    (missing,) = found[Rule.MISSING, place]
    rates = {part.name: part.adjusted_p for part in verdict.parts[1:]}
    assert missing.p == pytest.approx(rates["missing"])


def test_clean_rows_raise_nothing() -> None:
    """Rows like the reference's have no reading that raises."""
    assert _raising(_view(*_rows())) == set()


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("amount", 1000.0, Rule.SCALE),
        ("amount", np.nan, Rule.MISSING),
        ("amount", np.inf, Rule.RANGE),
        ("visits", 0.5, Rule.TYPE),
        ("colour", "mauve", Rule.NOVEL),
        ("colour", None, Rule.MISSING),
        ("colour", "12", Rule.TYPE),
        ("member", True, Rule.DRIFT),
    ],
)
def test_each_change_has_its_rule(column: str, value: object, rule: Rule) -> None:
    """A window whose column has this value in every row raises that rule, of that column alone."""
    inputs, outputs = _rows()
    inputs[column][:] = value

    raised = _raising(_view(inputs, outputs))

    assert (rule.value, column) in raised
    assert {name for _, name in raised} == {column}


def test_a_few_new_categories_are_enough() -> None:
    """Two in a hundred rows of a category that never was raise `novel`, and nothing else."""
    inputs, outputs = _rows()
    inputs["colour"][:40] = "mauve"

    assert _raising(_view(inputs, outputs)) == {("novel", "colour")}


def test_watched_columns_are_always_read() -> None:
    """What is pending or fires has a reading of every window, however clean; others have none."""
    view = _view(*_rows())
    sums = CusumSums(len(JUDGE.screen.number_places))
    together = Dependence(JUDGE.layout, JUDGE.bases)
    place = NAMES.index("amount")

    found = JUDGE.readings([view, view], sums, together, frozenset({(Rule.DRIFT, place)}))

    assert [one.window for one in found[Rule.DRIFT, place]] == [0, 1, 2]
    assert (Rule.DRIFT, NAMES.index("visits")) not in found


def test_a_slow_shift_is_read_from_the_sums() -> None:
    """Cumulative sums over their threshold are a reading of their own, with their own start."""
    sums = CusumSums(len(JUDGE.screen.number_places))
    for at in range(60):
        sums.add(JUDGE.cusum, np.array([12.0, 0.0]), np.array([100, 100]), 10.0 * at)
    nothing = View("1", np.zeros(JUDGE.layout.width, np.int64), 0.0, 1.0)
    together = Dependence(JUDGE.layout, JUDGE.bases)

    (reading,) = JUDGE.readings([nothing], sums, together, frozenset())[Rule.DRIFT, 0]

    assert reading.window == 1
    assert reading.words == "location up for long"
    assert reading.p == pytest.approx(JUDGE.alpha)
    assert reading.rows == 6000
    assert reading.effect == pytest.approx(0.12 / 0.05)


def test_the_budget_is_shared_by_columns_and_windows() -> None:
    """Twice the columns, or the windows, halve what one test may claim; more alarms allow more."""
    one, two = (Judge(normal_profile(columns, 500), Limits(), 5) for columns in (2, 8))
    many = Judge(normal_profile(2, 500), Limits(alarms_per_month=10.0), 5)
    windows = Judge(normal_profile(2, 500), Limits(), 11)

    assert one.alpha == pytest.approx(2.0 * two.alpha)
    assert many.alpha == pytest.approx(10.0 * one.alpha)
    assert one.alpha == pytest.approx(2.0 * windows.alpha)


def _together(judge: Judge, profile: Profile, shift: float) -> dict[Any, Any]:
    rng = np.random.default_rng(12)
    together = Dependence(judge.layout, judge.bases)
    while together.is_wanted:
        together.add(*normal_blocks(profile, rng.standard_normal((500, 8)).astype(np.float32)))
    counter = RowCounter(judge.layout)
    x = rng.standard_normal((ROWS, 8)).astype(np.float32) + np.float32(shift)
    counter.add(ROWS, *normal_blocks(profile, x))
    view = View("1", counter.take().counts, 0.0, 10.0)
    sums = CusumSums(len(judge.screen.number_places))
    return {
        watched: judge.readings([view], sums, together, watched)[Rule.MULTIVARIATE, WHOLE][0]
        for watched in (frozenset(), frozenset({(Rule.DRIFT, 0)}))
    }


def test_many_small_shifts_are_one_large_one() -> None:
    """Eight columns that move a little each raise together, unless one of them tells it alone."""
    profile = normal_profile(8, 20_000)
    judge = Judge(profile, Limits(), 5)

    clean, moved = (_together(judge, profile, shift) for shift in (0.0, 0.12))

    assert clean[frozenset()].p > 1e-3
    assert moved[frozenset()].p < judge.alpha
    assert moved[frozenset()].effect > 1.0
    assert moved[frozenset({(Rule.DRIFT, 0)})].p == 1.0


def test_small_changes_need_many_rows_to_be_sure() -> None:
    """Eight standard errors: 64 rows for one standard deviation, 6400 for a tenth of it."""
    assert sure_rows(1.0) == pytest.approx(64.0)
    assert sure_rows(-0.1) == pytest.approx(6400.0)
    assert np.isfinite(sure_rows(0.0))


def _performance(scale: float, watched: Any = frozenset()) -> Any:
    profile = scored_profile()
    judge = Judge(profile, Limits(), 5)
    inputs, outputs, _ = scored_rows(np.random.default_rng(5), 5000, scale)
    counter = RowCounter(judge.layout)
    groups = profile.layout.groups
    counter.add(5000, groups[0].blocks(inputs), groups[1].blocks(outputs))
    view = View("1", counter.take().counts, 0.0, 10.0)
    sums = CusumSums(len(judge.screen.number_places))
    found = judge.readings([view], sums, Dependence(judge.layout, judge.bases), watched)
    return judge, found[Rule.PERFORMANCE, WHOLE][0]


def test_a_model_that_has_become_unsure_is_told() -> None:
    """Where scores were made with labels, a fall of the accuracy to be expected is a reading."""
    judge, clean = _performance(1.0)
    _, better = _performance(3.0)
    _, unsure = _performance(0.5)

    assert strength(clean.p, judge.alpha) < 0.7
    assert better.effect == 0.0
    assert better.words == ""
    assert strength(unsure.p, judge.alpha) >= 1.0
    assert unsure.effect > 1.0
    assert unsure.words.startswith("estimated accuracy down by 0.1")


def test_without_labels_nothing_is_said_of_performance() -> None:
    """A profile without a score has no estimate, and no reading."""
    sums = CusumSums(len(JUDGE.screen.number_places))
    together = Dependence(JUDGE.layout, JUDGE.bases)
    view = _view(*_rows())

    assert JUDGE.performance(view.counts) is None
    assert (Rule.PERFORMANCE, WHOLE) not in JUDGE.readings([view], sums, together, frozenset())
