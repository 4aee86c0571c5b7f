"""Cumulative sums of many columns are those of each column alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.cumulating import CusumRules, CusumSums
from server.statistics.cumulative import Cusum, add, cusum_rule
from server.statistics.smooth_test import smooth_basis

EVALUATIONS = 1e6
BASES = [
    smooth_basis(np.full(20, 500)),
    smooth_basis(np.array([900, 50, 50])),
    smooth_basis(np.array([1000])),
]
steps = st.lists(st.tuples(st.integers(0, 500), st.floats(-1.0, 1.0)), max_size=30)


@given(steps, st.integers(0, 200))
@settings(deadline=None, max_examples=50)
def test_arrays_add_up_as_single_columns_do(steps: list[tuple[int, float]], rows: int) -> None:
    """For any stream, each column's largest sum over its threshold is that of the scalar rule."""
    rules = CusumRules.of(BASES, EVALUATIONS, rows)
    alone = [cusum_rule(basis, EVALUATIONS, rows) for basis in BASES]
    together, states = CusumSums(len(BASES)), [Cusum() for _ in BASES]
    for at, (count, mean) in enumerate(steps):
        scores = mean * count * np.array([1.0, -0.5, 0.0])
        together.add(rules, scores, np.full(len(BASES), count), float(at))
        states = [
            add(state, rule, float(score), count)
            for state, rule, score in zip(states, alone, scores, strict=True)
        ]

    expected = [state.ratio(rule) for state, rule in zip(states, alone, strict=True)]
    assert together.ratios(rules).tolist() == pytest.approx(expected)


def test_a_sum_knows_since_when_it_grows_and_by_how_much() -> None:
    """Rows before the change are forgotten when the sum touches 0; the size is the mean since."""
    rules = CusumRules.of(BASES, EVALUATIONS, 100)
    sums = CusumSums(len(BASES))
    for at in range(5):
        sums.add(rules, np.full(3, -20.0), np.full(3, 100), float(at))
    for at in range(5, 15):
        sums.add(rules, np.full(3, 30.0), np.full(3, 100), float(at))

    mean, rows, since = sums.growth(rules, 0)

    assert mean == pytest.approx(0.3)
    assert rows == 1000
    assert since == 5.0
    assert sums.ratios(rules)[0] > 1.0


def test_the_way_down_has_its_sign() -> None:
    """A column that moves down has a negative size."""
    rules = CusumRules.of(BASES, EVALUATIONS, 100)
    sums = CusumSums(len(BASES))
    for at in range(10):
        sums.add(rules, np.full(3, -30.0), np.full(3, 100), float(at))

    assert sums.growth(rules, 0)[0] == pytest.approx(-0.3)


def test_one_column_begins_anew_alone() -> None:
    """After a reset the column's sums are 0, and the others' are not."""
    rules = CusumRules.of(BASES, EVALUATIONS, 100)
    sums = CusumSums(len(BASES))
    sums.add(rules, np.full(3, 60.0), np.full(3, 100), 0.0)

    sums.reset(0)

    ratios = sums.ratios(rules)
    assert ratios[0] == 0.0
    assert ratios[1] > 0.0


def test_no_columns_have_no_ratios() -> None:
    """A model of words alone has nothing to add up."""
    rules = CusumRules.of([], EVALUATIONS, 100)
    sums = CusumSums(0)
    sums.add(rules, np.zeros(0), np.zeros(0, np.int64), 0.0)

    assert sums.ratios(rules).shape == (0,)
