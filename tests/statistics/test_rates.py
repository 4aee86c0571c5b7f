"""Rates: exact where nothing was seen before, both ways where that is asked for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from server.statistics.rates import Rate, rate_effect, rate_p, rate_words


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    """Return any rate, sides without rows included."""
    reference_rows, live_rows = draw(st.integers(0, 3000)), draw(st.integers(0, 900))
    return Rate(
        "missing",
        draw(st.integers(0, reference_rows)),
        reference_rows,
        draw(st.integers(0, live_rows)),
        live_rows,
        draw(st.booleans()),
        draw(st.sampled_from([1.0, 2.5, 40.0])),
    )


@given(rates())
def test_every_rate_has_a_probability_and_a_finite_effect(rate: Rate) -> None:
    """No rows, all rows and one row included."""
    assert 0.0 <= rate_p(rate) <= 1.0
    assert 0.0 <= rate_effect(rate) < math.inf


@given(rates())
def test_one_side_is_fishers_exact_test(rate: Rate) -> None:
    """As SciPy has it, for independent rows."""
    plain = Rate("x", rate.reference_count, rate.reference_rows, rate.live_count, rate.live_rows)
    table = [
        [plain.live_count, plain.live_rows - plain.live_count],
        [plain.reference_count, plain.reference_rows - plain.reference_count],
    ]
    expected = stats.fisher_exact(table, alternative="greater").pvalue

    assert rate_p(plain) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_rows_beyond_the_range_are_the_largest_of_all_by_chance_only() -> None:
    """Three live rows above the maximum of the reference: (m)(m-1)(m-2) / (m+n)..."""
    rate = Rate("above the range", 0, 5000, 3, 500)

    assert rate_p(rate) == pytest.approx(500 * 499 * 498 / (5500 * 5499 * 5498), rel=1e-9)


def test_categories_that_occur_once_make_new_ones_less_surprising() -> None:
    """Ten of 5000 rows had a category of their own: one of 500 will."""
    closed, open_ended = (Rate("new", once, 5000, 2, 500) for once in (0, 10))

    assert rate_p(closed) < 0.01
    assert rate_p(open_ended) > 0.2


@pytest.mark.parametrize(
    ("live_count", "words"), [(200, "more often missing"), (40, "less often missing")]
)
def test_missing_rows_are_judged_both_ways(live_count: int, words: str) -> None:
    """A rate that halves is a change as one that doubles is."""
    rate = Rate("missing", 5000, 50_000, live_count, 1000, is_two_sided=True)

    assert rate_p(rate) < 1e-8
    assert rate_words(rate) == words
    assert rate_words(Rate("missing", 0, 9, 0, 9)) == ""


def test_rates_that_come_in_bursts_need_more_rows() -> None:
    """Rows worth a quarter of as many independent ones."""
    independent, bursts = (Rate("missing", 500, 5000, 80, 500, inflation=x) for x in (1.0, 4.0))

    assert rate_p(bursts) > 20.0 * rate_p(independent)


def test_the_effect_is_in_deviations_of_a_reference_row() -> None:
    """So what never happened counts for much, and half a percent more of a tenth for little."""
    assert rate_effect(Rate("new", 0, 50_000, 1, 500)) > 0.5
    assert rate_effect(Rate("missing", 5000, 50_000, 105, 1000)) == pytest.approx(
        0.005 / 0.3, rel=1e-3
    )
