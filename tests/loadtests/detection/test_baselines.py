"""The usual measures, as SciPy has them or as their definitions say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from loadtests.detection.baselines import (
    chi_square,
    kolmogorov,
    l_infinity,
    measures,
    psi,
    wasserstein,
)
from loadtests.detection.changes import Kind, Values

rows = st.lists(st.integers(-4, 4) | st.floats(-5, 5), min_size=1, max_size=40).map(
    lambda values: np.array(values, np.float64)
)


@settings(deadline=None)
@given(rows, rows)
def test_distances_are_those_of_all_rows(reference: Values, window: Values) -> None:
    """Ties, single rows and samples of any size included."""
    ordered = np.sort(reference)
    cumulated = np.concatenate([[0.0], np.cumsum(ordered)])

    points = np.concatenate([reference, window])
    gaps = [np.mean(reference <= point) - np.mean(window <= point) for point in points]
    assert kolmogorov(ordered, window) == pytest.approx(np.max(np.abs(gaps)), abs=1e-12)
    expected = stats.wasserstein_distance(reference, window)
    assert wasserstein(ordered, cumulated, window) == pytest.approx(expected, abs=1e-9)


def test_tables_are_compared_as_tables() -> None:
    """Chi-square is that of the contingency table; a category of neither side is left out."""
    before, now = np.array([50.0, 30.0, 20.0, 0.0]), np.array([8.0, 9.0, 3.0, 0.0])

    expected = stats.chi2_contingency(np.stack([before, now])[:, :3], correction=False).statistic
    assert chi_square(before, now) == pytest.approx(expected)
    assert l_infinity(before, now) == pytest.approx(0.15)
    assert psi(1e4 * before, 3e4 * before) == pytest.approx(0.0, abs=1e-4)
    assert psi(np.array([9.5, 9.5]), np.array([4.5, 14.5])) == pytest.approx(
        0.25 * math.log(2.0) + 0.25 * math.log(1.5)
    )


def test_an_unknown_category_is_counted() -> None:
    """All measures of a category column grow when a new one comes."""
    reference = np.repeat([0.0, 1.0, 3.0], 100)
    clean, novel = np.repeat([0.0, 1.0, 3.0], 90), np.repeat([0.0, 1.0, 2.0], 90)

    for measure in measures(reference, Kind.CATEGORY).values():
        assert measure(clean) == pytest.approx(0.0, abs=1e-2)
        assert measure(novel) > 0.05
