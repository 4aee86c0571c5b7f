"""Which number of a row is its score, and how scores are counted."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.release.evidence import DIFFERENCE_BOUNDS, SCORE_BINS
from server.release.shadow_rules import NO_RULES, OutputRule, Scores, ShadowRules
from server.shadow.scores import counts_of, differences_of, range_of, scores_of
from server.wire.record import NamedTensor

LABEL = NamedTensor("label", "INT64", np.array([0, 1]))


def floats(values: Any) -> NamedTensor:
    return NamedTensor("y", "FP32", np.array(values, np.float32))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.25, 0.75], [0.5, 0.5]], [0.75, 0.5]),
        ([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]], [0.5, 1.0]),
        ([[3.0], [-1.0]], [3.0, -1.0]),
        ([3.0, -1.0], [3.0, -1.0]),
    ],
)
def test_the_score_of_a_row(values: Any, expected: list[float]) -> None:
    """The second of two classes, the largest of more, the value itself."""
    found = scores_of([LABEL, floats(values)], NO_RULES)

    assert found is not None
    assert found.tolist() == expected


def test_an_output_without_a_score_is_passed_over() -> None:
    """Labels, what is ignored, and numbers that are no classes have none."""
    values = floats([[1.0, 2.0], [3.0, 4.0]])

    assert scores_of([LABEL], NO_RULES) is None
    assert scores_of([values], ShadowRules({"y": OutputRule(is_ignored=True)})) is None
    assert scores_of([values], ShadowRules({"y": OutputRule(scores=Scores.VALUES)})) is None


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.2, 0.9], (0.0, 1.0)),
        ([10.0, 20.0, math.nan], (5.0, 25.0)),
        ([-7.0], (-14.0, 0.0)),
        ([math.nan, math.inf], None),
    ],
)
def test_the_range_follows_from_the_first_rows(
    scores: list[float], expected: tuple[float, float] | None
) -> None:
    """Probabilities lie between 0 and 1; others get room on both sides."""
    assert range_of(np.array(scores)) == expected


@given(st.lists(st.floats(width=32) | st.floats(0, 1)))
def test_each_number_is_counted_once(scores: list[float]) -> None:
    """Whatever the scores: each but NaN is in one bin, in that which a division gives."""
    counts = counts_of(np.array(scores, np.float64), 0.0, 1.0)

    expected = [0] * SCORE_BINS
    for score in scores:
        if not math.isnan(score):
            expected[int(min(max(score * SCORE_BINS, 0), SCORE_BINS - 1))] += 1
    assert counts == expected


numbers = st.floats() | st.floats(-10.0, 10.0)


@given(st.lists(st.tuples(numbers, numbers)))
def test_pairs_are_counted_by_how_far_apart_their_scores_are(
    pairs: list[tuple[float, float]],
) -> None:
    """Each once, in the first bin whose bound covers it; what is no number is in none."""
    live, candidate = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    apart = [abs(other - one) for one, other in pairs if math.isfinite(other - one)]

    counts, total = differences_of(live, candidate)

    bounds = [*DIFFERENCE_BOUNDS, math.inf]
    below = [sum(one <= bound for one in apart) for bound in bounds]
    assert np.cumsum(counts).tolist() == below
    assert total == pytest.approx(sum(min(one, 1e100) for one in apart))
