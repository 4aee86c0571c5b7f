"""What stands for an hour, and what a mixture of hours is worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.hours import Cycle
from server.monitoring.seasons import LEAST_ROWS_PER_BIN, Pools
from server.statistics.bins import Bins

BINS = [Bins((1.0, 2.0, 3.0), 0.0, 4.0)]
ENOUGH = LEAST_ROWS_PER_BIN * 4


def _pools(rows: dict[int, int], cycle: Cycle = Cycle.WEEK, usual: int = 0) -> Pools:
    counts = np.full(cycle.hours, usual, np.int64)
    counts[list(rows)] = list(rows.values())
    return Pools(cycle, counts, BINS)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({30: ENOUGH, 29: 5}, [30]),
        ({30: 1, 29: ENOUGH - 1, 31: 0}, [29, 30, 31]),
        ({30: 1, 29: 2, 6: ENOUGH - 1}, [6, 30, 54, 78, 102, 126, 150]),
        ({30: 1, 5: ENOUGH - 1}, sorted(h + d for d in range(0, 168, 24) for h in (5, 6, 7))),
        ({30: 1, 100: 5 * ENOUGH}, list(range(168))),
    ],
    ids=["itself", "with those beside it", "of all days", "of all days, with those beside", "all"],
)
def test_an_hour_with_few_rows_has_others_to_stand_in(
    rows: dict[int, int], expected: list[int]
) -> None:
    """The narrowest pool that has ten rows for each bin."""
    assert list(_pools(rows).hours[30]) == expected


def test_hours_with_few_rows_are_named() -> None:
    """And only these."""
    assert _pools({3: 1}, Cycle.DAY, usual=ENOUGH).thin == [3]


def test_a_mixture_has_the_shares_of_the_live_hours() -> None:
    """Three parts of one hour and one of another, whatever the reference has of both."""
    pools = _pools({3: 1000, 4: 200}, Cycle.DAY, usual=ENOUGH)
    live, counts = np.zeros(24, np.int64), np.zeros((24, 2), np.int64)
    live[[3, 4]] = 30, 10
    counts[3], counts[4] = (1000, 0), (0, 200)

    mixture = pools.mixture(live)
    # One over the sum of squared shares by rows: 0.75^2 / 1000 + 0.25^2 / 200.
    assert mixture.rows == pytest.approx(1.0 / (0.5625 / 1000 + 0.0625 / 200))
    assert (mixture.of(counts) / mixture.rows).tolist() == pytest.approx([0.75, 0.25])


def test_a_mixture_varies_as_so_many_independent_rows() -> None:
    """The variance of its shares over many references is that of a sample of `rows` rows."""
    rng = np.random.default_rng(1)
    pools = _pools({0: 60, 1: 300, 2: 50, 3: 9}, Cycle.DAY, usual=30)
    live = np.zeros(24, np.int64)
    live[[0, 1, 3]] = 1, 2, 2
    mixture = pools.mixture(live)

    rows = np.array([60, 300, 50, 9] + [30] * 20)
    shares = [
        mixture.of(rng.binomial(rows, 0.3)[:, np.newaxis])[0] / mixture.rows for _ in range(4000)
    ]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.005)
    assert np.var(shares) == pytest.approx(0.21 / mixture.rows, rel=0.1)


@given(st.lists(st.integers(0, 500), min_size=24, max_size=24), st.integers(0, 23))
@settings(deadline=None)
def test_a_mixture_is_never_worth_more_than_it_has(rows: list[int], hour: int) -> None:
    """Nor less than nothing, for any reference, with live rows or without."""
    pools = Pools(Cycle.DAY, np.array(rows, np.int64), BINS)
    live = np.zeros(24, np.int64)
    for _ in range(2):
        mixture = pools.mixture(live)
        assert 0.0 <= mixture.rows <= sum(rows) * (1 + 1e-9)
        assert np.isfinite(mixture.weights).all()
        live[hour] = 12
