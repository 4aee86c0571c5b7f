"""Who is nearer is told by errors, whatever numbers come."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.nearness import NearnessCounts, nearness
from server.monitoring.realised import NumberPair
from server.release.shadow_rules import Tolerance

LIVE, CANDIDATE, NEITHER = NearnessCounts(1), NearnessCounts(0, 1), NearnessCounts(0, 0, 1)
EXACT = Tolerance(0.0, 0.0)

answers = st.floats(-1e6, 1e6) | st.sampled_from([nan, inf, -inf])


@pytest.mark.parametrize(
    ("live", "candidate", "expected"),
    [
        (11.0, 12.0, LIVE),
        (12.0, 9.5, CANDIDATE),
        (11.0, 9.0, NEITHER),
        (11.0, nan, LIVE),
        (nan, 50.0, CANDIDATE),
        (inf, 50.0, CANDIDATE),
        (nan, -inf, NEITHER),
    ],
)
def test_the_smaller_error_is_nearer(
    live: float, candidate: float, expected: NearnessCounts
) -> None:
    """On either side of the truth, which is 10; an answer that is no number is farthest."""
    found = nearness(NumberPair(10.0, live), NumberPair(10.0, candidate), Tolerance())

    assert found == expected


def test_errors_within_the_tolerance_are_as_near() -> None:
    """It is a share of the live answer and a number beside it, as where answers are compared."""
    live, candidate = NumberPair(0.0, 100.0), NumberPair(0.0, 102.0)

    assert nearness(live, candidate, Tolerance(0.01, 1.0)) == NEITHER
    assert nearness(live, candidate, Tolerance(0.01, 0.9)) == LIVE


@given(answers, answers, st.floats(-1e6, 1e6))
def test_whoever_is_called_live_the_same_one_is_nearer(
    one: float, other: float, label: float
) -> None:
    """Every row is counted once; without a tolerance the two change places."""
    ours, theirs = NumberPair(label, one), NumberPair(label, other)
    found, turned = nearness(ours, theirs, EXACT), nearness(theirs, ours, EXACT)

    assert found.rows == 1
    assert turned == NearnessCounts(found.candidate_nearer, found.live_nearer, found.as_near)
    assert found.plus(turned).rows == 2
