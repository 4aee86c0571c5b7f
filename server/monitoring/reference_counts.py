"""Count the reference rows of one side: in all, and by blocks of neighbours.

Decides how long a block is, and how many are kept. A block is as long as a window of live rows may
be, for it is from window to window that rows which resemble their neighbours vary; but there have
to be enough of them to say by how much. Counts of a block are exact; of very many rows only some
blocks are kept, evenly.

Memory: at most MAX_BLOCKS blocks, two bytes a count, and MAX_WORDS words a column.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import Blocks
from server.monitoring.hour_counts import HourTable
from server.monitoring.hours import Cycle, Seconds
from server.statistics.bins import Bins
from server.statistics.categories import Categories, CategoryCounts, Words, count_words
from server.statistics.histogram import ColumnCounts, Counts, Fold
from server.tensors import Array

MIN_BLOCK_ROWS, MAX_BLOCK_ROWS = 50, 1000
USUAL_BLOCKS, MAX_BLOCKS = 64, 256
MAX_WORDS = 100_000


class Moments:
    """Mean, deviation and wholeness of the finite values of some columns (Chan et al. 1979)."""

    def __init__(self, columns: int) -> None:
        self.rows = np.zeros(columns, np.int64)
        self.mean = np.zeros(columns)
        self.is_whole = np.ones(columns, bool)
        self._squares = np.zeros(columns)

    def add(self, block: Array) -> None:
        """Take in rows, shape (rows, columns)."""
        there = np.isfinite(block)
        with np.errstate(all="ignore"):  # Of values near the largest there is no deviation.
            values = np.where(there, block, 0).astype(np.float64)
            rows = there.sum(axis=0)
            means = values.sum(axis=0) / np.maximum(rows, 1)
            squares = np.where(there, values - means, 0.0)
            gaps, total = means - self.mean, np.maximum(self.rows + rows, 1)
            self.mean += gaps * rows / total
            self._squares += (squares * squares).sum(axis=0)
            self._squares += gaps * gaps * self.rows * rows / total
        self.rows += rows
        self.is_whole &= (values == np.trunc(values)).all(axis=0)

    def deviation(self) -> NDArray[np.float64]:
        """Return the standard deviations, shape (columns,); infinite or NaN if there is none."""
        with np.errstate(all="ignore"):
            return np.asarray(np.sqrt(self._squares / np.maximum(self.rows, 1)))


class SideCounter:
    """The counts of one side."""

    def __init__(
        self, bins: Sequence[Bins], words: int, total_rows: int, cycle: Cycle | None = None
    ) -> None:
        """Prepare for `total_rows` rows of numeric columns with these bins, and of `words`.

        With a cycle, rows are counted by its hours too.
        """
        self.block_rows = max(MIN_BLOCK_ROWS, min(MAX_BLOCK_ROWS, total_rows // USUAL_BLOCKS))
        self._keep_every = max(1, -(-(total_rows // self.block_rows) // MAX_BLOCKS))
        self._fold = Fold(bins)
        self.total = self._fold.zero()
        self.moments = Moments(len(bins))
        self.words: list[Words] = [Counter() for _ in range(words)]
        self._unlisted = [0] * words
        self.blocks: list[NDArray[np.uint16]] = []
        """Counts of each kept block, shape (width of the fold,)."""
        self.word_blocks: list[list[Words]] = []
        """Words of each kept block, by column."""
        self.hours = None if cycle is None else HourTable(self._fold, words, cycle)
        self.block_seconds: list[Seconds] = []
        """Moments of the rows of each kept block, if rows have any."""
        self._open_seconds: list[Seconds] = []
        self._open = self._fold.zero()
        self._open_words: list[Words] = [Counter() for _ in range(words)]
        self._open_rows = 0
        self._closed = 0

    def add(self, blocks: Blocks, seconds: Seconds | None = None) -> None:
        """Count rows, which come in their order; `seconds` are their moments, if known."""
        if self.hours is not None and seconds is not None:
            self.hours.add(blocks, seconds)
        if blocks.numbers.size:
            self.moments.add(blocks.numbers)
        start = 0
        while start < blocks.rows:
            end = min(blocks.rows, start + self.block_rows - self._open_rows)
            if self._fold.bins:
                self._open.add(self._fold.count(blocks.numbers[start:end]))
            for counter, values in zip(self._open_words, blocks.words, strict=True):
                counter.update(count_words(values[start:end]))
            if seconds is not None:
                self._open_seconds.append(seconds[start:end])
            self._open_rows += end - start
            start = end
            if self._open_rows == self.block_rows:
                self._close(is_kept=self._closed % self._keep_every == 0)
                self._closed += 1

    def finish(self) -> None:
        """Count the last rows, which are no whole block."""
        if self._open_rows:
            self._close(is_kept=False)

    def _close(self, *, is_kept: bool) -> None:
        self.total.add(self._open)
        for place, (total, counter) in enumerate(zip(self.words, self._open_words, strict=True)):
            self._unlisted[place] += _add_bounded(total, counter)
        if is_kept:
            self.blocks.append(self._open.counts.astype(np.uint16))
            self.word_blocks.append(self._open_words)
            if self._open_seconds:
                self.block_seconds.append(np.concatenate(self._open_seconds))
        self._open = self._fold.zero()
        self._open_words = [Counter() for _ in self._open_words]
        self._open_rows = 0
        self._open_seconds = []

    def number_blocks(self, place: int) -> Counts:
        """Return the counts of a numeric column in each block, shape (blocks, its vector)."""
        width = self._fold.slices[place].stop - self._fold.slices[place].start
        rows = [block[self._fold.slices[place]] for block in self.blocks]
        return np.array(rows, np.int64).reshape(len(rows), width)

    def word_counts(self, place: int, categories: Categories) -> CategoryCounts:
        """Return the counts of a column of words."""
        counts = CategoryCounts.zero(categories)
        counts.add_words(categories, self.words[place])
        counts.other += self._unlisted[place]
        counts.rows += self._unlisted[place]
        return counts

    def number_counts(self, place: int) -> ColumnCounts:
        """Return the counts of a numeric column."""
        return ColumnCounts.from_array(self.total.counts[self._fold.slices[place]])

    def category_blocks(self, place: int, categories: Categories) -> Counts:
        """Return the counts of a column of words in each block, shape (blocks, its vector)."""
        vectors = []
        for words in self.word_blocks:
            counts = CategoryCounts.zero(categories)
            counts.add_words(categories, words[place])
            vectors.append(counts.to_array())
        width = len(CategoryCounts.zero(categories).to_array())
        return np.array(vectors, np.int64).reshape(len(vectors), width)


def _add_bounded(total: Words, counter: Words) -> int:
    """Add words, new ones only while there are not too many; return the rows left out."""
    if len(total) + len(counter) <= MAX_WORDS:
        total.update(counter)
        return 0
    left_out = 0
    for word, count in counter.items():
        if word is None or word in total or len(total) < MAX_WORDS:
            total[word] += count
        else:
            left_out += count
    return left_out
