"""Whether something happens more often, or less often, than it did in the reference.

Decides from two counts of two numbers of rows: missing values, infinities, categories never seen,
values beyond the reference's range. Does not know which of them it is told about.

Fisher's exact test (1922, J. R. Stat. Soc. 85): given how many rows of both sides together have the
property, live rows are a draw without putting back. It is exact for a rate of 0 in the reference,
where every normal approximation fails: with n reference rows and m live ones, k of which lie above
the reference's maximum, it is the chance that the k largest of all rows are live ones. For
categories, count as seen anew those reference rows whose category occurs once (Good 1953,
Biometrika 40: their share is the chance that the next row is new).

A side without rows says nothing: p is 1, the effect 0.
"""

import math
from dataclasses import dataclass

from server.statistics.tails import hypergeometric_tail


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened in the reference and live."""

    name: str
    """In the words of a report, such as `missing`."""

    reference_count: int
    reference_rows: int
    live_count: int
    live_rows: int

    is_two_sided: bool = False
    """Whether less often is a change too."""

    inflation: float = 1.0
    """By how much the rate varies more from window to window than with independent rows."""


def rate_p(rate: Rate) -> float:
    """Return the probability of such a live count, or a stranger one, when nothing has changed."""
    live_rows, reference_rows = _worth(rate.live_rows, rate), _worth(rate.reference_rows, rate)
    if live_rows == 0 or reference_rows == 0:
        return 1.0
    live_count = _worth(rate.live_count, rate)
    reference_count = _worth(rate.reference_count, rate)
    marked, rows = live_count + reference_count, live_rows + reference_rows
    if not rate.is_two_sided:
        return hypergeometric_tail(live_count, live_rows, marked, rows)
    if live_count * reference_rows >= reference_count * live_rows:
        return min(1.0, 2.0 * hypergeometric_tail(live_count, live_rows, marked, rows))
    return min(1.0, 2.0 * hypergeometric_tail(reference_count, reference_rows, marked, rows))


def _worth(count: int, rate: Rate) -> int:
    """Return how many independent rows `count` rows are worth, rounded down."""
    return int(count / max(1.0, rate.inflation))


def rate_effect(rate: Rate) -> float:
    """Return the difference of the rates in standard deviations of a reference row, unsigned.

    Half a row is added to the reference's count, so that what never happened has a deviation; it
    is the measure of `smooth_test.py` for two bins.
    """
    if rate.live_rows == 0 or rate.reference_rows == 0:
        return 0.0
    before = (rate.reference_count + 0.5) / (rate.reference_rows + 1.0)
    now = rate.live_count / rate.live_rows
    return abs(now - rate.reference_count / rate.reference_rows) / math.sqrt(
        before * (1.0 - before)
    )


def rate_words(rate: Rate) -> str:
    """Say which way the rate went."""
    before = rate.reference_count * rate.live_rows
    now = rate.live_count * rate.reference_rows
    if now == before:
        return ""
    return f"{'more' if now > before else 'less'} often {rate.name}"
