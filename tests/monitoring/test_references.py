"""What windows are held to: the reference of their own hours, or all of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.counting import CountLayout, Counts, RowCounter
from server.monitoring.drift import Judge, Limits
from server.monitoring.hours import Cycle
from server.statistics.histogram import ColumnCounts
from tests.support import seasons
from tests.support.seasons import DAY, MIDNIGHT, NAMES, blocks_at

HOUR = 3600.0
PROFILE = seasons.profile()
JUDGE = Judge(PROFILE, Limits(), 5)
PLAIN = Judge(seasons.profile(None), Limits(), 5)


def _window(judge: Judge, start: float, rows: int, shift: float = 0.0, seed: int = 1) -> Counts:
    """Return counts of rows within six minutes, folded in five parts."""
    rng = np.random.default_rng([seed, int(start)])
    counter = RowCounter(CountLayout(judge.profile))
    counts = np.zeros(judge.layout.width, np.int64)
    for moment in np.linspace(start, start + 360.0, 5):
        part = np.full(rows // 5, moment)
        counter.add(rows // 5, *blocks_at(seasons.LAYOUT, rng, part, shift))
        counts += counter.take(float(moment)).counts
    return counts


def test_an_hours_rows_are_held_to_that_hour() -> None:
    """In the middle of an hour the reference is that hour's counts, column by column."""
    hours = PROFILE.hours
    assert hours is not None
    counts = np.zeros(JUDGE.layout.width, np.int64)
    counts[JUDGE.layout.hours.start + 9] = 12 * 500
    reference = JUDGE.references.of(counts)

    for place, table in enumerate(hours.columns):
        held = reference.column(place).counts
        if isinstance(held, ColumnCounts):
            assert held.bins.tolist() == table[9, :-3].tolist()
            assert [held.missing, held.negative_infinities] == table[9, -3:-1].tolist()
        else:
            assert [*held.kept.tolist(), held.other, held.missing] == table[9].tolist()
        assert held.rows == hours.rows[9]
    names, rows = JUDGE.references.hours(counts)
    assert (names, round(rows)) == (["09h"], hours.rows[9])


def test_a_profile_without_hours_is_one_reference() -> None:
    """For every window, at every moment; and nothing is named."""
    counts = _window(PLAIN, MIDNIGHT, 500)
    references = PLAIN.references
    assert references.of(counts) is references.at(MIDNIGHT) is references.whole
    assert references.hours(counts) == ([], 0.0)
    assert references.vectors(counts[np.newaxis]) is None
    assert references.held_bytes == 0 < JUDGE.references.held_bytes


def test_no_live_rows_are_held_to_all_hours() -> None:
    """A window without rows has no hours; its verdicts say nothing, as ever."""
    nothing = np.zeros(JUDGE.layout.width, np.int64)
    assert JUDGE.references.of(nothing).column(0).counts.rows == PROFILE.columns[0].counts.rows
    assert [JUDGE.verdict(place, nothing).p for place in range(4)] == [1.0] * 4


@pytest.mark.parametrize("rows", [200, 2000])
def test_false_alarms_keep_their_rate_around_the_clock(rows: int) -> None:
    """At all hours, on slopes and at peaks, about one in a hundred p is below one in a hundred."""
    windows = [_window(JUDGE, MIDNIGHT + 1200.0 * at, rows) for at in range(72)]
    below = [
        JUDGE.verdict(place, counts).p < 0.01 for counts in windows for place in range(len(NAMES))
    ]
    # 288 tests expect 2.9; 10 or more come once in a thousand times.
    assert sum(below) < 10


def test_without_hours_the_clock_is_a_change_or_hides_one() -> None:
    """The same windows: held to all rows, a shift is lost, and with hours it is certain."""
    starts = [MIDNIGHT + 3 * HOUR * at for at in range(8)]
    found = [
        [judge.verdict(0, _window(judge, start, 500, 0.5)).p < 1e-6 for start in starts]
        for judge in (PLAIN, JUDGE)
    ]
    assert sum(found[0]) <= 1
    assert all(found[1])


@given(st.floats(0.0, 7 * DAY), st.integers(0, 2**32 - 1), st.sampled_from([50, 300, 3000]),
       st.sampled_from([0.0, 0.2, 1.0]))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_what_the_screen_leaves_out_has_no_small_p(
    start: float, seed: int, rows: int, shift: float
) -> None:
    """With hours too: a column that is not passed on would have had a larger p than asked for."""
    counts = _window(JUDGE, MIDNIGHT + start, rows, shift, seed)
    mask = JUDGE.references.of(counts).screen.may_matter(counts)
    for place in np.flatnonzero(~mask).tolist():
        assert JUDGE.verdict(place, counts).p >= JUDGE.alpha**0.7


def test_the_screens_scores_are_those_of_the_verdict() -> None:
    """Mean location scores of the arrays and of a column's own basis are the same."""
    counts = _window(JUDGE, MIDNIGHT + 20_000.0, 2000, 0.3)
    reference = JUDGE.references.of(counts)
    sums, rows = reference.screen.location_sums(counts)
    for at, place in enumerate(reference.screen.number_places):
        basis = reference.basis(place)
        assert basis is not None
        live = JUDGE.layout.number(counts, place).bins
        assert sums[at] == pytest.approx((live @ basis.scores)[0], abs=0.02 * rows[at] ** 0.5)
        assert reference.screen.reference_rows[at] == basis.rows


def test_missing_values_are_held_to_their_hour() -> None:
    """The rate of missing values differs by hour, in the reference as in life."""
    weight = NAMES.index("weight")
    rates = {}
    for hour in (6, 18):
        counts = _window(JUDGE, MIDNIGHT + hour * HOUR, 1000)
        plans = {one.name: one for one in JUDGE.references.of(counts).plans(weight)}
        rates[hour] = plans["missing"].reference_count / plans["missing"].reference_rows
    assert rates[6] > 0.14 > 0.06 > rates[18]


@pytest.mark.parametrize(("beyond", "may_raise"), [(1, False), (2, False), (40, True)])
def test_what_lies_beyond_the_range_may_all_be_of_one_hour(beyond: int, *, may_raise: bool) -> None:
    """One or two of 400 rows raise nothing at the hour of the largest values; a tenth does."""
    height = NAMES.index("height")
    counts = _window(JUDGE, MIDNIGHT + 6 * HOUR, 400)
    above = JUDGE.layout.slices[height].stop - 2
    counts[above] = beyond
    reference = JUDGE.references.of(counts)
    plan = next(one for one in reference.plans(height) if one.name == "above the range")

    assert plan.reference_rows < PROFILE.columns[height].counts.rows / 10
    p = JUDGE.verdict(height, counts).p
    assert (p < JUDGE.alpha) is may_raise
    if not may_raise:
        assert p > 1e-4
    assert reference.screen.may_matter(counts)[height] or not may_raise


def test_a_week_has_hours_of_its_own_days() -> None:
    """With two weeks of rows or more, Monday's noon is told apart from Sunday's."""
    judge = Judge(seasons.profile(Cycle.WEEK, 150_000, 21.0), Limits(), 5)
    noon = _window(judge, MIDNIGHT + 6 * DAY + 12.4 * HOUR, 500)
    assert judge.references.hours(noon)[0] == ["Sun 11h", "Sun 12h"]


def test_within_an_hour_two_references_are_asked_and_the_milder_is_heard() -> None:
    """That of the hour on the clock, and that between two hours: a slope or a jump is no drift."""
    counts = _window(JUDGE, MIDNIGHT + 3.05 * HOUR, 500)
    ways = JUDGE.references.ways(counts)
    rows = [one.column(0).counts.rows for one in ways]
    hours = PROFILE.hours
    assert hours is not None
    assert rows[1] == hours.rows[3] < rows[0]
    for place in range(len(NAMES)):
        assert JUDGE.verdict(place, counts).p == max(one.verdict(place, counts).p for one in ways)
    assert PLAIN.references.ways(counts) == (PLAIN.references.whole,)
