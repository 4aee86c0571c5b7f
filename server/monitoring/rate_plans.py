"""Which rates of a column are watched beside its distribution, and where their counts are.

Decides for each column which of these are asked after, what they are called in a report, and which
alert they belong to: missing values, infinities, values beyond the reference's range, categories
never seen, values of another type than the reference's.

A rate that had no rows in the reference, such as values above its maximum, is an honest zero: the
exact test of `statistics/rates.py` takes the reference as the sample that it is.

A reference by hours knows of each hour what was missing and infinite. What is new or out of range
is so whatever the hour, and held to all rows.

Does not know windows or thresholds.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import Kind
from server.monitoring.counting import CountLayout, Counts
from server.monitoring.profile import CategoryProfile, ColumnProfile, NumberProfile
from server.statistics.rates import Rate
from server.tensors import DATATYPES


class Rule(StrEnum):
    """What an alert is about. Names are stable: stores, metrics and webhooks carry them."""

    DRIFT = "drift"
    """The distribution of a column has changed."""
    MISSING = "missing"
    """Values are missing more often, or less often, than they were."""
    RANGE = "range"
    """More values are infinite, or beyond the reference's range."""
    NOVEL = "novel"
    """Categories come that the reference never had."""
    TYPE = "type"
    """Fractions come where all values were whole, or numbers where all were words."""
    SCALE = "scale"
    """Most values are of another size than any before, as after a change of unit."""
    VOLUME = "volume"
    """Far more rows come than did, or far fewer."""
    MULTIVARIATE = "multivariate"
    """Many columns have moved a little, together."""
    PERFORMANCE = "performance"
    """The model is expected to be right less often, by what its score says."""
    REALISED = "realised"
    """The model is right less often than it was, by the labels that have come."""


@dataclass(frozen=True, slots=True)
class RatePlan:
    """One rate of one column. Positions are those of a vector of a `CountLayout`."""

    name: str
    """As `Rate.name`: in the words of a report."""
    rule: Rule
    count_at: tuple[int, ...]
    """What is counted: the sum of these."""
    rows_at: int
    not_rows_at: tuple[int, ...]
    """Of so many rows: the first less these."""
    reference_count: int
    reference_rows: int
    is_two_sided: bool = False
    inflation: float = 1.0
    is_of_hours: bool = False
    """Whether a reference by hours has it. Of other rates nobody knows when they were counted."""

    def held_to(self, reference: Counts) -> "RatePlan":
        """Return the plan for the reference rows of some hours, a vector of the layout.

        What was not counted by hour may all have come in these hours: what lies beyond the range
        of all rows does come at the hour when values are largest. Held to the rate of a whole day,
        two such rows are a miracle.
        """
        found = self.rate(reference)
        rows = found.live_rows
        if self.is_of_hours:
            return replace(self, reference_count=found.live_count, reference_rows=rows)
        return replace(
            self,
            reference_count=min(self.reference_count, rows),
            reference_rows=min(self.reference_rows, rows),
        )

    def rate(self, vector: Counts) -> Rate:
        """Return the rate in a window's counts."""
        return Rate(
            self.name,
            self.reference_count,
            self.reference_rows,
            sum(int(vector[at]) for at in self.count_at),
            int(vector[self.rows_at]) - sum(int(vector[at]) for at in self.not_rows_at),
            self.is_two_sided,
            self.inflation,
        )


def rate_plans(layout: CountLayout, place: int) -> tuple[RatePlan, ...]:
    """Return the rates of the column at a place."""
    profile = layout.profile.columns[place]
    end, odd = layout.slices[place].stop, layout.odd.start + place
    if isinstance(profile, NumberProfile):
        return _of_numbers(profile, end, odd)
    return _of_words(profile, end, odd)


def _of_missing(profile: ColumnProfile, missing: int, rows: int) -> RatePlan:
    return RatePlan(
        "missing",
        Rule.MISSING,
        (missing,),
        rows,
        (),
        profile.counts.missing,
        profile.counts.rows,
        is_two_sided=True,
        inflation=profile.missing_inflation,
        is_of_hours=True,
    )


def _of_numbers(profile: NumberProfile, end: int, odd: int) -> tuple[RatePlan, ...]:
    counts = profile.counts
    missing, negative, positive, below, above, rows = range(end - 6, end)
    outside = (missing, negative, positive)
    infinite = counts.negative_infinities + counts.positive_infinities
    inflation = max(profile.inflation, default=1.0)
    plans = [
        _of_missing(profile, missing, rows),
        RatePlan(
            "infinite",
            Rule.RANGE,
            (negative, positive),
            rows,
            (),
            infinite,
            counts.rows,
            inflation=inflation,
            is_of_hours=True,
        ),
    ]
    for name, at, before in (
        ("below the range", below, counts.below),
        ("above the range", above, counts.above),
    ):
        plans.append(
            RatePlan(
                name, Rule.RANGE, (at,), rows, outside, before, counts.finite, inflation=inflation
            )
        )
    if profile.column.kind is Kind.INTEGER and DATATYPES[profile.column.datatype].is_float:
        plans.append(RatePlan("a fraction", Rule.TYPE, (odd,), rows, outside, 0, counts.finite))
    return tuple(plans)


def _of_words(profile: CategoryProfile, end: int, odd: int) -> tuple[RatePlan, ...]:
    counts = profile.counts
    novel, missing, rows = range(end - 3, end)
    there = counts.rows - counts.missing
    plans = [
        _of_missing(profile, missing, rows),
        RatePlan(
            "never seen",
            Rule.NOVEL,
            (novel,),
            rows,
            (missing,),
            profile.seen_once,
            there,
            inflation=profile.inflation,
        ),
    ]
    if profile.column.datatype == "BYTES":
        plans.append(RatePlan("a number", Rule.TYPE, (odd,), rows, (missing,), 0, there))
    return tuple(plans)


def positions(places: list[tuple[int, ...]]) -> NDArray[np.intp]:
    """Return positions as an array of shape (rates, most of one); -1 where there are fewer."""
    width = max((len(one) for one in places), default=0)
    rows = [[*one, *[-1] * (width - len(one))] for one in places]
    return np.array(rows, np.intp).reshape(len(places), width)
