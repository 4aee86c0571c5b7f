"""Evidence that may be looked at as often as one likes, and decided upon at any moment.

Decides how strongly counts speak against a rate, and which rates they leave possible. A test that
is made for one look errs far more often when its maker peeks: looked at every 50 pairs, one of 5 %
claims something of two equal versions in nearly half of all releases. The e-value of a mixture
does not: whatever the moment, it exceeds 1/alpha with a chance of at most alpha when nothing is
there (Ville 1939), so that intervals made of it hold at all times at once.

Everything but `cdf_band` and `paired_half_width` needs counts only, and counts add up: over
replicas, over restarts. The logarithms of the e-values of separate periods add up too, so that the
weight of a canary may change between them. Does not know what is counted, nor what follows from it.

Sources: Beta mixture, Robbins 1970 (Ann. Math. Stat. 41) and Howard et al. 2021 (Ann. Statist. 49);
mean of pairs, Waudby-Smith et al. 2024 (Ann. Statist. 52); distributions, Howard and Ramdas 2022
(Bernoulli 28).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_HALVES = math.lgamma(0.5) * 2.0
"""Logarithm of the Beta function of a half and a half: the mixture before any count."""

_STEPS = 40
"""Of a bisection: to a part in a million million."""

_FARTHEST_LOG_RATIO = 40.0

TUNED_PAIRS = 5000
"""Pairs at which the interval of a mean is about as narrow as it can be."""
LEAST_PAIRS = 500
LEAST_DISCORDANT = 30
"""Below either, the interval of a mean does not keep its promise: its theory is of large counts."""


@dataclass(frozen=True, slots=True)
class Interval:
    """All values that the counts leave possible."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Split:
    """Events of two arms in a period in which the share of the one was the same throughout."""

    ours: float
    """Events of the arm that is tested."""
    others: float
    """Events of the other arm."""
    share: float
    """Of all requests of both, those that went to the arm that is tested; in (0, 1)."""


def log_e_value(events: float, others: float, rate: float) -> float:
    """Return the logarithm of the evidence that events do not come at `rate`, in [0, 1].

    `events` of `events + others` trials were events. Negative values speak for the rate.
    """
    return _mixture(events, others) - _log_chance(events, others, rate)


def is_rate_below(events: float, total: float, rate: float, alpha: float) -> bool:
    """Say whether the rate of events is surely below `rate`: the interval ends before it."""
    is_less = total > 0 and events < rate * total
    return is_less and log_e_value(events, total - events, rate) > -math.log(alpha)


def is_rate_above(events: float, total: float, rate: float, alpha: float) -> bool:
    """Say whether the rate of events is surely above `rate`: the interval begins after it."""
    is_more = total > 0 and events > rate * total
    return is_more and log_e_value(events, total - events, rate) > -math.log(alpha)


def rate_interval(events: float, total: float, alpha: float) -> Interval:
    """Return all rates that were not rejected at `alpha` by `events` of `total` trials."""
    if total <= 0:
        return Interval(0.0, 1.0)
    others, observed = total - events, events / total
    bound = _mixture(events, others) + math.log(alpha)

    def is_possible(rate: float) -> bool:
        return _log_chance(events, others, rate) >= bound

    low = _border(observed, 0.0, is_possible)
    return Interval(low, _border(observed, 1.0, is_possible))


def ratio_interval(splits: Sequence[Split], alpha: float) -> Interval:
    """Return all ratios of the rate of events in our arm to that in the other, not rejected.

    With ratio r and share w of the requests, an event is ours with a chance of w r / (w r + 1 - w),
    whatever the rates themselves are: they may rise and fall. Each period is tested on its own, and
    the evidence is added. If the periods contradict each other so that no ratio is possible, the
    interval is the best one alone.
    """
    known = _comparable(splits)
    if not known:
        return Interval(0.0, math.inf)

    bound = _mixtures(known) + math.log(alpha)

    def is_possible(log_ratio: float) -> bool:
        return _log_chances(known, log_ratio) >= bound

    best = _log(best_ratio(known))
    low = _border(best, -_FARTHEST_LOG_RATIO, is_possible)
    high = _border(best, _FARTHEST_LOG_RATIO, is_possible)
    return Interval(
        0.0 if low <= -_FARTHEST_LOG_RATIO else math.exp(low),
        math.inf if high >= _FARTHEST_LOG_RATIO else math.exp(high),
    )


def log_e_of_ratio(splits: Sequence[Split], ratio: float) -> float:
    """Return the logarithm of the evidence of all periods that the ratio is not `ratio`."""
    known = _comparable(splits)
    return _mixtures(known) - _log_chances(known, _log(ratio))


def best_ratio(splits: Sequence[Split]) -> float:
    """Return the ratio that fits the events best; 0 without events of ours, NaN without any."""
    known = _comparable(splits)
    ours, others = sum(one.ours for one in known), sum(one.others for one in known)
    if not known:
        return math.nan
    if ours <= 0.0:
        return 0.0
    if others <= 0.0:
        return math.inf
    low, high = -_FARTHEST_LOG_RATIO, _FARTHEST_LOG_RATIO
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        expected = sum((one.ours + one.others) * _share_at(one, middle) for one in known)
        low, high = (middle, high) if expected < ours else (low, middle)
    return math.exp((low + high) / 2.0)


def paired_half_width(losses: float, gains: float, pairs: float, alpha: float) -> float | None:
    """Return how far the mean of pairs may be from what was observed, or None if that is unknown.

    A pair counts -1 (`losses`), 1 (`gains`) or 0. None below the counts from which it holds.
    """
    if pairs < LEAST_PAIRS or losses + gains < LEAST_DISCORDANT:
        return None
    mean = (gains - losses) / pairs
    deviation = math.sqrt(max((gains + losses) / pairs - mean * mean, 0.0))
    spread = (-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / TUNED_PAIRS
    grown = pairs * spread + 1.0
    width = 2.0 * grown / (pairs * pairs * spread) * math.log(math.sqrt(grown) / alpha)
    return deviation * math.sqrt(width)


def cdf_band(rows: float, alpha: float) -> float:
    """Return how far an empirical distribution function may be from the true one, anywhere."""
    if rows < 1:
        return 1.0
    spread = math.log(math.log(math.e * rows)) + 0.8 * math.log(1612.0 / alpha)
    return min(1.0, 0.85 * math.sqrt(spread / rows))


def growth_needed(is_decided: Callable[[float], bool], most: float = 1e4) -> float | None:
    """Return by which factor counts must grow to decide, if all goes on as it was.

    `is_decided` says so for counts that were multiplied by a factor. None if `most` is not enough.
    """
    low, high = 1.0, 1.0
    while not is_decided(high):
        if high >= most:
            return None
        low, high = high, min(2.0 * high, most)
    for _ in range(12):  # Within a part in four thousand: it is a forecast.
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_decided(middle) else (middle, high)
    return high


def _comparable(splits: Sequence[Split]) -> list[Split]:
    """Return the periods that say something: in which both arms were asked, and events came."""
    return [one for one in splits if 0.0 < one.share < 1.0 and one.ours + one.others > 0.0]


def _log(ratio: float) -> float:
    if ratio <= 0.0:
        return -_FARTHEST_LOG_RATIO
    return max(-_FARTHEST_LOG_RATIO, min(math.log(ratio), _FARTHEST_LOG_RATIO))


def _mixture(events: float, others: float) -> float:
    """Return the logarithm of the chance of the counts when any rate is possible."""
    ours, theirs = events + 0.5, others + 0.5
    return math.lgamma(ours) + math.lgamma(theirs) - math.lgamma(ours + theirs) - _HALVES


def _log_chance(events: float, others: float, rate: float) -> float:
    """Return the logarithm of the chance of the counts at a rate."""
    chance = 0.0
    for count, share in ((events, rate), (others, 1.0 - rate)):
        if count > 0.0:
            chance += count * math.log(share) if share > 0.0 else -math.inf
    return chance


def _share_at(split: Split, log_ratio: float) -> float:
    """Return the chance that an event is ours."""
    odds = log_ratio + math.log(split.share) - math.log1p(-split.share)
    return 1.0 / (1.0 + math.exp(-odds)) if odds > -500.0 else 0.0


def _mixtures(splits: Sequence[Split]) -> float:
    return sum(_mixture(split.ours, split.others) for split in splits)


def _log_chances(splits: Sequence[Split], log_ratio: float) -> float:
    """Return the logarithm of the chance of all counts at a ratio."""
    return sum(
        _log_chance(split.ours, split.others, _share_at(split, log_ratio)) for split in splits
    )


def _border(inside: float, end: float, is_possible: Callable[[float], bool]) -> float:
    """Return where, on the way from `inside` to `end`, values stop being possible."""
    if not is_possible(inside):
        return inside
    if is_possible(end):
        return end
    outside = end
    for _ in range(_STEPS):
        middle = (inside + outside) / 2.0
        inside, outside = (middle, outside) if is_possible(middle) else (inside, middle)
    return outside
