"""The verdict: Cauchy's rule, shares of alpha, and columns in which nothing can be told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats

from server.statistics.combine import (
    RATES_SHARE,
    categorical_verdict,
    cauchy,
    kolmogorov_p,
    numeric_verdict,
)
from server.statistics.distance import Counts
from server.statistics.rates import Rate
from server.statistics.smooth_test import smooth_basis

FLAT: Counts = np.full(20, 250)
SAME: Counts = np.full(20, 50)
NO_RATE = Rate("missing", 0, 5000, 0, 1000)
MANY_MISSING = Rate("missing", 10, 5010, 50, 1050)

probabilities = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6)
columns = st.integers(1, 24).flatmap(
    lambda bins: st.tuples(
        *[npst.arrays(np.int64, bins, elements=st.integers(0, 900)) for _ in range(2)]
    )
)


@given(probabilities)
def test_a_combination_is_a_probability_between_its_parts(p_values: list[float]) -> None:
    """It is a mean, so never below the least nor above the largest."""
    combined = cauchy(p_values)

    assert 0.0 < combined <= 1.0
    assert min(*p_values, 0.98) * (1.0 - 1e-6) <= combined
    assert combined <= max(*p_values, 1e-299) * (1.0 + 1e-6)


@pytest.mark.parametrize("p", [0.98, 0.5, 0.01, 1e-7, 1e-9, 1e-20, 1e-200])
def test_equal_parts_are_what_they_are(p: float) -> None:
    """However small, and however many."""
    assert cauchy([p, p, p]) == pytest.approx(p, rel=1e-6)
    assert cauchy([p, p], [3.0, 1.0]) == pytest.approx(p, rel=1e-6)


def test_one_small_part_counts_by_its_weight() -> None:
    """The price of asking two other questions is their number; certain ones do not veto."""
    assert cauchy([1e-6, 0.5, 0.5]) == pytest.approx(3e-6, rel=1e-3)
    assert cauchy([1e-6, 1.0, 1.0]) == pytest.approx(3e-6, rel=1e-2)
    assert cauchy([1e-6, 0.5], [3.0, 1.0]) == pytest.approx(4e-6 / 3.0, rel=1e-3)
    assert cauchy([]) == 1.0


@given(columns)
def test_the_bound_over_bins_is_a_probability(column: tuple[Counts, ...]) -> None:
    """For every column."""
    reference, live = column
    assert 0.0 <= kolmogorov_p(smooth_basis(reference), live) <= 1.0


def test_two_bins_are_tested_exactly() -> None:
    """There, the distance is that of two rates, and its probability the normal one of them."""
    live = np.array([560, 440])
    expected = stats.chi2_contingency([[5000, 5000], live], correction=False).pvalue

    found = kolmogorov_p(smooth_basis(np.array([5000, 5000])), live)
    assert found == pytest.approx(expected, rel=1e-6)


@given(columns, st.lists(st.sampled_from([NO_RATE, MANY_MISSING]), max_size=3))
def test_every_verdict_is_a_number(column: tuple[Counts, ...], rates: list[Rate]) -> None:
    """Whatever the counts; shares of alpha are all given away and add up to one."""
    reference, live = column
    for verdict in (
        numeric_verdict(smooth_basis(reference), live, rates),
        categorical_verdict(reference, live, rates),
    ):
        assert 0.0 <= verdict.p <= 1.0
        assert 0.0 <= verdict.effect < np.inf
        assert sum(part.share for part in verdict.parts) == pytest.approx(1.0)
        assert verdict.p == min(part.adjusted_p for part in verdict.parts)


def test_equal_shares_are_no_news() -> None:
    """Neither for numbers nor for categories."""
    for verdict in (
        numeric_verdict(smooth_basis(FLAT), SAME, [NO_RATE]),
        categorical_verdict(FLAT, SAME, [NO_RATE]),
    ):
        assert verdict.p > 0.5
        assert verdict.effect < 0.01


def test_a_shift_is_named_and_decides() -> None:
    """Rows moved upwards."""
    verdict = numeric_verdict(smooth_basis(FLAT), np.arange(30, 70, 2), [NO_RATE])

    assert verdict.p < 1e-6
    assert verdict.words.startswith("location up")
    assert verdict.effect > 0.2


def test_a_rate_decides_where_nothing_else_has_changed() -> None:
    """At the price of its share of alpha."""
    verdict = numeric_verdict(smooth_basis(FLAT), SAME, [NO_RATE, MANY_MISSING])

    assert verdict.words == "more often missing"
    assert verdict.p == pytest.approx(verdict.parts[2].p / (RATES_SHARE / 2.0))
    assert verdict.effect > 0.5


def test_a_constant_leaves_all_of_alpha_to_rates() -> None:
    """One bin cannot move; never-seen values are then what tells."""
    constant = np.array([5000])
    verdict = numeric_verdict(smooth_basis(constant), np.array([500]), [MANY_MISSING])

    assert verdict.parts[0].share == 0.0
    assert verdict.p == verdict.parts[1].p
    assert numeric_verdict(smooth_basis(constant), np.array([500])).p == 1.0
    assert categorical_verdict(constant, np.array([500])).words == ""
