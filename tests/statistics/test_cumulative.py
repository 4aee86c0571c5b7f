"""Cumulative sums of location: rare false alarms, and small slow shifts found."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from server.statistics.cumulative import Cusum, CusumRule, add, cusum_rule
from server.statistics.distance import Counts, Numbers
from server.statistics.smooth_test import score_sums, smooth_basis

FLAT: Counts = np.full(20, 2500)
BASIS = smooth_basis(FLAT)
EDGES = stats.norm.ppf(np.arange(1, 20) / 20)
ROWS = 32


def shares(mean: float) -> Numbers:
    """Return the shares of bins that hold a twentieth of a standard normal each."""
    below = stats.norm.cdf(EDGES, loc=mean)
    return np.asarray(np.diff(np.concatenate([[0.0], below, [1.0]])))


def first_alarm(rule: CusumRule, mean: float, evaluations: int, seed: int) -> int | None:
    """Return the evaluation at which one stream alarms."""
    rng = np.random.default_rng(seed)
    state = Cusum()
    for at, live in enumerate(rng.multinomial(ROWS, shares(mean), evaluations)):
        state = add(state, rule, float(score_sums(BASIS, live)[0]), ROWS)
        if state.ratio(rule) >= 1.0:
            return at
    return None


def test_false_alarms_are_rarer_than_stated() -> None:
    """Two hundred streams of a third of the mean distance: at most 30 % may alarm."""
    rule = cusum_rule(BASIS, 600, ROWS)
    alarms = [first_alarm(rule, 0.0, 200, seed) is not None for seed in range(200)]

    assert sum(alarms) <= 66


@pytest.mark.parametrize(("mean", "rows"), [(0.1, 3000), (-0.1, 3000), (0.25, 500), (0.5, 200)])
def test_small_shifts_are_found(mean: float, rows: int) -> None:
    """Median rows to the alarm, at one false alarm in 10,000 evaluations, up and down."""
    rule = cusum_rule(BASIS, 10_000, ROWS)
    found = [first_alarm(rule, mean, 400, seed) for seed in range(40)]
    delays = [math.inf if at is None else (at + 1) * ROWS for at in found]

    assert np.median(delays) <= rows


def test_a_short_reference_gives_its_own_error_away() -> None:
    """A shift that is smaller than what the reference may be off never adds up."""
    rule = cusum_rule(smooth_basis(np.full(20, 50)), 10_000, shifts=(0.1,))
    state = Cusum((0.0,), (0.0,))
    for _ in range(1000):
        state = add(state, rule, 0.06 * 100, 100)

    assert rule.allowances[0] == pytest.approx(rule.thresholds[0] / 0.1 / 1000)
    assert state == Cusum((0.0,), (0.0,))


def test_errors_of_references_make_alarms_no_more_frequent() -> None:
    """Of 300 references of 2000 rows, as many streams of half the mean distance alarm as may."""
    rng = np.random.default_rng(4)
    alarms = 0
    for seed in range(300):
        basis = smooth_basis(rng.multinomial(2000, shares(0.0)))
        rule = cusum_rule(basis, 400, ROWS)
        state = Cusum()
        for live in np.random.default_rng(seed).multinomial(ROWS, shares(0.0), 200):
            state = add(state, rule, float(score_sums(basis, live)[0]), ROWS)
            if state.ratio(rule) >= 1.0:
                alarms += 1
                break

    assert alarms <= 300 * 0.4


def test_a_sum_comes_down_after_its_cause() -> None:
    """However long that lasted."""
    rule = cusum_rule(BASIS, 10_000)
    state = Cusum()
    for _ in range(500):
        state = add(state, rule, 1.0 * ROWS, ROWS)
    assert state.ratio(rule) == 2.0
    for _ in range(200):
        state = add(state, rule, 0.0, ROWS)

    assert state.ratio(rule) < 1.0


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.floats(-1.8, 1.8)), max_size=20),
    st.lists(st.integers(0, 900), min_size=1, max_size=9),
)
def test_every_column_has_finite_sums(parts: list[tuple[int, float]], reference: list[int]) -> None:
    """Empty and constant references, and sub-windows without rows, included."""
    rule = cusum_rule(smooth_basis(np.array(reference, np.int64)), 0.0)
    state = Cusum()
    for rows, mean in parts:
        state = add(state, rule, rows * mean, rows)
        assert 0.0 <= state.ratio(rule) <= 2.0
