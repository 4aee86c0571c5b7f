"""What the gateway says of one column: the product's own functions, put together as it does.

A reference becomes bins, counts and a basis; a window becomes counts; the verdict comes from counts
alone. Nothing is decided here.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loadtests.detection.changes import Kind, Values
from server.monitoring.profiling import CATEGORY_WINDOW_ROWS
from server.statistics.bins import probability_bins, reference_bins
from server.statistics.categories import (
    CategoryCounts,
    count_categories,
    count_words,
    reference_categories,
)
from server.statistics.combine import Verdict, categorical_verdict, numeric_verdict
from server.statistics.histogram import ColumnCounts, Fold
from server.statistics.homogeneity import category_inflation
from server.statistics.rates import Rate
from server.statistics.smooth_test import score_sums, smooth_basis

Counts = NDArray[np.int64]

MIN_BLOCK_ROWS, MAX_BLOCKS = 100, 200


class Monitored(Protocol):
    """One column that windows are compared with; counts are vectors, which add up."""

    def count(self, rows: Values) -> Counts:
        """Return the counts of rows of shape (rows,)."""
        ...

    def verdict(self, counts: Counts) -> Verdict:
        """Return the verdict on counted rows."""
        ...


def monitored(reference: Values, kind: Kind) -> Monitored:
    """Learn a column from reference rows, in order, shape (rows,)."""
    if kind is Kind.CATEGORY:
        return CategoryColumn(reference)
    return NumberColumn(reference, kind)


def blocks_of(reference: Values) -> Sequence[Values]:
    """Cut a reference into consecutive blocks, which show how alike neighbours are."""
    count = min(MAX_BLOCKS, len(reference) // MIN_BLOCK_ROWS)
    return np.array_split(reference, max(1, count))


class NumberColumn:
    """A numeric column, or one of probabilities."""

    def __init__(self, reference: Values, kind: Kind) -> None:
        bins = probability_bins() if kind is Kind.PROBABILITY else reference_bins(reference)
        self._fold = Fold([bins])
        self._before = ColumnCounts.from_array(self.count(reference))
        blocks = [ColumnCounts.from_array(self.count(block)).bins for block in blocks_of(reference)]
        self.basis = smooth_basis(self._before.bins, np.stack(blocks))

    def count(self, rows: Values) -> Counts:
        """Return bins, then missing, infinite and so on."""
        return self._fold.count(rows.reshape(-1, 1)).counts

    def location_sum(self, counts: Counts) -> tuple[float, int]:
        """Return the summed location scores, and the rows in bins: what is added up over time."""
        live = ColumnCounts.from_array(counts)
        sums = score_sums(self.basis, live.bins)
        return float(sums[0]) if len(sums) else 0.0, live.finite

    def verdict(self, counts: Counts) -> Verdict:
        """Return the verdict on counted rows."""
        live = ColumnCounts.from_array(counts)
        return numeric_verdict(self.basis, live.bins, self._rates(live))

    def _rates(self, live: ColumnCounts) -> list[Rate]:
        before, alike = self._before, float(self.basis.inflation.max(initial=1.0))
        infinite = before.negative_infinities + before.positive_infinities
        infinite_now = live.negative_infinities + live.positive_infinities
        finite = before.finite, live.finite
        return [
            Rate("missing", before.missing, before.rows, live.missing, live.rows, True, alike),
            Rate("infinite", infinite, before.rows, infinite_now, live.rows, False, alike),
            Rate("below", before.below, finite[0], live.below, finite[1], False, alike),
            Rate("above", before.above, finite[0], live.above, finite[1], False, alike),
        ]


class CategoryColumn:
    """A column of categories."""

    def __init__(self, reference: Values) -> None:
        words = count_words(reference)
        self._categories = reference_categories(words, CATEGORY_WINDOW_ROWS)
        self._before = CategoryCounts.from_array(self.count(reference))
        self._seen_once = sum(count == 1 for count in words.values())
        blocks = [CategoryCounts.from_array(self.count(block)) for block in blocks_of(reference)]
        table = np.stack([_told_apart(block) for block in blocks])
        self._inflation = category_inflation(_told_apart(self._before), table)

    def count(self, rows: Values) -> Counts:
        """Return kept categories, then others, novel and missing ones."""
        return count_categories(self._categories, rows).to_array()

    def verdict(self, counts: Counts) -> Verdict:
        """Return the verdict on counted rows."""
        live, before, alike = CategoryCounts.from_array(counts), self._before, self._inflation
        there = before.rows - before.missing, live.rows - live.missing
        rates = [
            Rate("missing", before.missing, before.rows, live.missing, live.rows, True, alike),
            Rate("novel", self._seen_once, there[0], live.novel, there[1]),
        ]
        return categorical_verdict(_told_apart(before), _told_apart(live), rates, alike)


def _told_apart(counts: CategoryCounts) -> Counts:
    return np.append(counts.kept, counts.other)
