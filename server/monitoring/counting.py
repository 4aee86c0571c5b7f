"""How the counts of all columns of a version make one vector, and the rows that wait to be counted.

Decides where each column's counts lie: of inputs, then of outputs, the bins of numbers and the
categories of words; then one number per column for values of another type than the reference has
(fractions where all were whole, numbers where all were words); then, if the reference has hours,
the weights of the rows by hour, and their hours; then the rows. Vectors of one profile add up, over
sub-windows, restarts and replicas.

Does not know time, windows or what a change in counts means.

Concurrency: a `RowCounter` belongs to whoever feeds it; `CountLayout` does not change.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import Blocks, Column, Group, Kind
from server.monitoring.hours import hours_of, weights_of
from server.monitoring.profile import CategoryProfile, NumberProfile, Profile
from server.statistics.categories import CategoryCounts, Words, count_words
from server.statistics.histogram import ColumnCounts, Fold, Slab
from server.tensors import DATATYPES, Array

Counts = NDArray[np.int64]


class CountLayout:
    """Where the counts of a profile's columns lie in a vector."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        layout = profile.layout
        self.columns: tuple[Column, ...] = layout.columns
        by_name = {one.column.name: one for one in profile.columns}
        self.slices: list[slice] = []
        self.folds: list[Fold] = []
        self.starts: list[int] = []
        """Where the counts of inputs and of outputs begin."""
        end = 0
        for group in layout.groups:
            fold = Fold([_number(by_name[column.name]).bins for column in group.numbers])
            self.folds.append(fold)
            self.starts.append(end)
            self.slices += [slice(end + one.start, end + one.stop) for one in fold.slices]
            end += fold.width
            for column in group.words:
                width = len(CategoryCounts.zero(_words(by_name[column.name]).categories).to_array())
                self.slices.append(slice(end, end + width))
                end += width
        self.odd = slice(end, end + len(self.columns))
        """Values of another type than the reference has, one number per column."""
        hours = profile.hours.cycle.hours if profile.hours is not None else 0
        self.hours = slice(self.odd.stop, self.odd.stop + hours)
        """What rows are held to between two hours; empty unless the reference has hours."""
        self.clock_hours = slice(self.hours.stop, self.hours.stop + hours)
        """Rows by the hour that they came in."""
        self.width = self.clock_hours.stop + 1
        """Length of the vector; its last number is the rows."""

    def rows(self, vector: Counts) -> int:
        """Return how many rows were counted, those without any tensors included."""
        return int(vector[-1])

    def number(self, vector: Counts, column: int) -> ColumnCounts:
        """Return the counts of a numeric column, by its place among the columns."""
        return ColumnCounts.from_array(vector[self.slices[column]])

    def category(self, vector: Counts, column: int) -> CategoryCounts:
        """Return the counts of a category or boolean column, by its place among the columns."""
        return CategoryCounts.from_array(vector[self.slices[column]])


def _number(found: NumberProfile | CategoryProfile) -> NumberProfile:
    assert isinstance(found, NumberProfile), "a numeric column has the profile of one"
    return found


def _words(found: NumberProfile | CategoryProfile) -> CategoryProfile:
    assert isinstance(found, CategoryProfile), "a column of words has the profile of one"
    return found


@dataclass(slots=True)
class Taken:
    """What was counted of some rows."""

    counts: Counts
    """Shape (width of the layout,)."""
    minima: NDArray[np.float64]
    """Smallest finite value of each column, shape (columns,); inf for words and for none."""
    maxima: NDArray[np.float64]
    """Largest finite value of each column, shape (columns,); -inf for words and for none."""
    novel_words: Mapping[int, Counter[str]]
    """The first few categories that the reference never had, by the column's place."""


class RowCounter:
    """Rows of one version on their way into counts."""

    def __init__(self, layout: CountLayout) -> None:
        self._layout = layout
        self._sides = [
            _Side(layout, group, fold, start, first)
            for group, fold, start, first in zip(
                layout.profile.layout.groups,
                layout.folds,
                layout.starts,
                (0, len(layout.profile.layout.inputs.columns)),
                strict=True,
            )
        ]
        self.rows = 0
        """How many wait."""

    @property
    def held_bytes(self) -> int:
        """How much memory the waiting rows take."""
        return sum(side.slab.held_bytes for side in self._sides)

    def add(self, rows: int, inputs: Blocks | None, outputs: Blocks | None) -> None:
        """Take in rows; a side whose tensors did not come is None, and is not counted."""
        self.rows += rows
        for side, blocks in zip(self._sides, (inputs, outputs), strict=True):
            if blocks is not None:
                side.add(blocks)

    def take(self, now: float = 0.0) -> Taken:
        """Return what was counted since the last call, and start anew.

        `now` says to which hours the rows belong, if the reference has hours.
        """
        layout = self._layout
        counts = np.zeros(layout.width, np.int64)
        if layout.profile.hours is not None:
            cycle, at = layout.profile.hours.cycle, np.array([now])
            counts[layout.hours] = weights_of(cycle, at) * self.rows
            counts[layout.clock_hours][hours_of(cycle, at)] = self.rows
        minima = np.full(len(layout.columns), np.inf)
        maxima = np.full(len(layout.columns), -np.inf)
        novel: dict[int, Counter[str]] = {}
        for side in self._sides:
            side.take(counts, minima, maxima, novel)
        counts[-1], self.rows = self.rows, 0
        return Taken(counts, minima, maxima, novel)


class _Side:
    """Rows of the inputs, or of the outputs."""

    def __init__(
        self, layout: CountLayout, group: Group, fold: Fold, start: int, first: int
    ) -> None:
        self._layout = layout
        self._numbers = range(first, first + len(group.numbers))
        self._words = range(first + len(group.numbers), first + len(group.columns))
        self._start, self._fold = start, fold
        self.slab = Slab(fold)
        self._whole = [
            place for place, column in enumerate(group.numbers) if _is_whole_float(column)
        ]
        profiles = [_words(layout.profile.columns[column]) for column in self._words]
        self._categories = [one.categories for one in profiles]
        self._may_be_number = [
            column.datatype == "BYTES" and not any(map(_is_number, one.places))
            for column, one in zip(group.words, self._categories, strict=True)
        ]
        self._counted = [CategoryCounts.zero(one) for one in self._categories]
        self._odd = np.zeros(len(group.columns), np.int64)

    def add(self, blocks: Blocks) -> None:
        if len(self._numbers):
            self.slab.add(blocks.numbers)
            if self._whole:
                self._odd[self._whole] += _fractions(blocks.numbers[:, self._whole])
        for place, values in enumerate(blocks.words):
            words = count_words(values)
            self._counted[place].add_words(self._categories[place], words)
            if self._may_be_number[place]:
                self._odd[len(self._numbers) + place] += _numbers(words)

    def take(
        self,
        counts: Counts,
        minima: NDArray[np.float64],
        maxima: NDArray[np.float64],
        novel: dict[int, Counter[str]],
    ) -> None:
        if self.slab.rows:
            counted = self.slab.take()
            counts[self._start : self._start + self._fold.width] = counted.counts
            places = slice(self._numbers.start, self._numbers.stop)
            minima[places], maxima[places] = counted.minima, counted.maxima
        for place, (column, counted_words) in enumerate(
            zip(self._words, self._counted, strict=True)
        ):
            if counted_words.rows:
                counts[self._layout.slices[column]] = counted_words.to_array()
                if counted_words.novel_words:
                    novel[column] = counted_words.novel_words
                self._counted[place] = counted_words.zero_like()
        first = self._layout.odd.start + self._numbers.start
        counts[first : first + len(self._odd)] = self._odd
        self._odd[:] = 0


def _is_whole_float(column: Column) -> bool:
    return column.kind is Kind.INTEGER and DATATYPES[column.datatype].is_float


def _fractions(values: Array) -> Counts:
    """Count the finite values of each column that are not whole, (rows, columns) to (columns,)."""
    with np.errstate(invalid="ignore"):
        is_fraction = (values != np.rint(values)) & np.isfinite(values)
    fractions: Counts = is_fraction.sum(axis=0, dtype=np.int64)
    return fractions


def _numbers(words: Words) -> int:
    """Count the rows whose text is a number."""
    return sum(count for word, count in words.items() if word is not None and _is_number(word))


def _is_number(word: str) -> bool:
    if len(word) > 32 or not word.strip():
        return False
    try:
        return isfinite(float(word))
    except ValueError:
        return False


def blocks_or_none(group: Group, tensors: Sequence[tuple[str, Array]]) -> Blocks | None:
    """Make columns of one side's tensors; None if none came, or if they are not as they should be.

    Tensors are missing when rows are too large for the river. ONNX Runtime lets a model answer in
    other shapes than it declares; such rows cannot be watched.
    """
    if not tensors or not group.columns:
        return None
    try:
        return group.blocks(dict(tensors))
    except ValueError:
        return None
