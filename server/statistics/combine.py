"""The verdict on one feature and one window: one probability, one effect, a few words.

Decides from counts alone how improbable a window is when nothing has changed; whether that is
improbable enough, and for how long, is decided by `budget.py` and `sequential.py`.

A numeric feature is asked five questions about the same counts: has the location moved (one degree
of freedom), have location and spread (two), has any of the four components of the smooth test, has
the cumulated share anywhere (Kolmogorov-Smirnov), has any bin (chi-square)? The fewer degrees of
freedom, the more is seen of what they are about. The answers depend on each other, and Cauchy's
combination needs to know nothing of how: Liu and Xie (2020), J. Am. Stat. Assoc. 115(529), theorem
1; its tail is exact as alpha goes to 0. The first two weigh double. A categorical feature has a
chi-square of homogeneity instead.

The weights came of measuring 27 changes in windows of 500 to 5000 rows at matched false alarms (see
`loadtests/detection`): with four questions of equal weight 33 of 324 cells were seen less often, by
more than 5 points, than by the best of Kolmogorov-Smirnov on all rows, Wasserstein and PSI, and 25
so. Without chi-square a value that fills in for others is seen 10 to 40 points less often; without
Kolmogorov-Smirnov changes with an edge up to 10 less; with single weight for the first two, shifts
and changes of spread half a point to 5 less.

Rates (missing, infinite, never seen, out of range) are tests of their own, each with its own share
of alpha by Bonferroni's rule. The verdict's p is the smallest of p over share: compared with alpha,
it alarms on clean data at a rate of alpha at most, and is the price-adjusted p for a report.

Nothing to compare (no rows on a side, a constant reference, no rates) is p = 1, effect 0, no words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.statistics.distance import Counts, kolmogorov
from server.statistics.homogeneity import homogeneity, shares_p
from server.statistics.rates import Rate, rate_effect, rate_p, rate_words
from server.statistics.smooth_test import Shift, SmoothBasis, shift
from server.statistics.tails import SMALLEST_P, kolmogorov_tail, normal_two_sided

RATES_SHARE = 0.3
"""Of alpha, for all rates together; what counts per bin or category say gets the rest."""

_LARGEST_P = 0.99
"""A p of 1, which discrete tests have, would outweigh all evidence: its Cauchy value has no end."""

_WEIGHTS = (2.0, 2.0, 1.0, 1.0, 1.0)
"""Of location, location and spread, all components, Kolmogorov-Smirnov, chi-square."""

UNSEEN = 0.5826
"""Of the root of the time between two looks at a bridge: see `kolmogorov_p`."""

_MANY_EDGES = 8

_SMALL_P = 1e-8
"""Below, the tangent is the reciprocal, to all digits."""


@dataclass(frozen=True, slots=True)
class Part:
    """One test that has its own share of alpha."""

    name: str
    p: float

    share: float
    """Of alpha; the shares of all parts add up to 1."""

    effect: float
    """In standard deviations of the reference; 0.1 is small."""

    words: str

    @property
    def adjusted_p(self) -> float:
        """What compares with the whole alpha."""
        return min(1.0, self.p / self.share) if self.share > 0.0 else 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a window's counts say of one feature."""

    p: float
    """Probability of a window as strange as this when nothing has changed, over all parts."""

    effect: float
    """Of the part that decided."""

    words: str
    """Of the part that decided."""

    parts: tuple[Part, ...]


def cauchy(p_values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Combine probabilities of tests that may depend on each other; 1 when there are none.

    `weights` are positive, and count relative to each other; equal by default.
    """
    if not p_values:
        return 1.0
    shares = weights or [1.0] * len(p_values)
    total = sum(share * _cauchy_value(p) for share, p in zip(shares, p_values, strict=True))
    value = total / sum(shares)
    if value > 1.0 / _SMALL_P:
        return 1.0 / (math.pi * value)
    return 0.5 - math.atan(value) / math.pi


def _cauchy_value(p: float) -> float:
    p = min(max(p, SMALLEST_P), _LARGEST_P)
    return 1.0 / (math.pi * p) if p < _SMALL_P else math.tan((0.5 - p) * math.pi)


def kolmogorov_p(basis: SmoothBasis, live: Counts) -> float:
    """Return the probability of such a distance over bins when nothing has changed.

    The sum over the edges between bins is a bound, exact for two bins and good for a few. With
    many, the limit for continuous columns is right for a bridge that is looked at in between too;
    one seen at the edges only stays lower by 0.5826 of the root of the time between them
    (Broadie, Glasserman and Kou 1997, Math. Finance 7). The median bin stands for that time, so
    one large bin does not claim it for all.
    """
    rows = int(live.sum())
    if rows == 0 or basis.rows == 0 or len(basis.inflation) == 0:
        return 1.0
    variance = (1.0 / rows + 1.0 / basis.rows) * float(basis.inflation.max())
    value = kolmogorov(basis.reference, live) / math.sqrt(variance)
    pooled = ((basis.reference + live).cumsum() / (basis.rows + rows)).tolist()
    spreads = [math.sqrt(below * (1.0 - below)) for below in pooled if 0.0 < below < 1.0]
    edges = sum(normal_two_sided(value / spread) for spread in spreads)
    if len(spreads) >= _MANY_EDGES:
        value += UNSEEN * math.sqrt(basis.median_share)
    return min(kolmogorov_tail(value), edges, 1.0)


def distribution_p(basis: SmoothBasis, live: Counts, moved: Shift) -> float:
    """Return the combined probability for a numeric column; `moved` is the shift of `live`."""
    if moved.df == 0:
        return 1.0
    answers = [moved.first_p(1), moved.first_p(2), moved.p, kolmogorov_p(basis, live)]
    of_bins = shares_p(basis.reference, live, float(basis.inflation.max()))
    if of_bins is not None:
        answers.append(of_bins)
    return cauchy(answers, _WEIGHTS[: len(answers)])


def numeric_verdict(basis: SmoothBasis, live: Counts, rates: Sequence[Rate] = ()) -> Verdict:
    """Judge live rows of a numeric feature, int64 counts of shape (bins,), and its rates."""
    moved = shift(basis, live)
    p = distribution_p(basis, live, moved)
    share = _main_share(can_tell=moved.df > 0, rates=rates)
    words = moved.words or "distribution"
    return _verdict(Part("distribution", p, share, moved.effect, words), rates)


def categorical_verdict(
    reference: Counts, live: Counts, rates: Sequence[Rate] = (), inflation: float = 1.0
) -> Verdict:
    """Judge live rows of a categorical feature, int64 counts of shape (categories,), and rates.

    `inflation` is that of `homogeneity.category_inflation`.
    """
    found = homogeneity(reference, live, inflation)
    share = _main_share(can_tell=found.df > 0, rates=rates)
    return _verdict(Part("categories", found.p, share, found.effect, "other shares"), rates)


def _main_share(*, can_tell: bool, rates: Sequence[Rate]) -> float:
    """Return the share of what is not a rate; what cannot tell anything leaves it to the rates."""
    if not rates:
        return 1.0
    return 1.0 - RATES_SHARE if can_tell else 0.0


def _verdict(main: Part, rates: Sequence[Rate]) -> Verdict:
    parts = [main]
    for rate in rates:
        share = (1.0 - main.share) / len(rates)
        parts.append(Part(rate.name, rate_p(rate), share, rate_effect(rate), rate_words(rate)))
    decisive = min(parts, key=lambda part: part.adjusted_p)
    words = decisive.words if decisive.adjusted_p < 1.0 else ""
    return Verdict(decisive.adjusted_p, decisive.effect, words, tuple(parts))
