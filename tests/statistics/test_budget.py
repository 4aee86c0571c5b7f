"""The budget: known figures, and what overlapping windows and repeated evaluations leave of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from server.statistics.budget import CONSECUTIVE_CREDIT, Budget, benjamini_hochberg
from server.statistics.tails import chi_square_critical


def test_one_alarm_a_month_over_many_features_is_the_known_figure() -> None:
    """32 features, 4 windows, each minute: 3.6e-7, which is 35.5 with four components."""
    budget = Budget(1.0, features=32, windows=4, evaluation_seconds=60.0, consecutive=2)

    assert budget.alpha == pytest.approx(3.6e-7, rel=0.02)
    assert chi_square_critical(budget.alpha, 4) == pytest.approx(35.5, abs=0.1)


@given(
    st.floats(0.0, 1e6), st.integers(0, 10_000), st.integers(0, 9), st.floats(0.0, 1e9),
    st.integers(0, 5),
)  # fmt: skip
def test_every_budget_has_an_alpha(
    alarms: float, features: int, windows: int, seconds: float, consecutive: int
) -> None:
    """No features, no time between evaluations and no alarms at all included."""
    budget = Budget(alarms, features, windows, seconds, consecutive)

    assert 0.0 < budget.alpha <= 0.5
    assert 0.0 < chi_square_critical(budget.alpha, 4) < math.inf


def test_alarms_are_divided_among_all_tests() -> None:
    """Twice the features, half of alpha each."""
    one, two = (Budget(1.0, features, 1, 60.0) for features in (10, 20))

    assert one.alpha == pytest.approx(2.0 * two.alpha)
    assert one.alpha * one.tests_per_month == pytest.approx(1.0)


@pytest.mark.parametrize("alpha", [1e-2, 1e-3])
@pytest.mark.parametrize("overlap", [1, 2, 4, 12, 48])
def test_credit_is_not_more_than_what_is_left(overlap: int, alpha: float) -> None:
    """Windows of so many sub-windows: times that two in a row begin to exceed, per evaluation."""
    sums = np.cumsum(np.random.default_rng(overlap).standard_normal(1_000_000))
    z = np.abs(sums[overlap:] - sums[:-overlap]) / math.sqrt(overlap)
    over = z > stats.norm.isf(alpha / 2.0)
    begins = np.mean(~over[:-2] & over[1:-1] & over[2:])
    once = np.mean(~over[:-1] & over[1:])

    assert begins <= CONSECUTIVE_CREDIT * alpha
    assert once <= 1.1 * alpha


@given(st.lists(st.floats(0.0, 1.0), max_size=40))
def test_false_discovery_rates_agree_with_scipy(p_values: list[float]) -> None:
    """In the order given; an empty list has none."""
    adjusted = benjamini_hochberg(p_values)

    expected = stats.false_discovery_control(p_values) if p_values else []
    assert adjusted == pytest.approx(np.asarray(expected), abs=1e-12)
