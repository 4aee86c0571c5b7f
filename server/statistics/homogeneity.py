"""Whether categories have the same shares in two columns: Pearson's chi-square of homogeneity.

Decides from counts per category alone. Does not know what the categories are called. Categories
never seen in the reference are not in the counts: they are a `Rate` of their own.

Both sides are samples (Pearson 1911, Biometrika 8): the statistic equals that of a contingency
table without Yates' correction, whatever the sizes. Chi-square holds when no expected count is
small (Cochran 1954, Biometrics 10, asks for 5), so thin categories are added together. With many
that have few more than 5 its tail is still too heavy: 3 to 6 times as many windows exceed a p of
1e-5 as should. So the statistic is first brought to the chi-square value of the same probability by
its true variance and third moment (Haldane 1937, Biometrika 29, for one sample; for two, what comes
of fourth and sixth cumulants of a difference), which leaves 1 to 3 times as many. If even
their sum is thin it is left out, and whether its rate has changed is a question of its own,
answered exactly (`rates.py`): added to a large category, a rare one could grow tenfold unseen. Each
question then has half of alpha. Two categories are one rate, and tested exactly too.

Where rows resemble their neighbours the statistic is divided by the factor by which blocks of the
reference vary more than independent rows would (Rao and Scott 1981, J. Am. Stat. Assoc. 76).

An empty side, or fewer than two categories, says nothing: no degrees of freedom, p is 1.
"""

import math
from dataclasses import dataclass

import numpy as np

from server.statistics.distance import Counts
from server.statistics.rates import Rate, rate_p
from server.statistics.smooth_test import MIN_BLOCKS, beyond_chance
from server.statistics.tails import chi_square_tail

MIN_EXPECTED_ROWS = 5.0
"""What a kept category has to be expected to have, on the smaller side."""


@dataclass(frozen=True, slots=True)
class Homogeneity:
    """How different the shares are."""

    statistic: float
    """Of the categories that are not thin."""

    df: int
    """Categories told apart, less one."""

    p: float
    """Probability of such counts when nothing has changed."""

    effect: float
    """Root of the sum of (live - reference share)^2 / reference share, over kept categories."""


_NOTHING = Homogeneity(0.0, 0, 1.0, 0.0)


def homogeneity(reference: Counts, live: Counts, inflation: float = 1.0) -> Homogeneity:
    """Compare int64 counts per category, both of shape (categories,)."""
    assert len(reference) == len(live), "both sides must be counted over the same categories"
    if reference.sum() == 0 or live.sum() == 0:
        return _NOTHING
    rare, table = _divided(np.stack([reference, live]))
    told_apart = np.concatenate([rare, table], axis=1)
    if told_apart.shape[1] < 2:
        return _NOTHING
    statistic = _chi_square(table) / max(1.0, inflation)
    answers = []
    if rare.shape[1]:
        answers.append(_exact_p(rare[:, 0], told_apart.sum(axis=1), inflation))
    if table.shape[1] == 2:
        answers.append(_exact_p(table[:, 0], table.sum(axis=1), inflation))
    elif table.shape[1] > 2:
        answers.append(_table_p(statistic, table, inflation))
    p = min(1.0, len(answers) * min(answers))
    return Homogeneity(statistic, told_apart.shape[1] - 1, p, _effect(told_apart))


def shares_p(reference: Counts, live: Counts, inflation: float = 1.0) -> float | None:
    """Return the probability of the shares of what is not thin, at least three bins or categories.

    None where there are fewer. What is thin even together is left out, and not asked after.
    """
    if reference.sum() == 0 or live.sum() == 0:
        return None
    _, kept = _divided(np.stack([reference, live]))
    if kept.shape[1] < 3 or kept.sum(axis=1).min() == 0:
        return None
    return _table_p(_chi_square(kept) / max(1.0, inflation), kept, inflation)


def _divided(table: Counts) -> tuple[Counts, Counts]:
    """Return what is too rare for chi-square, of shape (2, 0 or 1), and the others: (2, kept).

    What is thin is seen from both sides together, so it says nothing of their difference.
    """
    together = table.sum(axis=0)
    table = table[:, np.argsort(together, kind="stable")]
    sides = table.sum(axis=1)
    expected = np.sort(together) * (sides.min() / sides.sum())
    thin = int(np.searchsorted(expected, MIN_EXPECTED_ROWS))
    joined, kept = table[:, :thin].sum(axis=1, keepdims=True), table[:, thin:]
    if expected[:thin].sum() >= MIN_EXPECTED_ROWS:
        return joined[:, :0], np.concatenate([joined, kept], axis=1)
    return joined[:, : int(joined.sum() > 0)], kept


def _chi_square(table: Counts) -> float:
    """Return Pearson's statistic of a table of shape (2, kept); 0 for fewer than two columns."""
    sides = table.sum(axis=1)
    if table.shape[1] < 2 or sides.min() == 0:
        return 0.0
    expected = np.outer(sides, table.sum(axis=0) / sides.sum())
    return float(np.sum((table - expected) ** 2 / expected))


def _table_p(statistic: float, table: Counts, inflation: float) -> float:
    """Return the probability of a statistic of a table, shape (2, 3 or more), of random rows."""
    kept = table.shape[1]
    df = kept - 1
    variance, third = _cumulants(table, inflation)
    if not (variance > 0.0 and third > 0.0):
        return chi_square_tail(statistic, df)
    # The cube root of Wilson and Hilferty makes a variable of these moments normal; taken back
    # with the moments of chi-square, it leaves a variable that has them already as it is.
    skewness, usual = third / variance**1.5, math.sqrt(8.0 / df)
    beyond = (statistic - df) / math.sqrt(variance)
    root = math.cbrt(max(0.0, 1.0 + skewness * beyond / 2.0))
    normal = (root - 1.0 + skewness * skewness / 36.0) * 6.0 / skewness
    cube = max(0.0, normal * usual / 6.0 + 1.0 - usual * usual / 36.0) ** 3
    return chi_square_tail(df * cube, df)


def _cumulants(table: Counts, inflation: float) -> tuple[float, float]:
    """Return variance and third central moment of Pearson's statistic of a table."""
    kept = table.shape[1]
    sides = table.sum(axis=1) / max(1.0, inflation)
    share = table.sum(axis=0) / table.sum()
    first, second = float(np.sum(1.0 / share)), float(np.sum(1.0 / share**2))
    unit = float(np.sum(1.0 / sides))
    fourth = float(np.sum(sides**-3.0)) / unit**2
    sixth = float(np.sum(sides**-5.0)) / unit**3
    skewed = float(sides[0] ** -2.0 - sides[1] ** -2.0) ** 2 / unit**3
    variance = 2.0 * (kept - 1) + fourth * (first - kept**2 - 2 * kept + 2)
    third = (
        8.0 * (kept - 1)
        + (12.0 * fourth + 10.0 * skewed) / 22.0 * (22 * first - 18 * kept**2 - 36 * kept + 32)
        + sixth * (second - (3 * kept + 22) * first + 2 * kept**3 + 18 * kept**2 + 28 * kept - 24)
    )
    return variance, third


def _exact_p(counts: Counts, rows: Counts, inflation: float) -> float:
    reference, live = counts.tolist()
    reference_rows, live_rows = rows.tolist()
    return rate_p(Rate("", reference, reference_rows, live, live_rows, True, inflation))


def _effect(table: Counts) -> float:
    reference, live = table
    before = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    now = live / live.sum()
    return math.sqrt(float(np.sum((now - before) ** 2 / before)))


def category_inflation(reference: Counts, blocks: Counts) -> float:
    """Return by how much blocks of a reference vary more than independent rows; at least 1.

    It is 1 unless they vary more than those of independent rows do by chance.

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
    freedom = df * (len(rows) - 1)
    return beyond_chance(statistic / freedom, freedom)
