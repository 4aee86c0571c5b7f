"""Whether a column has moved, and which way: Neyman's smooth test on counts per bin.

Decides from the counts alone. Every bin has a score per component: polynomials of degree 1 to 4 of
its normal score, orthonormal under the reference's shares. The normal score of a bin is the mean of
a standard normal variable between the quantiles that the bin lies between (van der Waerden 1952,
Indag. Math. 14), so for a normal feature the scores are the Hermite polynomials, which are best for
it, and for any other one outliers and units do not matter. Ranks, which Neyman took, see less of
what happens in the tails: measured at matched false alarms, normal scores found 3 to 5 points more
of changes of spread and 1 to 2 more shifts. The mean score of live rows says how far the column has
moved in location, spread, skew and tails, in standard deviations of the reference. Scores add up
over rows, sub-windows and replicas. Does not know edges, time or what else is tested.

Sources: Neyman (1937), Skand. Aktuarietidskrift 20; Rayner, Thas and Best, Smooth Tests of Goodness
of Fit (2nd ed. 2009), chapters 4 and 5, for discrete orthonormal polynomials; both samples are
random here, so a mean score has variance 1/m + 1/n. Rows that resemble their neighbours carry less
news: the variance is multiplied by the factor by which means of consecutive blocks of the reference
vary more than independent rows would (block means, Carlstein 1986, Ann. Stat. 14(3)).

A mean of few skewed scores is not normal, and far out in the tail, where alarms are decided, that
matters: 200 rows exceed five standard deviations of a bin of 1 % a hundred times too often. So the
probability comes from scores freed of their skewness by the cube root of Wilson and Hilferty (1931,
PNAS 17), as if the mean were a Pearson type III variable.

Without rows, or with a constant reference, nothing has moved: all scores are 0 and p is 1.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from server.statistics.distance import Counts, Numbers
from server.statistics.tails import chi_square_tail, normal_two_sided

MAX_COMPONENTS = 4
COMPONENTS = ("location", "spread", "skew", "tails")

_WORDS = (
    ("location down", "location up"),
    ("spread narrower", "spread wider"),
    ("skew to the left", "skew to the right"),
    ("tails lighter", "tails heavier"),
)
_WORTH_A_WORD = 0.01
"""A component is named when it alone would be this improbable."""

MIN_SHARE = 0.001
"""Bins with less of the reference add no component and have no score of their own."""

FARTHEST_SCORE = 3.0
"""In standard deviations: no normal score of a bin is further out."""

_NOTHING = 1e-9

MIN_BLOCKS = 20
"""With fewer blocks nothing is said about how alike neighbours are."""


@dataclass(frozen=True, slots=True, eq=False)
class SmoothBasis:
    """What the test has to know of a reference."""

    reference: Counts
    """Rows per bin, int64 of shape (bins,)."""

    rows: int
    """Rows of the reference that are in a bin."""

    median_share: float
    """Of the rows, in a bin that is neither large nor small."""

    scores: Numbers
    """float64 of shape (bins, components); 0 to 4 components."""

    skewness: Numbers
    """Third moment of each component's scores under the reference, shape (components,)."""

    inflation: Numbers
    """How much more block means vary than those of independent rows; at least 1, (components,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """How far live rows are from the reference. All arrays have shape (components,)."""

    rows: int
    """Live rows in a bin."""

    means: Numbers
    """Mean scores: the effects, with their signs."""

    z: Numbers
    """Mean scores in standard errors: what adds up and is exported."""

    normal: Numbers
    """The same freed of skewness: standard normal when nothing has moved."""

    @property
    def df(self) -> int:
        """Degrees of freedom, one per component."""
        return len(self.means)

    @property
    def statistic(self) -> float:
        """Chi-square with `df` degrees of freedom when nothing has moved."""
        return float(np.sum(self.normal * self.normal))

    @property
    def p(self) -> float:
        """Probability of such a statistic when nothing has moved."""
        return self.first_p(self.df)

    def first_p(self, components: int) -> float:
        """Probability of such first components when nothing has moved: 1 is location alone."""
        first = self.normal[:components].tolist()
        return chi_square_tail(sum(value * value for value in first), len(first))

    @property
    def effect(self) -> float:
        """Length of the mean scores: 0.1 is small, 1 is one standard deviation."""
        return math.sqrt(float(np.sum(self.means * self.means)))

    @property
    def words(self) -> str:
        """The components that stand out, strongest first; empty where none does."""
        order = np.argsort(-np.abs(self.normal), kind="stable")
        return ", ".join(
            _WORDS[component][int(self.means[component] > 0.0)]
            for component in order.tolist()
            if normal_two_sided(float(self.normal[component])) < _WORTH_A_WORD
        )


def smooth_basis(reference: Counts, blocks: Counts | None = None) -> SmoothBasis:
    """Make the scores of a reference, int64 counts of shape (bins,).

    `blocks` are the counts of its consecutive blocks, int64 of shape (blocks, bins), each of at
    least some 50 rows; without them, rows are taken for independent.
    """
    rows = int(reference.sum())
    share: Numbers = reference / max(1, rows)
    scores = _orthonormal_scores(share)
    return SmoothBasis(
        reference=reference,
        rows=rows,
        median_share=float(np.median(share)) if len(share) else 0.0,
        scores=scores,
        skewness=share @ scores**3,
        inflation=_inflation(scores, blocks),
    )


def _orthonormal_scores(share: Numbers) -> Numbers:
    """Return polynomials of the normal score that are orthonormal under the reference's shares.

    A bin with less of the reference than MIN_SHARE scores between its neighbours, as if powers ran
    straight between bins that have more: a polynomial through it, or out to it, would be huge
    there. So no score is larger than 1 / sqrt(MIN_SHARE), about 32.
    """
    there = share >= MIN_SHARE
    components = min(MAX_COMPONENTS, int(np.sum(there)) - 1)
    if components < 1:
        return np.zeros((len(share), 0))
    normal = _normal_scores(share)
    powers = np.vander(normal, components + 1, increasing=True)
    powers = np.column_stack([np.interp(normal, normal[there], one[there]) for one in powers.T])
    triangle = np.linalg.qr(powers * np.sqrt(share)[:, np.newaxis], mode="r")
    triangle *= np.sign(np.diag(triangle))[:, np.newaxis]  # The highest power counts upwards.
    scores: Numbers = np.linalg.solve(triangle.T, powers.T).T[:, 1:]
    return scores


def _normal_scores(share: Numbers) -> Numbers:
    """Return the mean of a standard normal variable in bins of these shares, shape (bins,).

    It ends at FARTHEST_SCORE: a bin with next to nothing would weigh as much as all others.
    """
    normal = NormalDist()
    inner = np.cumsum(share)[:-1].tolist()
    at = [
        normal.inv_cdf(one) if 0.0 < one < 1.0 else math.copysign(math.inf, one - 0.5)
        for one in inner
    ]
    at = [-math.inf, *at, math.inf]
    density = [normal.pdf(one) if math.isfinite(one) else 0.0 for one in at]
    means = [
        (low - high) / part if part > _NOTHING else end
        for low, high, part, end in zip(density, density[1:], share.tolist(), at, strict=False)
    ]
    scores: Numbers = np.clip(np.array(means), -FARTHEST_SCORE, FARTHEST_SCORE)
    return scores


def _inflation(scores: Numbers, blocks: Counts | None) -> Numbers:
    """Return the variance of block means over that of means of independent rows, or 1."""
    if blocks is None:
        return np.ones(scores.shape[1])
    rows = blocks.sum(axis=1)
    there = rows > 0
    count = int(np.sum(there))
    if count < MIN_BLOCKS:
        return np.ones(scores.shape[1])
    sums = blocks[there] @ scores
    estimates = np.sum(sums * sums / rows[there, np.newaxis], axis=0) / (count - 1)
    return np.array([beyond_chance(float(one), count - 1) for one in estimates])


def beyond_chance(factor: float, df: int) -> float:
    """Return a factor of variance, estimated with `df` degrees of freedom, or 1.

    Estimates of 1 are above it half of the time, and the largest of four nearly always: taken at
    their word, they cost power on every column to guard against what is not there. Two standard
    errors are let pass.
    """
    return factor if factor > 1.0 + 2.0 * math.sqrt(2.0 / df) else 1.0


def score_sums(basis: SmoothBasis, live: Counts) -> Numbers:
    """Return the summed scores of live rows, shape (components,): what adds up over windows."""
    sums: Numbers = live @ basis.scores
    return sums


def shift(basis: SmoothBasis, live: Counts) -> Shift:
    """Compare live rows, int64 counts of shape (bins,), with the reference."""
    return shift_of_sums(basis, score_sums(basis, live), int(live.sum()))


def shift_of_sums(basis: SmoothBasis, sums: Numbers, rows: int) -> Shift:
    """Compare `rows` live rows, whose scores sum to `sums`, with the reference."""
    if rows == 0 or basis.rows == 0:
        nothing = np.zeros(len(sums))
        return Shift(rows, nothing, nothing, nothing)
    means = sums / rows
    variance = 1.0 / rows + 1.0 / basis.rows
    z = means / np.sqrt(variance * basis.inflation)
    # The third cumulant of the difference of both means. A sample of rows that resemble their
    # neighbours is worth fewer, so its mean is the more skewed.
    third = 1.0 / rows**2 - 1.0 / basis.rows**2
    skewness = basis.skewness * third / variance**1.5 * np.sqrt(basis.inflation)
    return Shift(rows, means, z, without_skewness(z, skewness))


def without_skewness(z: NDArray[np.float64], skewness: NDArray[np.float64]) -> Numbers:
    """Turn standardised Pearson type III variables into standard normal ones, element by element.

    Beyond the bound that such a variable has on its short side, the result stays at the bound's.
    """
    is_skewed = np.abs(skewness) > 1e-6
    safe = np.where(is_skewed, skewness, 1.0)
    root = np.cbrt(np.maximum(0.0, 1.0 + safe * z / 2.0))
    normal: Numbers = np.where(is_skewed, (root - 1.0 + safe * safe / 36.0) * 6.0 / safe, z)
    return normal
