"""Tell, for all columns of a window at once, which ones may be strange; the others are left alone.

A verdict on one column takes some hundred microseconds, and nearly all columns are as they were.
So the same statistics are computed here for all columns in a few array operations, and a column
is passed on only if one of them comes near what would matter. Decides nothing else: what is passed
on gets the full verdict of `statistics/combine.py`, and what is not would have had a p above the
`least_p` that was asked for. A test compares the two.

Why it is enough: the Cauchy combination of probabilities that are all at least p0 is at least p0,
and the location's, the spread's and all components' chi-squares are at most their sum, so the sum
is compared with the critical value for one degree of freedom. Joining bins or categories makes
Pearson's statistic smaller, and leaves no fewer of them than are not thin. Rates are compared by a
normal approximation with a wide margin.
"""

import math
from collections.abc import Sequence
from copy import copy
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from server.monitoring.counting import CountLayout, Counts
from server.monitoring.rate_plans import positions, rate_plans
from server.statistics.combine import UNSEEN
from server.statistics.homogeneity import MIN_EXPECTED_ROWS
from server.statistics.smooth_bases import smooth_bases
from server.statistics.smooth_test import MAX_COMPONENTS, SmoothBasis, without_skewness
from server.statistics.tails import chi_square_critical

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

_RATE_MARGIN = 0.6
"""Of the critical normal value: exact tests of few events differ from the approximation."""

_BINS_MARGIN = 0.9
"""Of the critical chi-square: its probability is taken from the statistic's true moments."""


class Screen:
    """The arrays that all columns of a profile are compared with."""

    def __init__(
        self, layout: CountLayout, bases: Sequence[SmoothBasis | None], least_p: float
    ) -> None:
        """Prepare for a profile; `bases` has None for columns of words."""
        self._layout = layout
        critical = chi_square_critical(least_p, 1)
        self._statistic_limit = critical
        # Kolmogorov's tail is 2 exp(-2 x^2) at most, and hardly less where it is small.
        self._supremum_limit = 0.95 * math.sqrt(max(0.0, -math.log(least_p / 2.0) / 2.0))
        self._numbers = [place for place, basis in enumerate(bases) if basis is not None]
        self._words = [place for place, basis in enumerate(bases) if basis is None]
        found = [basis for basis in bases if basis is not None]
        self._components = np.array([len(basis.inflation) for basis in found], np.int64)
        self._reference_rows = np.array([basis.rows for basis in found], np.float64)
        self._inflation = _padded([basis.inflation for basis in found], 1.0)
        self._skewness = _padded([basis.skewness for basis in found], 0.0)
        self._median_share = np.array([basis.median_share for basis in found], np.float64)
        self._scores = np.concatenate(
            [_wide(basis.scores) for basis in found] or [np.zeros((0, MAX_COMPONENTS))]
        )
        """Scores of all bins of all numeric columns, shape (all bins, MAX_COMPONENTS)."""
        sizes = [len(basis.reference) for basis in found]
        self._bins = _joined(
            [
                layout.slices[place].start + np.arange(size)
                for place, size in zip(self._numbers, sizes, strict=True)
            ]
        )
        self._starts = np.array([0, *accumulate(sizes)][:-1], np.int64)
        self._column = np.repeat(np.arange(len(sizes)), sizes)
        self._bin_limits = np.array(
            [
                chi_square_critical(least_p, max(1, kept - 1))
                for kept in range(max(sizes, default=0) + 1)
            ]
        )
        self._reference = _joined([basis.reference for basis in found])
        self._category = _CategoryScreen(layout, self._words, _RATE_MARGIN**2 * critical)
        self._rates = _RateScreen(layout, _RATE_MARGIN**2 * critical)

    def against(self, reference: Counts) -> "Screen":
        """Return the screen for other reference rows of the same columns, a vector of the layout.

        How alike neighbours are stays as it is.
        """
        other = copy(self)
        other.hold_to(reference)
        return other

    def hold_to(self, reference: Counts) -> None:
        """Take other reference rows; only for what has just been copied."""
        if self._numbers:
            counts = reference[self._bins]
            made = smooth_bases(counts.astype(np.float64), self._starts, self._column)
            is_there = np.arange(MAX_COMPONENTS) < made.components[:, np.newaxis]
            self._components, self._reference_rows = made.components, made.rows
            self._scores, self._skewness, self._reference = made.scores, made.skewness, counts
            self._inflation = np.where(is_there, self._inflation, 1.0)
            # At least half of the bins have the median share or more, so it is no larger.
            sizes = np.bincount(self._column, minlength=len(self._numbers))
            self._median_share = np.asarray(2.0 / (sizes + 1.0), np.float64)
        self._category, self._rates = copy(self._category), copy(self._rates)
        self._category.hold_to(reference)
        self._rates.hold_to(reference)

    @property
    def least_reference_rows(self) -> float:
        """Return the fewest rows that a numeric column's reference has; 1 without any."""
        there = self._reference_rows[self._reference_rows > 0]
        return float(there.min(initial=np.inf)) if len(there) else 1.0

    @property
    def reference_rows(self) -> Numbers:
        """Return the reference rows in bins of numeric columns, shape (numbers,)."""
        return self._reference_rows

    @property
    def locations(self) -> list[Numbers]:
        """Return the location score of each bin of each numeric column."""
        return np.split(self._scores[:, 0], self._starts[1:])

    @property
    def number_places(self) -> list[int]:
        """Return the places of numeric columns among all columns: rows of the arrays here."""
        return self._numbers

    @property
    def held_bytes(self) -> int:
        """How much memory the arrays of numeric columns take."""
        arrays = (self._scores, self._inflation, self._bins, self._column, self._reference)
        return sum(each.nbytes for each in arrays)

    def location_sums(self, vector: Counts) -> tuple[Numbers, Counts]:
        """Return summed location scores and rows in bins of numeric columns, shape (numbers,)."""
        sums, rows = self.score_sums(vector)
        return sums[:, 0], rows

    def score_sums(self, vector: Counts) -> tuple[Numbers, Counts]:
        """Return summed scores, (numbers, MAX_COMPONENTS), and rows in bins, (numbers,)."""
        if not self._numbers:
            return np.zeros((0, MAX_COMPONENTS)), np.zeros(0, np.int64)
        live = vector[self._bins]
        sums = np.add.reduceat(live[:, np.newaxis] * self._scores, self._starts, axis=0)
        return sums, np.add.reduceat(live, self._starts)

    def normal_scores(self, vector: Counts) -> Numbers:
        """Return the components of all numeric columns, standard normal when nothing has moved.

        Shape (numbers, MAX_COMPONENTS); 0 where a column has fewer components, or no rows.
        """
        sums, rows = self.score_sums(vector)
        return self._normal(sums, rows)

    def effects(self, vector: Counts) -> Numbers:
        """Return how far each column has moved, shape (columns,): the measure of its verdict."""
        effects = np.zeros(len(self._layout.columns))
        sums, rows = self.score_sums(vector)
        means = sums / np.maximum(1, rows)[:, np.newaxis]
        effects[self._numbers] = np.sqrt(np.sum(means * means, axis=1))
        effects[self._words] = self._category.effects(vector)
        return effects

    def may_matter(self, vector: Counts) -> Mask:
        """Say which columns may have a verdict with p below `least_p`, shape (columns,)."""
        mask = self._rates.may_matter(vector)
        if self._numbers:
            mask[self._numbers] |= self._numbers_may_matter(vector)
        if self._words:
            mask[self._words] |= self._category.may_matter(vector)
        return mask

    def _normal(self, sums: Numbers, rows: Counts) -> Numbers:
        can_tell = (rows > 0) & (self._reference_rows > 0)
        live = np.where(can_tell, rows, 1.0)
        reference = np.where(can_tell, self._reference_rows, 1.0)
        variance = (1.0 / live + 1.0 / reference)[:, np.newaxis]
        z = sums / live[:, np.newaxis] / np.sqrt(variance * self._inflation)
        third = (1.0 / live**2 - 1.0 / reference**2)[:, np.newaxis]
        skewness = self._skewness * third / variance**1.5 * np.sqrt(self._inflation)
        normal = without_skewness(z, skewness)
        return np.where(can_tell[:, np.newaxis], normal, 0.0)

    def _numbers_may_matter(self, vector: Counts) -> Mask:
        normal = self.normal_scores(vector)
        mask: Mask = np.sum(normal * normal, axis=1) > self._statistic_limit
        live = vector[self._bins]
        mask |= self._is_apart(live) | self._is_uneven(live)
        return mask & (self._components > 0)

    def _is_apart(self, live: Counts) -> Mask:
        """Say where the cumulated shares may be further apart than chance has them."""
        starts, column = self._starts, self._column
        rows = np.add.reduceat(live, starts)
        safe = np.maximum(1, rows)
        below = _cumulated(live, starts, column)
        before = _cumulated(self._reference, starts, column)
        reference = np.maximum(1.0, self._reference_rows)
        gaps = np.abs(below / safe[column] - before / reference[column])
        distance = np.maximum.reduceat(gaps, starts)
        variance = (1.0 / safe + 1.0 / reference) * self._inflation.max(axis=1)
        value = distance / np.sqrt(variance)
        pooled = (below + before) / (safe + reference)[column]
        spread = np.maximum.reduceat(np.sqrt(np.maximum(0.0, pooled * (1.0 - pooled))), starts)
        single = value / np.maximum(spread, 1e-9)
        limit = math.sqrt(self._statistic_limit)
        unseen = UNSEEN * np.sqrt(self._median_share)
        is_apart: Mask = ((single > limit) | (value + unseen > self._supremum_limit)) & (rows > 0)
        return is_apart

    def _is_uneven(self, live: Counts) -> Mask:
        """Say where the shares of bins may be further apart than chance has them."""
        starts, column = self._starts, self._column
        rows = np.add.reduceat(live, starts)
        safe, reference = np.maximum(1, rows), np.maximum(1.0, self._reference_rows)
        share = (live + self._reference) / (safe + reference)[column]
        gaps = live / safe[column] - self._reference / reference[column]
        variance = (1.0 / safe + 1.0 / reference) * self._inflation.max(axis=1)
        parts = gaps * gaps / (np.maximum(share, 1e-12) * variance[column])
        is_kept = share * np.minimum(safe, reference)[column] >= MIN_EXPECTED_ROWS
        limit = self._bin_limits[np.add.reduceat(is_kept, starts, dtype=np.int64)]
        is_uneven: Mask = np.add.reduceat(parts, starts) > _BINS_MARGIN * limit
        return is_uneven & (rows > 0)


class _CategoryScreen:
    """Pearson's statistic of all columns of words."""

    def __init__(self, layout: CountLayout, places: Sequence[int], limit: float) -> None:
        self._limit = limit
        profiles = [layout.profile.columns[place] for place in places]
        references = [one.counts.to_array()[:-3] for one in profiles]
        sizes = [len(one) for one in references]
        self._cells = _joined(
            [
                layout.slices[place].start + np.arange(size)
                for place, size in zip(places, sizes, strict=True)
            ]
        )
        self._starts = np.array([0, *accumulate(sizes)][:-1], np.int64)
        self._column = np.repeat(np.arange(len(sizes)), sizes)
        self._reference = _joined(references)
        self._inflation = np.array([max(1.0, one.inflation) for one in profiles])

    def hold_to(self, reference: Counts) -> None:
        self._reference = reference[self._cells]

    def may_matter(self, vector: Counts) -> Mask:
        live = vector[self._cells]
        sides = [np.add.reduceat(one, self._starts) for one in (self._reference, live)]
        together = self._reference + live
        total = np.maximum(1, sides[0] + sides[1])
        statistic = np.zeros(len(self._starts))
        for counts, rows in zip((self._reference, live), sides, strict=True):
            expected = together * (rows / total)[self._column]
            parts = (counts - expected) ** 2 / np.maximum(expected, 1e-9)
            statistic += np.add.reduceat(parts, self._starts)
        mask: Mask = statistic > self._limit * self._inflation
        return mask

    def effects(self, vector: Counts) -> Numbers:
        if not len(self._starts):
            return np.zeros(0)
        live = vector[self._cells]
        added = 0.5 * (self._reference + live > 0)
        rows = np.add.reduceat(live, self._starts)
        before = self._reference + added
        before /= np.maximum(0.5, np.add.reduceat(before, self._starts))[self._column]
        now = live / np.maximum(1, rows)[self._column]
        squares = np.add.reduceat((now - before) ** 2 / np.maximum(before, 1e-12), self._starts)
        return np.where(rows > 0, np.sqrt(squares), 0.0)


class _RateScreen:
    """The rates of all columns: missing, infinite, out of range, never seen, of another type."""

    def __init__(self, layout: CountLayout, limit: float) -> None:
        self._limit = limit
        self._columns = len(layout.columns)
        placed = [
            (place, plan) for place in range(self._columns) for plan in rate_plans(layout, place)
        ]
        plans = [plan for _, plan in placed]
        self._column = np.array([place for place, _ in placed], np.int64)
        self._count = positions([plan.count_at for plan in plans])
        self._of = np.array([plan.rows_at for plan in plans], np.int64)
        self._not_of = positions([plan.not_rows_at for plan in plans])
        self._before = np.array([plan.reference_count for plan in plans], np.float64)
        self._before_rows = np.array([plan.reference_rows for plan in plans], np.float64)
        self._is_of_hours = np.array([plan.is_of_hours for plan in plans], bool)

    def hold_to(self, reference: Counts) -> None:
        count, rows = self._counted(reference)
        few = np.minimum(self._before, rows), np.minimum(self._before_rows, rows)
        self._before = np.where(self._is_of_hours, count, few[0])
        self._before_rows = np.where(self._is_of_hours, rows, few[1])

    def _counted(self, vector: Counts) -> tuple[Counts, Counts]:
        padded = np.append(vector, 0)  # A position of -1 counts nothing.
        count: Counts = padded[self._count].sum(axis=1)
        return count, vector[self._of] - padded[self._not_of].sum(axis=1)

    def may_matter(self, vector: Counts) -> Mask:
        count, rows = self._counted(vector)
        live, reference = np.maximum(1, rows), np.maximum(1.0, self._before_rows)
        pooled = (count + self._before + 0.5) / (live + reference + 1.0)
        variance = pooled * (1.0 - pooled) * (1.0 / live + 1.0 / reference)
        gap = np.abs(count / live - self._before / reference)
        is_strange = (gap * gap > self._limit * variance) & (rows > 0) & (self._before_rows > 0)
        mask = np.zeros(self._columns, bool)
        mask[self._column[is_strange]] = True
        return mask


def _joined(parts: Sequence[Counts]) -> Counts:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _padded(parts: Sequence[Numbers], filler: float) -> Numbers:
    """Return components of all columns, shape (columns, MAX_COMPONENTS)."""
    table = np.full((len(parts), MAX_COMPONENTS), filler)
    for row, part in zip(table, parts, strict=True):
        row[: len(part)] = part
    return table


def _wide(scores: Numbers) -> Numbers:
    """Return the scores of one column with MAX_COMPONENTS components; those it lacks are 0."""
    wide = np.zeros((len(scores), MAX_COMPONENTS))
    wide[:, : scores.shape[1]] = scores
    return wide


def _cumulated(counts: Counts, starts: Counts, column: Counts) -> Counts:
    """Return how many rows lie in a bin or below it, within each column."""
    total = np.cumsum(counts)
    before = total[starts] - counts[starts]
    below: Counts = total - before[column]
    return below
