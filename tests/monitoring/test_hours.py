"""Hours of moments, and what a row is held to between two of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.hours import PARTS, Cycle, hours_of, weights_of
from tests.support.seasons import DAY, MIDNIGHT

HOUR = 3600.0


@pytest.mark.parametrize(
    ("seconds", "of_day", "of_week", "name"),
    [
        (MIDNIGHT, 0, 0, "Mon 00h"),
        (MIDNIGHT + 3599.9, 0, 0, "Mon 00h"),
        (MIDNIGHT + 2 * DAY + 13.5 * HOUR, 13, 61, "Wed 13h"),
        (MIDNIGHT - 1.0, 23, 167, "Sun 23h"),
        (0.0, 0, 72, "Thu 00h"),
        (-1.0, 23, 71, "Wed 23h"),
    ],
)
def test_a_moment_has_its_hour(seconds: float, of_day: int, of_week: int, name: str) -> None:
    """Of UTC, before 1970 too, in weeks that begin on Monday."""
    at = np.array([seconds])
    assert hours_of(Cycle.DAY, at).tolist() == [of_day]
    assert hours_of(Cycle.WEEK, at).tolist() == [of_week]
    assert Cycle.WEEK.name_of(of_week) == name
    assert Cycle.DAY.name_of(of_day) == name[4:]


@pytest.mark.parametrize(
    ("minute", "expected"),
    [
        (30, {0: PARTS}),
        (60, {0: PARTS // 2, 1: PARTS // 2}),
        (75, {0: PARTS // 4, 1: 3 * PARTS // 4}),
        (90, {1: PARTS}),
        (0, {23: PARTS // 2, 0: PARTS // 2}),
    ],
)
def test_a_row_is_held_to_the_hours_whose_middles_are_near(
    minute: int, expected: dict[int, int]
) -> None:
    """By how near they are; at the middle of an hour it is held to that hour alone."""
    weights = weights_of(Cycle.DAY, np.array([MIDNIGHT + 60.0 * minute]))
    assert {hour: parts for hour, parts in enumerate(weights.tolist()) if parts} == expected


@given(st.lists(st.floats(-1e12, 1e12), max_size=50), st.sampled_from(Cycle))
@settings(deadline=None)
def test_every_row_weighs_the_same(seconds: list[float], cycle: Cycle) -> None:
    """Whatever the moments: each row is divided into as many parts."""
    weights = weights_of(cycle, np.array(seconds, np.float64))
    assert weights.sum() == PARTS * len(seconds)
    assert weights.min(initial=0) >= 0
