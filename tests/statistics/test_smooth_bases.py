"""Scores of many columns at once are those of each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.statistics.smooth_bases import smooth_bases
from server.statistics.smooth_test import smooth_basis

TABLES = st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=24), min_size=1, max_size=6)


@given(TABLES)
@settings(deadline=None, max_examples=200)
def test_scores_are_those_of_each_column(tables: list[list[int]]) -> None:
    """For any counts: as many components, and the same scores, of bins without rows too."""
    starts = np.cumsum([0, *map(len, tables[:-1])])
    column = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    made = smooth_bases(np.concatenate(tables).astype(np.float64), starts, column)

    assert np.isfinite(made.scores).all()
    assert np.isfinite(made.skewness).all()
    for place, (start, table) in enumerate(zip(starts.tolist(), tables, strict=True)):
        basis = smooth_basis(np.array(table, np.int64))
        size = len(basis.inflation)
        own = made.scores[start : start + len(table)]
        assert made.components[place] == size
        assert made.rows[place] == sum(table)
        assert not own[:, size:].any()
        worst = np.abs(basis.scores).max(initial=1)
        assert own[:, :size] == pytest.approx(basis.scores, abs=0.02 * worst)


def test_a_column_of_many_bins_has_hermite_scores() -> None:
    """Location is the normal score itself, to four digits, and skewness is that of each."""
    table = np.full(20, 250, np.int64)
    made = smooth_bases(table.astype(np.float64), np.array([0]), np.zeros(20, np.intp))
    basis = smooth_basis(table)

    assert made.scores == pytest.approx(basis.scores, abs=1e-4)
    assert made.skewness[0] == pytest.approx(basis.skewness, abs=1e-4)
