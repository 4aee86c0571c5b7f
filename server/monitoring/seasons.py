"""A reference by hours: which rows of it a window is held to, and what they are worth.

Decides by the hours of the window's own rows. What stands for an hour is a pool of reference rows:
the hour itself if it has rows enough, else the hours beside it too, else that hour of all days,
else with those beside it, else all rows (LEAST_ROWS_PER_BIN rows for each bin are enough). The
reference of a window is the mixture of the pools, each by the rows that came live in its hours.
A mixture is what the same rows would have looked like if nothing had changed, whatever share of the
day they cover; live rows vary a little less than rows drawn from it, so there are no more alarms.

The mixture is a weighted sample, and worth fewer rows than it has: one over the sum of the squared
weights (Kish 1965, Survey Sampling, 11.7). Its counts are scaled to that number, so two-sample
tests know how uncertain it is. Pools that share rows are weighed by row, so nothing counts twice.

Does not know what columns there are: counts are vectors, a row for each hour.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.monitoring.hours import Cycle
from server.statistics.bins import Bins

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]

LEAST_ROWS_PER_BIN = 10
USUAL_BINS = 20

_DAY_HOURS = 24


@dataclass(frozen=True, slots=True, eq=False)
class HourCounts:
    """What was counted of reference rows, by hour."""

    cycle: Cycle
    rows: Counts
    """Shape (hours,)."""
    columns: tuple[Counts, ...]
    """Of each column of the profile, shape (hours, n): bins, missing, -inf and inf of a number;
    kept categories, others and missing of words."""


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Which reference rows a window is held to."""

    rows: float
    """What they are worth, in independent rows."""
    weights: Numbers
    """Of each row of an hour; all rows together weigh 1. Shape (hours,)."""

    def of(self, counts: NDArray[np.int64] | NDArray[np.int32]) -> Numbers:
        """Mix counts by hour, shape (hours, n), into counts of `rows` rows, shape (n,)."""
        there = np.flatnonzero(self.weights)
        mixed: Numbers = (self.weights[there] * self.rows) @ counts[there]
        return mixed


class Pools:
    """What stands for each hour. Does not change."""

    def __init__(self, cycle: Cycle, rows: Counts, columns: Iterable[Bins]) -> None:
        """Prepare for reference rows by hour, and numeric columns with these bins."""
        self._rows = rows
        enough = LEAST_ROWS_PER_BIN * max((one.count for one in columns), default=USUAL_BINS)
        self.hours = [_pool(cycle, rows, hour, enough) for hour in range(len(rows))]
        """The hours in the pool of each hour."""
        self._weights = np.zeros((len(rows), len(rows)))
        for hour, pool in enumerate(self.hours):
            self._weights[hour, pool] = 1.0 / max(1, int(rows[pool].sum()))

    @property
    def thin(self) -> list[int]:
        """Return the hours that others have to stand in for."""
        return [hour for hour, pool in enumerate(self.hours) if len(pool) > 1]

    def mixture(self, live: Counts) -> Mixture:
        """Return the mixture for live rows by hour, in any unit, shape (hours,); all hours if 0."""
        share = live if live.any() else self._rows
        weights: Numbers = (share / max(1, int(share.sum()))) @ self._weights
        squares = float(weights * weights @ self._rows)
        return Mixture(1.0 / squares if squares > 0.0 else 0.0, weights)


def _pool(cycle: Cycle, rows: Counts, hour: int, enough: int) -> Sequence[int]:
    """Return the first pool that has rows enough: the narrowest."""
    beside = [hour, hour - 1, hour + 1]
    days = range(cycle.hours // _DAY_HOURS)
    ways = [[hour], beside]
    ways += [[one + day * _DAY_HOURS for day in days for one in way] for way in ([hour], beside)]
    for way in ways:
        pool = sorted({one % cycle.hours for one in way})
        if int(rows[pool].sum()) >= enough:
            return pool
    return list(range(cycle.hours))
