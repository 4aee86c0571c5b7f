"""The scores of `smooth_test.py` for many columns at once, in a few array operations.

Decides nothing beyond that module: the same polynomials of the same normal scores, orthonormal
under each column's own counts. For references that change from window to window, of hundreds of
columns, where making them one by one would take a hundred times as long. A test compares the two.

Counts of all columns are one flat vector; a column begins at its start.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from server.statistics.smooth_test import FARTHEST_SCORE, MAX_COMPONENTS, MIN_SHARE

Numbers = NDArray[np.float64]
Places = NDArray[np.intp]

_GRID = np.linspace(-8.0, 8.0, 16001)
_BELOW = np.array([NormalDist().cdf(one) for one in _GRID.tolist()])
_ROOT = np.sqrt(2.0 * np.pi)
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class SmoothBases:
    """What the smooth test has to know of many references."""

    scores: Numbers
    """Shape (all bins, MAX_COMPONENTS); 0 where a column has fewer components."""
    skewness: Numbers
    """Shape (columns, MAX_COMPONENTS)."""
    components: Places
    """Shape (columns,)."""
    rows: Numbers
    """Reference rows in a bin, shape (columns,)."""


def smooth_bases(counts: Numbers, starts: Places, column: Places) -> SmoothBases:
    """Make the scores of references, counts of shape (all bins,), which need not be whole.

    `starts` has the first bin of each column, none of which is empty; `column` has the column of
    each bin.
    """
    rows = np.add.reduceat(counts, starts)
    share = counts / np.maximum(rows, 1e-12)[column]
    is_wide = share >= MIN_SHARE
    wide = np.add.reduceat(is_wide, starts, dtype=np.intp)
    components = np.clip(wide - 1, 0, MAX_COMPONENTS)
    normal = _normal_scores(share, starts, column)
    below, above, part = _neighbours(is_wide, normal, starts, column)
    made = [np.ones(len(share))]
    power = np.ones(len(share))
    for degree in range(1, MAX_COMPONENTS + 1):
        power = power * normal
        rest = power[below] + part * (power[above] - power[below])
        for one in made:
            rest = rest - np.add.reduceat(share * rest * one, starts)[column] * one
        length = np.sqrt(np.add.reduceat(share * rest * rest, starts))
        is_there = (components >= degree) & (length > _NOTHING)
        made.append(np.where(is_there[column], rest / np.maximum(length, _NOTHING)[column], 0.0))
    scores = np.stack(made[1:], axis=1)
    skewness = np.add.reduceat(share[:, np.newaxis] * scores**3, starts, axis=0)
    return SmoothBases(scores, skewness, components, rows)


def _normal_scores(share: Numbers, starts: Places, column: Places) -> Numbers:
    """Return the mean of a standard normal variable in each bin, shape (all bins,).

    A bin without rows has the score of its lower end.
    """
    total = np.cumsum(share)
    first = (total - share)[starts][column]
    above, below = np.clip(total - first, 0.0, 1.0), np.clip(total - share - first, 0.0, 1.0)
    is_last = np.append(column[1:] != column[:-1], True)
    above[is_last] = 1.0
    ends = [np.interp(one, _BELOW, _GRID) for one in (below, above)]
    density = [
        np.where((one > 0.0) & (one < 1.0), np.exp(-end * end / 2.0) / _ROOT, 0.0)
        for one, end in zip((below, above), ends, strict=True)
    ]
    there = share > _NOTHING
    scores = np.where(there, (density[0] - density[1]) / np.maximum(share, _NOTHING), ends[0])
    clipped: Numbers = np.clip(scores, -FARTHEST_SCORE, FARTHEST_SCORE)
    return clipped


def _neighbours(
    is_wide: NDArray[np.bool_], normal: Numbers, starts: Places, column: Places
) -> tuple[Places, Places, Numbers]:
    """Return for each bin the wide bins around it in its column, and how far along it lies.

    All of shape (all bins,). A wide bin is its own neighbour; one at an end has the nearest twice.
    A column without wide bins has no components, so its neighbours do not matter.
    """
    places = np.arange(len(is_wide))
    ends = np.append(starts[1:], len(is_wide))
    below = np.maximum.accumulate(np.where(is_wide, places, -1))
    above = np.minimum.accumulate(np.where(is_wide, places, len(is_wide))[::-1])[::-1]
    has_below, has_above = below >= starts[column], above < ends[column]
    below, above = (
        np.where(has_below, below, np.where(has_above, above, places)),
        np.where(has_above, above, np.where(has_below, below, places)),
    )
    width = normal[above] - normal[below]
    part = np.where(width > 0.0, (normal - normal[below]) / np.where(width > 0.0, width, 1.0), 0.0)
    return below, above, part
