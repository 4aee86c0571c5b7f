"""Shifts of location, added up row by row until they are certain.

Decides whether the location of a column has moved by little, for long: what no single window shows.
It adds up the location score of `smooth_test.py`, which is one sum and one number of rows per
sub-window, in two one-sided cumulative sums (Page 1954, Biometrika 41) of the log-likelihood ratio
of "moved by so much" against "not moved", for each of three shifts. Does not know time, nor what
else is tested.

One shift alone finds that one soonest and others late: at one false alarm in 20,000 evaluations of
50 rows, a sum for 0.1 found 0.1, 0.25 and 0.5 after 1400, 450 and 200 rows, one for 0.25 after
3700, 300 and 100, and all three together after 1675, 325 and 100 (medians).

Stated false-alarm rate: the mean number of evaluations to a false alarm, with windows that do not
overlap. The thresholds follow from it by Siegmund's approximation for sums that are looked at once
per evaluation (Sequential Analysis, 1985, chapters II and X), each sum getting an equal part of the
rate. It needs the rows of an evaluation; larger evaluations than told alarm sooner, but never
sooner than Lorden's bound, exp(threshold) evaluations (1971, Ann. Math. Stat. 42, theorem 2).

The mean of the reference is itself uncertain, and a sum without end would find that error. So
something is given away on each side, and a shift must be larger than that to add up: just so much
that over all references the rate stays what it is. A normal error of variance v makes false alarms
exp((threshold / shift)^2 * 2v) times as frequent on average, an allowance a makes them
exp(-2a * threshold / shift) times as rare, and both are equal for a = v * threshold / shift. (Of
2000 references of 1000, 5000 and 20,000 rows there came 0.5, 0.6 and 0.8 of the stated alarms.)

Rows that resemble their neighbours count for less by the inflation of the location component. A sum
ends at twice the threshold, so an alarm ends soon after its cause does.
"""

import math
from dataclasses import dataclass

from server.statistics.smooth_test import SmoothBasis

SHIFTS = (0.1, 0.25, 0.6)
"""In standard deviations: what is found soonest."""

LARGEST_RATIO = 2.0
_MEAN_EXCESS = 1.166
_SMALLEST_THRESHOLD = 0.1


@dataclass(frozen=True, slots=True)
class CusumRule:
    """What one column's location is measured by."""

    shifts: tuple[float, ...]
    """The shifts to be found soonest, in standard deviations."""

    thresholds: tuple[float, ...]
    """For each of them the log-likelihood ratio that raises; positive."""

    allowances: tuple[float, ...]
    """For each what the mean score may be off because the reference was finite, same unit."""

    inflation: float
    """Variance of summed scores over that of independent rows; at least 1."""


@dataclass(frozen=True, slots=True)
class Cusum:
    """How much speaks for each shift up and for each one down; all at least 0."""

    up: tuple[float, ...] = (0.0,) * len(SHIFTS)
    down: tuple[float, ...] = (0.0,) * len(SHIFTS)

    def ratio(self, rule: CusumRule) -> float:
        """Return the largest sum over its threshold: 1 raises."""
        sides = zip(self.up, self.down, rule.thresholds, strict=True)
        return max(max(up, down) / threshold for up, down, threshold in sides)


def cusum_threshold(evaluations_per_alarm: float, step: float = 0.0) -> float:
    """Return the threshold at which false alarms are so many evaluations apart, on average.

    Of both sides of one shift. `step` is the standard deviation of one evaluation's log-likelihood
    ratio; 0 where it is not known, and then Lorden's bound is taken.
    """
    bound = 2.0 * max(1.0, evaluations_per_alarm)
    threshold = math.log(bound)
    if step <= 0.0:
        return threshold
    # One side alarms every 2 / step^2 * (exp(x) - x - 1) evaluations, where x is the threshold and
    # what a sum exceeds it by on average.
    excess = _MEAN_EXCESS * step
    reached = threshold + excess
    for _ in range(50):
        reached = math.log1p(reached + bound * step * step / 2.0)
    return max(_SMALLEST_THRESHOLD, min(threshold, reached - excess))


def cusum_rule(
    basis: SmoothBasis,
    evaluations_per_alarm: float,
    evaluation_rows: int = 0,
    shifts: tuple[float, ...] = SHIFTS,
) -> CusumRule:
    """Make the rule for a reference. Without rows or components it never raises.

    `evaluation_rows` are the most rows that an evaluation usually adds; 0 where that is not known.
    """
    can_tell = basis.rows > 0 and len(basis.inflation) > 0
    inflation = float(basis.inflation[0]) if can_tell else 1.0
    error = inflation / basis.rows if can_tell else 0.0
    each = evaluations_per_alarm * len(shifts)
    root = math.sqrt(evaluation_rows / inflation)
    thresholds = tuple(cusum_threshold(each, shift * root) for shift in shifts)
    allowances = tuple(
        error * threshold / shift for threshold, shift in zip(thresholds, shifts, strict=True)
    )
    return CusumRule(shifts, thresholds, allowances, inflation)


def add(state: Cusum, rule: CusumRule, location_sum: float, rows: int) -> Cusum:
    """Return the sums after one more sub-window: its summed location scores and its rows."""
    return Cusum(
        _next(state.up, rule, location_sum, rows), _next(state.down, rule, -location_sum, rows)
    )


def _next(
    sums: tuple[float, ...], rule: CusumRule, location_sum: float, rows: int
) -> tuple[float, ...]:
    """Add the log-likelihood ratio of normal scores: shift * sum - rows * shift^2 / 2."""
    scores, worth = location_sum / rule.inflation, rows / rule.inflation
    return tuple(
        min(
            max(0.0, value + shift * (scores - worth * (allowance + shift / 2.0))),
            LARGEST_RATIO * limit,
        )
        for value, shift, allowance, limit in zip(
            sums, rule.shifts, rule.allowances, rule.thresholds, strict=True
        )
    )
