"""When an hour of predictions can be judged, and what its labels say of accuracy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.cohorts import (
    COHORT_SECONDS,
    Baseline,
    Cohort,
    baseline_of,
    mature,
    readings,
)
from server.monitoring.profile import ScoreProfile
from server.monitoring.realised import NEGATIVE, POSITIVE, LabelCounts, NumberPair, Pair, Task

WEEK = 7 * 86400.0
RNG = np.random.default_rng(3)


def cohort(
    hour: int, labelled: int = 100, predicted: int = 100, right: int = 90, delay: float = 5.0
) -> Cohort:
    """Return the predictions of an hour, some with labels."""
    counts = LabelCounts()
    pairs = [Pair(POSITIVE, POSITIVE if at < right else NEGATIVE) for at in range(labelled)]
    counts.add(pairs, [delay] * labelled)
    return Cohort(hour * COHORT_SECONDS, predicted, labelled, counts)


def test_an_hour_is_mature_when_it_has_the_usual_coverage() -> None:
    """Of the hours before, half had labels: 40 in 100 are enough, and 30 are not."""
    cohorts = [cohort(0, 50), cohort(1, 50), cohort(2, 40), cohort(3, 30)]

    assert mature(cohorts, 3.5 * COHORT_SECONDS, WEEK) == [True, True, True, False]


def test_without_an_hour_that_is_old_enough_nothing_is_usual() -> None:
    """Labels that take a day say nothing of an hour before a day has passed."""
    cohorts = [cohort(0, 50, delay=20 * 3600.0), cohort(1, 50, delay=20 * 3600.0)]

    assert mature(cohorts, 3 * COHORT_SECONDS, WEEK) == [False, False]
    assert mature(cohorts, 26 * COHORT_SECONDS, WEEK) == [True, True]


def test_an_hour_whose_window_is_closed_is_mature() -> None:
    """No more labels can come, however few there are; none at all say nothing."""
    cohorts = [cohort(0, 1), cohort(1, 0), cohort(2, 100), cohort(3, 2)]

    found = mature(cohorts, WEEK + 3.5 * COHORT_SECONDS, WEEK)

    assert found == [True, False, True, False]


def test_accuracy_below_the_reference_is_told() -> None:
    """By how much, how improbable it is, and of how many rows."""
    (one, *_) = readings([cohort(0, 500, 500, 400)], Task.BINARY, Baseline(2000, 1800), 5)

    assert (one.window, one.rows, one.start) == (5, 500, 0.0)
    assert one.p < 1e-8
    assert one.effect == pytest.approx(0.1 / 0.02)
    assert one.words == "accuracy by labels down by 0.100 to 0.800"


def test_without_a_reference_an_hour_is_held_to_those_before() -> None:
    """The last hour, the last four and the last day each to what came before them."""
    cohorts = [cohort(hour) for hour in range(30)] + [cohort(30, right=60)]

    found = readings(cohorts, Task.BINARY, None, 5)

    assert [one.start / COHORT_SECONDS for one in found] == [30.0, 27.0, 7.0]
    assert found[0].p < 1e-6
    assert found[0].effect == pytest.approx(0.3 / 0.02)
    assert found[2].effect < found[1].effect < found[0].effect


def test_nothing_is_said_of_nothing() -> None:
    """No cohorts, or none before and no reference."""
    assert readings([], Task.BINARY, Baseline(10, 9), 5) == []
    assert readings([cohort(0)], Task.BINARY, None, 5) == []
    assert readings([cohort(0)], Task.REGRESSION, None, 5) == []


def _errors(hour: int, size: float, rows: int = 300) -> Cohort:
    counts = LabelCounts()
    counts.add([NumberPair(0.0, float(error)) for error in RNG.normal(0.0, size, rows)])
    return Cohort(hour * COHORT_SECONDS, rows, rows, counts)


def test_larger_errors_of_a_regression_are_told() -> None:
    """The mean absolute error of the last hour, held to the hours before."""
    steady = [_errors(hour, 1.0) for hour in range(5)]

    (worse, *_) = readings([*steady, _errors(5, 1.6)], Task.REGRESSION, None, 5)
    (same, *_) = readings([*steady, _errors(5, 1.0)], Task.REGRESSION, None, 5)

    assert worse.p < 1e-8
    assert worse.effect > 1.0
    assert worse.words.startswith("absolute error by labels up by ")
    assert same.p > 1e-4


@given(st.integers(1, 3000), st.floats(0.5, 0.99), st.integers(0, 10**6))
def test_the_same_accuracy_is_seldom_strange(rows: int, accuracy: float, seed: int) -> None:
    """Labels as accurate as the reference: p below 1e-6 happens in one of a million."""
    right = int(np.random.default_rng(seed).binomial(rows, accuracy))
    held_to = Baseline(5000, round(5000 * accuracy))

    (one, *_) = readings([cohort(0, rows, rows, right)], Task.BINARY, held_to, 5)

    assert one.p > 1e-6


def test_a_profile_with_labels_is_a_baseline() -> None:
    """Of two classes by its four counts, of more by how many were right."""
    rows = np.array([60, 40], np.int64)
    two = ScoreProfile(
        "p.score", "1", np.array([10, 30]), rows, np.array([5, 40]), np.array([3, 30])
    )
    more = ScoreProfile("p.top1", None, np.array([50, 38]), rows, rows, np.array([50, 38]))

    assert baseline_of(two) == Baseline(100, 100 - (7 + 0) - (2 + 10))
    assert baseline_of(more) == Baseline(100, 88)
    assert baseline_of(None) is None
