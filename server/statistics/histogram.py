"""Count the rows of many numeric columns into bins, a block at a time.

Decides what is counted: each finite value in exactly one bin, NaN as missing, infinities apart,
and finite values outside the reference's range once more as below or above. Sorting columns in
short runs and searching the edges in all runs at once costs some 8 ns a value, whatever the edges
are, where searching each value among the edges costs 50 to 100; the minimum and the maximum come
with it.

The counts of all columns of a block are one flat vector of int64, so that windows, rings and
stores need not know what they add. `Fold.slices` says where each column lies in it.

Does not know when to count: a `Slab` keeps rows and folds them when it is full or is told to.

Concurrency: a `Slab` belongs to whoever feeds it; a `Fold` does not change.
Lifetime: a slab as long as rows come, a fold as long as its bins are counted in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf, nan

import numpy as np
from numpy.typing import NDArray

from server.statistics.bins import Bins, FloatType
from server.tensors import Array

Counts = NDArray[np.int64]
Places = NDArray[np.intp]

RUN_ROWS = 255
"""Rows that are sorted together. NumPy sorts up to 256 numbers in one network of comparisons, for
two thirds of what each costs among 1,024; one less than a power of two is searched in eight steps.
"""

MOST_RUNS = 16
"""Of a slab: enough for the cost of some 80 calls of NumPy to be shared by many values."""

SLAB_BYTES = 2 << 20
"""Rows that wait to be counted take no more."""


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

    In a sorted run the count of values up to a point is the point's position. Every count is the
    difference of two sums of such positions, so a block costs one search and one subtraction for
    all columns.
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
        self.slab_rows = slab_rows(max(1, len(bins)) * np.dtype(self.dtype).itemsize)
        """How many rows are best counted together."""
        self._points = _points(self.bins, self.dtype)
        total, each = self._points.size, self._points.shape[1]
        pairs = [
            pair for at, one in enumerate(bins) for pair in _pairs(one.count, at * each, total)
        ]
        self._upper, self._lower = np.array(pairs, np.intp).reshape(-1, 2).T.copy()

    def zero(self) -> Counted:
        """Return what no rows count."""
        return Counted(
            np.zeros(self.width, np.int64),
            np.full(len(self.bins), inf, self.dtype),
            np.full(len(self.bins), -inf, self.dtype),
        )

    def check(self, block: Array) -> None:
        """Refuse a block that is not of these columns.

        Raises:
            ValueError: its shape is not (rows, columns).

        """
        if block.ndim != 2 or block.shape[1] != len(self.bins):
            raise ValueError(f"a block of shape {block.shape} for {len(self.bins)} columns")

    def count(self, block: Array) -> Counted:
        """Count a block of rows, shape (rows, columns), of any numeric type; it stays as it is.

        Values are compared in the type of the bins: what is too large for it is infinite.
        """
        slab = Slab(self)
        slab.add(block)
        return slab.take()

    def count_together(self, blocks: Sequence[Array]) -> Counted:
        """Count checked blocks at once, rather than one by one; they should fit in a slab."""
        rows = sum(map(len, blocks))
        if not rows or not self.bins:
            return self.zero()
        places = (1 << min(rows, RUN_ROWS).bit_length()) - 1
        columns = np.empty((len(self.bins), -(-rows // places) * places), self.dtype)
        with np.errstate(over="ignore"):
            np.concatenate(blocks, out=columns[:, :rows].T)
        columns[:, rows:] = nan
        runs = columns.reshape(len(columns), -1, places)
        runs.sort(axis=2)  # NaN comes last.
        starts = np.arange(0, runs.size, places).reshape(*runs.shape[:2], 1)
        found = self._search(runs, starts)
        up_to = found.sum(axis=1) - starts.sum(axis=1)
        positions = np.append(up_to, [0, rows])
        counts = positions.take(self._upper) - positions.take(self._lower)
        return Counted(counts.astype(np.int64, copy=False), *_extremes(runs, starts, found))

    def _search(self, runs: Array, starts: Places) -> Places:
        """Return the place behind the values up to each point, shape (columns, runs, points).

        A binary search for all points in step. Places are those of `runs` made flat, where each
        run of a column begins at its start.
        """
        flat = runs.ravel()
        shape = *runs.shape[:2], self._points.shape[1]
        points = np.broadcast_to(self._points[:, np.newaxis], shape).copy()
        found = np.repeat(starts, shape[2], axis=2)
        for step in reversed(range(runs.shape[2].bit_length())):
            # No place is ever outside; "wrap" is merely how NumPy looks least hard.
            further = (flat[(1 << step) - 1 :].take(found, mode="wrap") <= points).astype(np.intp)
            further <<= step
            found += further
        return found


def _extremes(runs: Array, starts: Places, found: Places) -> tuple[Array, Array]:
    """Return the smallest and the largest finite value of sorted runs, shape (columns,) each."""
    firsts = np.minimum(found[:, :, :1], starts + (runs.shape[2] - 1))
    lasts = np.maximum(found[:, :, 1:2], starts + 1) - 1
    flat = runs.ravel()
    first, last = flat.take(firsts), flat.take(lasts)
    # A run without finite values has something else there.
    minima: Array = np.where(np.isfinite(first), first, inf).min(axis=(1, 2))
    maxima: Array = np.where(np.isfinite(last), last, -inf).max(axis=(1, 2))
    return minima, maxima


def count_column(bins: Bins, values: Array) -> ColumnCounts:
    """Count the values of one column, of any shape and numeric type."""
    return ColumnCounts.from_array(Fold([bins]).count(np.reshape(values, (-1, 1))).counts)


def slab_rows(row_bytes: int) -> int:
    """Return how many rows are best counted together: as many whole runs as fit in SLAB_BYTES.

    Fewer than MOST_RUNS, of wide rows; of the widest, one run that is searched in fewer steps.
    """
    rows = SLAB_BYTES // row_bytes
    if rows >= RUN_ROWS:
        return RUN_ROWS * min(MOST_RUNS, rows // RUN_ROWS)
    return max(1, (1 << (rows + 1).bit_length() - 1) - 1)


def _points(bins: Sequence[Bins], dtype: FloatType) -> Array:
    """Return what is searched in sorted runs, shape (columns, points): all values up to a point.

    In order: -inf, the largest finite number, inf, the number before the range's low end, its
    high end, and the number before each edge. Columns with fewer edges end with more of inf.
    """
    largest = float(np.finfo(dtype).max)
    points = np.full((len(bins), _EDGES + max((len(one.edges) for one in bins), default=0)), inf)
    points = points.astype(dtype)
    for row, one in zip(points, bins, strict=True):
        row[:3] = -inf, largest, inf
        row[3:5] = max(one.low, -largest), min(one.high, largest)
        row[_EDGES : _EDGES + len(one.edges)] = one.array
    with np.errstate(over="ignore"):  # There is nothing before the smallest number but -inf.
        is_end = np.zeros(points.shape, bool)
        is_end[:, 3] = is_end[:, _EDGES:] = True
        np.nextafter(points, np.array(-inf, dtype), out=points, where=is_end)
    return points


_EDGES = 5
"""The first point of a column that belongs to an edge."""


def _pairs(bin_count: int, start: int, total: int) -> list[tuple[int, int]]:
    """Return, for each count of a column, the positions whose difference it is.

    The column's positions begin at `start`, in the order of `_points`; behind all columns' `total`
    positions stand 0 and the number of rows.
    """
    zero, rows = total, total + 1
    negative, finite, number, low, high = range(start, start + _EDGES)
    edges = range(start + _EDGES, start + _EDGES + bin_count - 1)
    return [
        *[(upper, lower) for lower, upper in pairwise([negative, *edges, finite])],
        (rows, number),
        (negative, zero),
        (number, finite),
        (low, negative),
        (finite, high),
        (rows, zero),
    ]


class Slab:
    """Rows of one fold that wait to be counted, never more than `max_rows` of them.

    Blocks are kept as they come, with what they are views of, and must not change. Rows are counted
    together when there are enough and when somebody takes the counts: few at once cost much more.
    """

    def __init__(self, fold: Fold, max_rows: int | None = None) -> None:
        self._fold = fold
        self._max_rows = max_rows or fold.slab_rows
        self._blocks: list[Array] = []
        self._waiting = 0
        self._counted = fold.zero()
        self.rows = 0
        """How many rows came in since the counts were last taken."""

    @property
    def held_bytes(self) -> int:
        """How much memory the waiting rows take."""
        return sum(block.nbytes for block in self._blocks)

    def add(self, block: Array) -> None:
        """Take in a block of rows, shape (rows, columns), of any numeric type."""
        self._fold.check(block)
        self.rows += len(block)
        while self._waiting + len(block) >= self._max_rows:
            room = self._max_rows - self._waiting
            self._blocks.append(block[:room])
            self._count()
            block = block[room:]
        if len(block):
            self._blocks.append(block)
            self._waiting += len(block)

    def take(self) -> Counted:
        """Return what was counted since the last call, waiting rows included, and start anew."""
        if self._blocks:
            self._count()
        counted, self._counted, self.rows = self._counted, self._fold.zero(), 0
        return counted

    def _count(self) -> None:
        self._counted.add(self._fold.count_together(self._blocks))
        self._blocks, self._waiting = [], 0
