"""A change of unit is told from a shift, and in words that name its size."""

import math
from typing import Any

import numpy as np
import pytest

from server.monitoring.columns import Kind, layout_of
from server.monitoring.profile import NumberProfile
from server.monitoring.scale import scale_reach, size_words
from server.statistics.histogram import ColumnCounts, count_column
from tests.support.references import profile_of, signature

VALUES = np.random.default_rng(4).lognormal(0.0, 1.0, (10_000, 1)).astype(np.float32)


def _profile(values: Any = VALUES, kind: Kind = Kind.NUMBER) -> NumberProfile:
    layout = layout_of(signature({"x": ("FP32", 1)}, {"y": ("FP32", 1)}), {}, {"x": kind})
    found = profile_of(layout, {"x": values}, {"y": values}).columns[0]
    assert isinstance(found, NumberProfile)
    return found


@pytest.mark.parametrize("factor", [1000.0, 0.0001, -1.0])
def test_other_units_reach_it(factor: float) -> None:
    """Values a thousand times larger, far smaller, or of the other sign are a change of scale."""
    profile = _profile()

    reach, words = scale_reach(profile, count_column(profile.bins, VALUES * factor))

    assert reach >= 1.0
    assert words


@pytest.mark.parametrize("values", [VALUES, VALUES * 2.0, VALUES + 1.0, VALUES * 0.5])
def test_shifts_do_not_reach_it(values: Any) -> None:
    """Values that are like before, or moved within what there was, are none."""
    profile = _profile()

    assert scale_reach(profile, count_column(profile.bins, values))[0] < 0.7


def test_nothing_to_compare_is_no_change() -> None:
    """No live rows, no reference rows, and probabilities, which have no unit."""
    profile = _profile()
    empty = _profile(np.full((10, 1), np.nan, np.float32))
    probability = _profile(np.full((500, 1), 0.5, np.float32), Kind.PROBABILITY)

    assert scale_reach(profile, ColumnCounts.zero(profile.bins)) == (0.0, "")
    assert scale_reach(empty, count_column(empty.bins, VALUES)) == (0.0, "")
    assert scale_reach(probability, count_column(probability.bins, VALUES * 1e6)) == (0.0, "")


def test_a_constant_that_stays_is_no_change() -> None:
    """A column that has one value has one bin, and everything in it."""
    profile = _profile(np.full((1000, 1), 3.0, np.float32))

    assert scale_reach(profile, count_column(profile.bins, np.full(500, 3.0)))[0] == 0.0
    assert scale_reach(profile, count_column(profile.bins, np.full(500, 4.0)))[0] >= 1.0


@pytest.mark.parametrize(
    ("live", "words"),
    [
        ((1.0, 10_500.0), "about 1,000 times larger"),
        ((0.0, 0.0098), "about 1,000 times smaller"),
        ((-42.0, 3.0), "about 4 times larger"),
        ((0.0, 12.0), ""),
        ((0.0, 1e300), "about 1e+299 times larger"),
        ((math.inf, -math.inf), ""),
        ((0.0, 0.0), ""),
    ],
)
def test_sizes_are_compared_in_words(live: tuple[float, float], words: str) -> None:
    """Powers of ten are named as such; what is alike, absent or zero has no words."""
    assert size_words((0.0, 10.0), live) == words
