"""Tail probabilities, against SciPy and against sums of exact integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from server.statistics.tails import (
    SMALLEST_P,
    chi_square_critical,
    chi_square_tail,
    hypergeometric_tail,
    kolmogorov_tail,
    normal_two_sided,
)

anything = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize("value", np.linspace(-8.0, 37.0, 91).tolist())
def test_normal_tails_agree_with_scipy(value: float) -> None:
    """Both sides, from certain to 1e-300."""
    assert normal_two_sided(value) == pytest.approx(2 * stats.norm.sf(abs(value)), rel=1e-12)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 9, 19, 20, 49, 100, 999, 3000])
def test_chi_square_agrees_with_scipy(df: int) -> None:
    """Few and many degrees of freedom, from certain to far below 1e-12."""
    for factor in (1e-6, 1e-3, 0.1, 0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 4.0, 10.0):
        for value in (df * factor, df + 40.0 * factor):
            expected = stats.chi2.sf(value, df)
            assert chi_square_tail(value, df) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("df", [1, 2, 4, 19, 50])
@pytest.mark.parametrize("alpha", [0.9, 0.5, 0.05, 0.01, 1e-4, 2.5e-5, 3.6e-7, 1e-12, 1e-100])
def test_a_critical_value_is_exceeded_at_its_rate(alpha: float, df: int) -> None:
    """The inverse undoes the tail, and agrees with SciPy's."""
    critical = chi_square_critical(alpha, df)

    assert chi_square_tail(critical, df) == pytest.approx(alpha, rel=1e-10)
    assert critical == pytest.approx(stats.chi2.isf(alpha, df), rel=1e-9)


@pytest.mark.parametrize(("alpha", "critical"), [(1e-3, 18.5), (1e-4, 23.5), (2.5e-5, 26.5)])
def test_known_critical_values_of_four_components(alpha: float, critical: float) -> None:
    """Those of the design, which users know."""
    assert chi_square_critical(alpha, 4) == pytest.approx(critical, abs=0.06)


@pytest.mark.parametrize("value", [*np.linspace(0.05, 2.0, 40).tolist(), 3.0, 5.0, 12.0])
def test_kolmogorov_agrees_with_scipy(value: float) -> None:
    """On both sides of where one series gives way to the other."""
    assert kolmogorov_tail(value) == pytest.approx(special.kolmogorov(value), rel=1e-11)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(-3, 45))
def test_hypergeometric_is_the_sum_of_its_terms(
    drawn: int, marked: int, others: int, count: int
) -> None:
    """Compared with exact integers, over every relation of the four numbers."""
    drawn, rows = min(drawn, marked + others), marked + others
    ways = sum(
        math.comb(marked, found) * math.comb(others, drawn - found)
        for found in range(max(0, count), min(drawn, marked) + 1)
    )
    expected = float(Fraction(ways, math.comb(rows, drawn)))

    found = hypergeometric_tail(count, drawn, marked, rows)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("count", [0, 1, 3, 20, 100, 115, 130, 200, 400])
def test_hypergeometric_agrees_with_scipy_on_a_large_reference(count: int) -> None:
    """A window of 2000 rows, a reference of 200,000, one row in twenty marked."""
    expected = stats.hypergeom.sf(count - 1, 202_000, 10_100, 2000)

    assert hypergeometric_tail(count, 2000, 10_100, 202_000) == pytest.approx(expected, rel=1e-7)


@given(anything, st.integers(-2, 60))
def test_continuous_tails_answer_with_a_probability_for_everything(value: float, df: int) -> None:
    """NaN and infinity included."""
    for p in (
        normal_two_sided(value),
        chi_square_tail(value, df),
        kolmogorov_tail(value),
    ):
        assert 0.0 <= p <= 1.0


@given(anything, st.integers(-2, 60))
def test_critical_values_are_finite_for_everything(alpha: float, df: int) -> None:
    """An alpha of zero, below it, above one or NaN included."""
    critical = chi_square_critical(alpha, df)

    assert 0.0 <= critical < math.inf
    assert chi_square_critical(0.0, 4) == chi_square_critical(SMALLEST_P, 4)
