"""Make a reference profile: from a sample that gave the bins, and then from all rows.

Decides what is said of each column beyond its counts: its range, which numbers are whole ones, by
how much neighbours resemble each other, and whether the first half of the rows looks like the
second. Rows come in their order, in chunks of any size; the profile does not depend on the chunks.

Does not know files or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from server.monitoring.columns import Blocks, Column, Kind, Side
from server.monitoring.hours import Cycle, Seconds, weights_of
from server.monitoring.importance import importances
from server.monitoring.inflation import (
    bins_of,
    missing_inflation,
    missing_of_numbers,
    number_inflations,
    word_inflations,
)
from server.monitoring.profile import (
    CategoryProfile,
    ColumnProfile,
    NumberProfile,
    Profile,
    Source,
)
from server.monitoring.reference_counts import SideCounter
from server.monitoring.sampling import Sample, Words
from server.monitoring.scoring import ScoreCounter, ScorePlan, with_edge
from server.monitoring.seasons import HourCounts, Mixture, Pools
from server.monitoring.taking import VALUE
from server.statistics.bins import Bins, FloatType
from server.statistics.categories import CategoryCounts, reference_categories
from server.statistics.combine import Verdict, categorical_verdict, numeric_verdict
from server.statistics.histogram import ColumnCounts, Counts
from server.statistics.homogeneity import category_inflation
from server.statistics.rates import Rate
from server.statistics.smooth_test import smooth_basis
from server.tensors import DATATYPES

CATEGORY_WINDOW_ROWS = 2000
"""Categories that a window of so many rows may not expect five times are counted together.

Shorter windows add thin ones together when they are judged. With 200 rows here, what was lost to
long windows was measured: other shares of 18 categories, one row in ten, 5000 rows, seen 38 % of
the time for 53 %.
"""

MIN_WHOLE_ROWS = 50
"""With fewer values, that all are whole numbers may be chance."""

_HALVES_ALPHA = 0.01
_HALVES_EFFECT = 0.1
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Difference:
    """A column in which the first half of the rows does not look like the second."""

    column: str
    words: str
    effect: float


class ProfileBuilder:
    """Counts reference rows. Bounded, whatever comes."""

    def __init__(
        self,
        sample: Sample,
        total_rows: int,
        *,
        is_ordered: bool,
        score: ScorePlan | None = None,
        cycle: Cycle | None = None,
    ) -> None:
        """Prepare for `total_rows` rows, of which `sample` is some or all.

        `is_ordered`: whether neighbours in the data were neighbours in life. With a `cycle`, rows
        have moments, and are counted by hour too.
        """
        self._sample = sample
        self._is_ordered = is_ordered
        outputs = list(sample.bins(1))
        if score is not None:
            outputs[score.place] = with_edge(outputs[score.place], score.edge)
        self._bins = (sample.bins(0), tuple(outputs))
        self._sides = tuple(
            SideCounter(bins, len(group.words), total_rows, cycle)
            for bins, group in zip(self._bins, sample.layout.groups, strict=True)
        )
        self._score = ScoreCounter(score, self._bins[1][score.place]) if score else None
        self._cycle = cycle
        self._mixtures: list[Mixture] | None = None
        """What each kept block is held to, if there are hours."""

    def add(
        self,
        inputs: Blocks,
        outputs: Blocks,
        labels: Words | None = None,
        seconds: Seconds | None = None,
    ) -> None:
        """Count rows; `labels` are words of `scoring.label_words`, if there are any.

        `seconds` are the moments of the rows, since 1970, shape (rows,).
        """
        for side, blocks in zip(self._sides, (inputs, outputs), strict=True):
            side.add(blocks, seconds)
        if self._score is not None and labels is not None:
            self._score.add(outputs, labels)

    def build(
        self, model: str, version: str, digest: str, source: Source, *, is_self_reference: bool
    ) -> Profile:
        """Return the profile of the rows that came; nothing may be added after."""
        importance = importances(self._sample)
        columns: list[ColumnProfile] = []
        tables: list[Counts] = []
        self._mixtures = self._mix()
        for at, (side, group) in enumerate(
            zip(self._sides, self._sample.layout.groups, strict=True)
        ):
            side.finish()
            distinct = self._sample.distinct(at)
            for place, column in enumerate(group.numbers):
                bins = self._bins[at][place]
                number = self._number(side, place, column, bins)
                columns.append(
                    replace(number, distinct=distinct[place], importance=_short(importance, column))
                )
                if side.hours is not None:
                    tables.append(side.hours.number(place))
            for place, column in enumerate(group.words):
                word = self._category(side, place, column)
                columns.append(replace(word, importance=_short(importance, column)))
                if side.hours is not None:
                    tables.append(side.hours.category(place, word.categories))
        score = self._score.profile() if self._score else None
        hours = None
        if self._cycle is not None and self._sides[0].hours is not None:
            hours = HourCounts(self._cycle, self._sides[0].hours.rows, tuple(tables))
        return Profile(
            model, version, digest, source, is_self_reference, tuple(columns), score, hours
        )

    def _mix(self) -> list[Mixture] | None:
        """Return what each kept block is held to; None without hours."""
        side = self._sides[0]
        if self._cycle is None or side.hours is None:
            return None
        pools = Pools(self._cycle, side.hours.rows, (*self._bins[0], *self._bins[1]))
        return [pools.mixture(weights_of(self._cycle, one)) for one in side.block_seconds]

    def _number(self, side: SideCounter, place: int, column: Column, bins: Bins) -> NumberProfile:
        counts = side.number_counts(place)
        least, most = float(side.total.minima[place]), float(side.total.maxima[place])
        has_values = counts.finite > 0
        if has_values and column.kind is not Kind.PROBABILITY:
            # The sample's range was narrower. Nothing lies outside that of all rows.
            bins = Bins(bins.edges, least, most, bins.dtype)
            counts.below = counts.above = 0
        if _looks_whole(column, side, place):
            column = replace(column, kind=Kind.INTEGER)
        blocks = side.number_blocks(place) if self._is_ordered else None
        inflation, missing_inflation = number_inflations(
            side, place, counts, blocks, self._mixtures
        )
        mean, sd = side.moments.mean[place], side.moments.deviation()[place]
        return NumberProfile(
            column=column,
            bins=bins,
            counts=counts,
            mean=_rounded(mean) if has_values else None,
            sd=_rounded(sd) if has_values else None,
            minimum=_written(least, bins.dtype) if has_values else None,
            maximum=_written(most, bins.dtype) if has_values else None,
            distinct=None,
            importance=None,
            inflation=inflation,
            missing_inflation=missing_inflation,
        )

    def _category(self, side: SideCounter, place: int, column: Column) -> CategoryProfile:
        words = side.words[place]
        categories = reference_categories(words, CATEGORY_WINDOW_ROWS)
        counts = side.word_counts(place, categories)
        blocks = side.category_blocks(place, categories) if self._is_ordered else None
        inflation, missing_inflation = word_inflations(
            side, place, categories, counts, blocks, self._mixtures
        )
        return CategoryProfile(
            column=column,
            categories=categories,
            counts=counts,
            seen_once=sum(1 for word, rows in words.items() if rows == 1 and word is not None),
            importance=None,
            inflation=inflation,
            missing_inflation=missing_inflation,
        )

    def differences_of_halves(self, profile: Profile) -> list[Difference]:
        """Compare the first half of the rows with the second; most certain first.

        Of rows without an order there is nothing to say, nor of fewer than two blocks.
        """
        if not self._is_ordered:
            return []
        found: list[tuple[float, Difference]] = []
        for one in profile.columns:
            blocks = self._blocks(one)
            verdict = _verdict_on_halves(
                one, blocks[: len(blocks) // 2], blocks[len(blocks) // 2 :]
            )
            p = verdict.p * len(profile.columns)
            if p < _HALVES_ALPHA and verdict.effect >= _HALVES_EFFECT:
                found.append((p, Difference(one.column.name, verdict.words, verdict.effect)))
        return [difference for _, difference in sorted(found, key=lambda pair: pair[0])]

    def _blocks(self, one: ColumnProfile) -> Counts:
        """Return the counts of a column in each block, shape (blocks, its vector)."""
        at = int(one.column.side is Side.OUTPUT)
        group, side = self._sample.layout.groups[at], self._sides[at]
        if isinstance(one, NumberProfile):
            return side.number_blocks(_place(group.numbers, one.column))
        return side.category_blocks(_place(group.words, one.column), one.categories)


def _place(columns: Sequence[Column], column: Column) -> int:
    return [one.name for one in columns].index(column.name)


def _verdict_on_halves(one: ColumnProfile, early: Counts, late: Counts) -> Verdict:
    """Judge the late blocks of a column by the early ones, and the early ones by the late ones.

    Bins are those of both together, so one half may have next to nothing in a bin at the end, and
    is a poor measure of the other there. What both say is certain; a half that is constant, and so
    says nothing, leaves it to the other.
    """
    verdict, back = _compare(one, early, late), _compare(one, late, early)
    if not _can_tell(verdict):
        words = "no longer constant" if _can_tell(back) else verdict.words
        return replace(back, words=words)
    return replace(verdict, p=max(verdict.p, back.p)) if _can_tell(back) else verdict


def _can_tell(verdict: Verdict) -> bool:
    return verdict.parts[0].share > 0.0


def _compare(one: ColumnProfile, early: Counts, late: Counts) -> Verdict:
    """Judge some blocks of a column by others.

    How alike neighbours are is seen in `early` alone: a step between both would make all blocks
    vary, and so hide itself.
    """
    first, second = early.sum(axis=0), late.sum(axis=0)
    if isinstance(one, NumberProfile):
        was, now = ColumnCounts.from_array(first), ColumnCounts.from_array(second)
        missing = _missing_rate(was, now, missing_of_numbers(early))
        return numeric_verdict(smooth_basis(was.bins, bins_of(early)), now.bins, [missing])
    before, after = CategoryCounts.from_array(first), CategoryCounts.from_array(second)
    missing = _missing_rate(before, after, early[:, [-2, -1]])
    known = len(before.kept) + 1
    inflation = category_inflation(first[:known], early[:, :known])
    return categorical_verdict(first[:known], second[:known], [missing], inflation)


def _missing_rate(
    was: ColumnCounts | CategoryCounts, now: ColumnCounts | CategoryCounts, blocks: Counts
) -> Rate:
    inflation = missing_inflation(was.missing, was.rows, blocks)
    return Rate("missing", was.missing, was.rows, now.missing, now.rows, True, inflation)


def _looks_whole(column: Column, side: SideCounter, place: int) -> bool:
    """Whether fractions are a type that can hold them, but none were seen."""
    return (
        column.kind is Kind.NUMBER
        and column.side is Side.INPUT
        and column.take.startswith(VALUE)
        and DATATYPES[column.datatype].is_float
        and int(side.moments.rows[place]) >= MIN_WHOLE_ROWS
        and bool(side.moments.is_whole[place])
    )


def _short(importance: dict[str, float | None], column: Column) -> float | None:
    value = importance.get(column.name)
    return None if value is None else round(value, 4)


def _rounded(value: float) -> float | None:
    """Return a number with a few digits; None if it is none."""
    return float(f"{value:.{_DIGITS}g}") if isfinite(value) else None


def _written(value: float, dtype: FloatType) -> float:
    return float(str(np.dtype(dtype).type(value)))
