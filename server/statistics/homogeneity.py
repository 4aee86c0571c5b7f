"""Whether categories have the same shares in two columns: Pearson's chi-square of homogeneity.

Decides from counts per category alone, as many degrees of freedom as it keeps categories, less one.
Does not know what the categories are called. Categories never seen in the reference are not in the
counts: they are a `Rate` of their own.

Both sides are samples (Pearson 1911, Biometrika 8): the statistic equals that of a contingency
table without Yates' correction, whatever the sizes. Chi-square holds when no expected count is
small, so thin categories are added together first (Cochran 1954, Biometrics 10, asks for 5). Where
rows resemble their neighbours the statistic is divided by the factor by which blocks of the
reference vary more than independent rows would (Rao and Scott 1981, J. Am. Stat. Assoc. 76).

An empty side, or fewer than two categories, says nothing: no degrees of freedom, p is 1.
"""

import math
from dataclasses import dataclass

import numpy as np

from server.statistics.distance import Counts, Numbers
from server.statistics.smooth_test import MIN_BLOCKS
from server.statistics.tails import chi_square_tail

MIN_EXPECTED_ROWS = 5.0
"""What a kept category has to be expected to have, on the smaller side."""


@dataclass(frozen=True, slots=True)
class Homogeneity:
    """How different the shares are."""

    statistic: float
    df: int

    effect: float
    """Root of the sum of (live - reference share)^2 / reference share, over kept categories."""

    @property
    def p(self) -> float:
        """Probability of such a statistic when nothing has changed."""
        return chi_square_tail(self.statistic, self.df)


_NOTHING = Homogeneity(0.0, 0, 0.0)


def homogeneity(reference: Counts, live: Counts, inflation: float = 1.0) -> Homogeneity:
    """Compare int64 counts per category, both of shape (categories,)."""
    assert len(reference) == len(live), "both sides must be counted over the same categories"
    rows = np.array([reference.sum(), live.sum()], np.float64)
    if rows.min() == 0.0:
        return _NOTHING
    table = _merged(np.stack([reference, live]), rows)
    kept = table.shape[1]
    if kept < 2:
        return _NOTHING
    expected = np.outer(rows, table.sum(axis=0) / rows.sum())
    statistic = float(np.sum((table - expected) ** 2 / expected)) / max(1.0, inflation)
    before, now = (table[0] + 0.5) / (rows[0] + 0.5 * kept), table[1] / rows[1]
    return Homogeneity(statistic, kept - 1, math.sqrt(float(np.sum((now - before) ** 2 / before))))


def _merged(table: Counts, rows: Numbers) -> Counts:
    """Add thin categories together; if they stay thin, with the next larger one too.

    Which ones are thin is seen from both sides together, so the choice says nothing about the
    difference between them.
    """
    table = table[:, np.argsort(table.sum(axis=0), kind="stable")]
    expected = table.sum(axis=0) * (rows.min() / rows.sum())
    thin = int(np.searchsorted(expected, MIN_EXPECTED_ROWS))
    if 0 < thin < len(expected) and expected[:thin].sum() < MIN_EXPECTED_ROWS:
        thin += 1
    if thin == 0:
        return table
    return np.concatenate([table[:, :thin].sum(axis=1, keepdims=True), table[:, thin:]], axis=1)


def category_inflation(reference: Counts, blocks: Counts) -> float:
    """Return by how much blocks of a reference vary more than independent rows; at least 1.

    `reference` is int64 of shape (categories,), `blocks` are its consecutive blocks, int64 of shape
    (blocks, categories). Fewer than `smooth_test.MIN_BLOCKS` of them say nothing.
    """
    rows = blocks.sum(axis=1)
    blocks, rows = blocks[rows > 0], rows[rows > 0]
    there = reference > 0
    df = int(np.sum(there)) - 1
    if len(rows) < MIN_BLOCKS or df < 1:
        return 1.0
    share = reference[there] / reference.sum()
    expected = np.outer(rows, share)
    statistic = float(np.sum((blocks[:, there] - expected) ** 2 / expected))
    return max(1.0, statistic / (df * (len(rows) - 1)))
