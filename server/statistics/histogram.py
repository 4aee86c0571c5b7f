"""Count the rows of many numeric columns into bins, a block at a time.

Decides what is counted: each finite value in exactly one bin, NaN as missing, infinities apart,
and finite values outside the reference's range once more as below or above. Sorting each column
and searching the edges in it costs about 7 ns a value, whatever the edges are, where searching
each value among the edges costs 50 to 100; the minimum and the maximum come with it.

The counts of all columns of a block are one flat vector of int64, so that windows, rings and
stores need not know what they add. `Fold.slices` says where each column lies in it.

Does not know when to count: a `Slab` copies rows in and folds them when it is full or is told to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray

from server.statistics.bins import Bins, FloatType, cast
from server.tensors import Array

Counts = NDArray[np.int64]

SLAB_ROWS = 1024


@dataclass(slots=True)
class ColumnCounts:
    """What was counted of one column. Its vector is the bins, then the other fields in order.

    `rows` is always the sum of the bins, of missing and of both infinities.
    """

    bins: Counts
    """Finite values by bin, shape (count of bins,)."""
    missing: int = 0
    negative_infinities: int = 0
    positive_infinities: int = 0
    below: int = 0
    """Finite values below the expected range; they are in the first bins too."""
    above: int = 0
    """Finite values above the expected range; they are in the last bins too."""
    rows: int = 0

    @classmethod
    def zero(cls, bins: Bins) -> "ColumnCounts":
        """Return counts of no rows."""
        return cls(np.zeros(bins.count, np.int64))

    def zero_like(self) -> "ColumnCounts":
        """Return counts of no rows in the same bins."""
        return ColumnCounts(np.zeros_like(self.bins))

    def add(self, other: "ColumnCounts") -> None:
        """Add counts made with the same bins."""
        self.bins += other.bins
        self.missing += other.missing
        self.negative_infinities += other.negative_infinities
        self.positive_infinities += other.positive_infinities
        self.below += other.below
        self.above += other.above
        self.rows += other.rows

    @property
    def finite(self) -> int:
        """How many values are in the bins."""
        return int(self.bins.sum())

    def to_array(self) -> Counts:
        """Return the counts as a vector, shape (count of bins + OTHER_FIELDS,)."""
        others = [self.missing, self.negative_infinities, self.positive_infinities]
        return np.concatenate([self.bins, [*others, self.below, self.above, self.rows]])

    @classmethod
    def from_array(cls, vector: Counts) -> "ColumnCounts":
        """Read a vector of `to_array`, or a column's part of what a `Fold` counted."""
        return cls(vector[:-OTHER_FIELDS].copy(), *vector[-OTHER_FIELDS:].tolist())


OTHER_FIELDS = 6
"""Numbers of a column's vector behind its bins."""


@dataclass(slots=True)
class Counted:
    """What was counted of all columns of some rows."""

    counts: Counts
    """Shape (width of the fold,)."""
    minima: Array
    """Smallest finite value of each column, shape (columns,); inf where there was none."""
    maxima: Array
    """Largest finite value of each column, shape (columns,); -inf where there was none."""

    def add(self, other: "Counted") -> None:
        """Add what was counted of other rows of the same columns."""
        self.counts += other.counts
        np.minimum(self.minima, other.minima, out=self.minima)
        np.maximum(self.maxima, other.maxima, out=self.maxima)


class Fold:
    """How the rows of some columns become one vector of counts. Holds no counts.

    In a sorted column the count of values below a point is the point's position. Every count is
    the difference of two such positions, so a block costs one search per column and one
    subtraction for all.
    """

    def __init__(self, bins: Sequence[Bins]) -> None:
        """Prepare for columns with these bins, which must be of one type."""
        types: set[FloatType] = {one.dtype for one in bins}
        if len(types) > 1:
            raise ValueError(f"columns of one block have types {', '.join(sorted(types))}")
        self.bins = tuple(bins)
        self.dtype: FloatType = types.pop() if types else "float32"
        ends = list(accumulate((one.count + OTHER_FIELDS for one in bins), initial=0))
        self.width = ends[-1]
        """Length of the vector of counts."""
        self.slices = [slice(start, end) for start, end in pairwise(ends)]
        """Where each column's counts lie in the vector."""
        self._points = [_points(one) for one in bins]
        starts = list(accumulate((len(points) for points in self._points), initial=0))
        pairs = [_pairs(one.count, at, starts[-1]) for one, at in zip(bins, starts, strict=False)]
        joined = np.array([pair for column in pairs for pair in column], np.intp).reshape(-1, 2)
        self._upper, self._lower = np.ascontiguousarray(joined.T)
        # Where the finite values of a column begin and end is among its positions.
        self._firsts = np.array(starts[:-1], np.intp)
        self._ends = self._firsts + np.array([one.count + 2 for one in bins], np.intp)

    def zero(self) -> Counted:
        """Return what no rows count."""
        return Counted(
            np.zeros(self.width, np.int64),
            np.full(len(self.bins), inf, self.dtype),
            np.full(len(self.bins), -inf, self.dtype),
        )

    def count(self, block: Array) -> Counted:
        """Count a block of rows, shape (rows, columns), of any numeric type; it stays as it is.

        Values are compared in the type of the bins: what is too large for it is infinite.
        """
        if block.ndim != 2 or block.shape[1] != len(self.bins):
            raise ValueError(f"a block of shape {block.shape} for {len(self.bins)} columns")
        rows = len(block)
        if not rows:
            return self.zero()
        with np.errstate(over="ignore"):
            columns = np.array(block.T, dtype=self.dtype, order="C")
        columns.sort(axis=1)  # NaN comes last.
        found = [
            column.searchsorted(points)
            for column, points in zip(columns, self._points, strict=True)
        ]
        positions = np.concatenate([*found, np.array([0, rows])])
        counts = positions[self._upper] - positions[self._lower]
        return Counted(counts.astype(np.int64, copy=False), *self._extremes(columns, positions))

    def _extremes(self, columns: Array, positions: NDArray[np.intp]) -> tuple[Array, Array]:
        """Return the first and the last finite value of sorted columns, shape (columns, rows)."""
        firsts, ends = positions[self._firsts], positions[self._ends]
        rows, flat = columns.shape[1], columns.ravel()
        starts = np.arange(len(columns)) * rows
        minima = flat[starts + np.minimum(firsts, rows - 1)]
        maxima = flat[starts + np.maximum(ends, 1) - 1]
        minima[ends <= firsts] = inf
        maxima[ends <= firsts] = -inf
        return minima, maxima


def count_column(bins: Bins, values: Array) -> ColumnCounts:
    """Count the values of one column, of any shape and numeric type."""
    return ColumnCounts.from_array(Fold([bins]).count(np.reshape(values, (-1, 1))).counts)


def _points(bins: Bins) -> Array:
    """Return what is searched in a sorted column; the position is the count of values below.

    In order: the smallest finite number, the range's low end, the edges, the number after the
    range's high end, inf, and NaN, which sorts behind everything. Points that rise are found
    faster.
    """
    smallest = np.finfo(bins.dtype).min
    with np.errstate(over="ignore"):  # There is nothing after the largest number but inf.
        beyond = np.nextafter(np.array(bins.high, bins.dtype), np.array(inf, bins.dtype))
    low = max(bins.low, float(smallest))
    return np.array([smallest, low, *bins.edges, beyond, inf, np.nan], bins.dtype)


def _pairs(bin_count: int, start: int, total: int) -> list[tuple[int, int]]:
    """Return, for each count of a column, the positions whose difference it is.

    The column's positions begin at `start`, in the order of `_points`; behind all columns' `total`
    positions stand 0 and the number of rows.
    """
    zero, rows = total, total + 1
    low, edges, beyond = start + 1, start + 2, start + 1 + bin_count
    infinite, missing = beyond + 1, beyond + 2
    return [
        *[(upper, lower) for lower, upper in pairwise([start, *range(edges, beyond), infinite])],
        (rows, missing),
        (start, zero),
        (missing, infinite),
        (low, start),
        (infinite, beyond),
        (rows, zero),
    ]


class Slab:
    """Rows of one fold that wait to be counted, never more than `max_rows` of them.

    Copying a row in costs a tenth of counting it alone: rows are counted together when the slab
    is full and when somebody takes the counts.
    """

    def __init__(self, fold: Fold, max_rows: int = SLAB_ROWS) -> None:
        self._fold = fold
        self._rows = np.empty((max_rows, len(fold.bins)), fold.dtype)
        self._waiting = 0
        self._counted = fold.zero()
        self.rows = 0
        """How many rows came in since the counts were last taken."""

    def add(self, block: Array) -> None:
        """Copy in a block of rows, shape (rows, columns), of any numeric type."""
        if block.ndim != 2 or block.shape[1] != len(self._fold.bins):
            raise ValueError(f"a block of shape {block.shape} for {len(self._fold.bins)} columns")
        if block.dtype != self._rows.dtype:
            block = cast(block, self._fold.dtype)
        self.rows += len(block)
        start = 0
        while start < len(block):
            part = block[start : start + len(self._rows) - self._waiting]
            self._rows[self._waiting : self._waiting + len(part)] = part
            self._waiting += len(part)
            start += len(part)
            if self._waiting == len(self._rows):
                self._count()

    def take(self) -> Counted:
        """Return what was counted since the last call, waiting rows included, and start anew."""
        self._count()
        counted, self._counted, self.rows = self._counted, self._fold.zero(), 0
        return counted

    def _count(self) -> None:
        if self._waiting:
            self._counted.add(self._fold.count(self._rows[: self._waiting]))
            self._waiting = 0
