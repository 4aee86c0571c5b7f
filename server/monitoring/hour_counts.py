"""Count reference rows by hour.

Decides what is kept of an hour: bins, missing and infinite values of numbers; words, the first
MAX_WORDS of a column, the others as rare ones.

Memory: a vector for each hour, and the words of each.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import Blocks
from server.monitoring.hours import Cycle, Seconds, hours_of
from server.statistics.categories import Categories, CategoryCounts, Words, count_words
from server.statistics.histogram import Counts, Fold
from server.tensors import Array

MAX_WORDS = 2000

_NOT_OF_HOURS = 3
"""Below, above and rows, at the end of a numeric column's vector."""


class HourTable:
    """The counts of one side by hour."""

    def __init__(self, fold: Fold, words: int, cycle: Cycle) -> None:
        self.rows = np.zeros(cycle.hours, np.int64)
        self._cycle, self._fold = cycle, fold
        self._numbers = np.zeros((cycle.hours, fold.width), np.int64)
        self._words: list[list[Words]] = [
            [Counter() for _ in range(cycle.hours)] for _ in range(words)
        ]

    def add(self, blocks: Blocks, seconds: Seconds) -> None:
        """Count rows by the hour of their moments, shape (rows,)."""
        hours = hours_of(self._cycle, seconds)
        self.rows += np.bincount(hours, minlength=self._cycle.hours)
        for hour in np.unique(hours).tolist():
            chosen = np.flatnonzero(hours == hour)
            if self._fold.bins:
                self._numbers[hour] += self._fold.count(blocks.numbers[chosen]).counts
            for words, values in zip(self._words, blocks.words, strict=True):
                _add(words[hour], count_words(_only(values, chosen)))

    def number(self, place: int) -> Counts:
        """Return bins, missing, -inf and inf of a numeric column, shape (hours, bins + 3)."""
        where = self._fold.slices[place]
        return self._numbers[:, where.start : where.stop - _NOT_OF_HOURS]

    def category(self, place: int, categories: Categories) -> Counts:
        """Return kept categories, others and missing of a column of words, (hours, kept + 2)."""
        table = np.zeros((len(self.rows), len(categories.kept) + 2), np.int64)
        for hour, words in enumerate(self._words[place]):
            counts = CategoryCounts.zero(categories)
            counts.add_words(categories, words)
            known = [*counts.kept.tolist(), counts.missing]
            table[hour] = [*known[:-1], int(self.rows[hour]) - sum(known), known[-1]]
        return table


def _add(total: Words, words: Words) -> None:
    for word, count in words.items():
        if word is None or word in total or len(total) < MAX_WORDS:
            total[word] += count


def _only(
    values: Sequence[str | None] | Array, chosen: NDArray[np.intp]
) -> list[str | None] | Array:
    if isinstance(values, np.ndarray):
        return values[chosen]
    return [values[at] for at in chosen.tolist()]
