"""By how much neighbours among reference rows resemble each other, as a profile has it.

Decides from blocks of neighbours how much more their means and shares vary than those of
independent rows would; 1 where that is chance, or cannot be said. If rows are counted by hour, a
block is held to the mixture of its own hours: a rhythm that the hours tell does not count, what a
block varies by from day to day does.
"""

from collections.abc import Sequence
from math import isfinite

import numpy as np

from server.monitoring.reference_counts import SideCounter
from server.monitoring.seasons import Mixture
from server.statistics.categories import Categories, CategoryCounts
from server.statistics.histogram import OTHER_FIELDS, ColumnCounts, Counts
from server.statistics.homogeneity import category_inflation
from server.statistics.smooth_bases import smooth_bases
from server.statistics.smooth_test import (
    MAX_COMPONENTS,
    MIN_BLOCKS,
    beyond_chance,
    smooth_basis,
)

_DIGITS = 6


def number_inflations(
    side: SideCounter,
    place: int,
    counts: ColumnCounts,
    blocks: Counts | None,
    mixtures: Sequence[Mixture] | None,
) -> tuple[tuple[float, ...], float]:
    """Return the factors of a numeric column: of each component, and of being missing.

    `blocks` are its vectors, shape (blocks, width), and `mixtures` what each is held to.
    """
    if blocks is None:
        return tuple(map(at_least_one, smooth_basis(counts.bins).inflation.tolist())), 1.0
    missing = missing_of_numbers(blocks)
    if side.hours is None or mixtures is None:
        factors = smooth_basis(counts.bins, bins_of(blocks)).inflation.tolist()
        absent = missing_inflation(counts.missing, counts.rows, missing)
    else:
        table = side.hours.number(place)
        factors = smooth_inflation(table[:, :-3], bins_of(blocks), mixtures)
        of_hours = np.stack([table[:, -3], side.hours.rows], axis=1)
        absent = share_inflation(_of_two(of_hours), _of_two(missing), mixtures)
    return tuple(map(at_least_one, factors)), at_least_one(absent)


def word_inflations(
    side: SideCounter,
    place: int,
    categories: Categories,
    counts: CategoryCounts,
    blocks: Counts | None,
    mixtures: Sequence[Mixture] | None,
) -> tuple[float, float]:
    """Return the factors of a column of words: of its categories, and of being missing."""
    if blocks is None:
        return 1.0, 1.0
    known = len(categories.kept) + 1  # All that are rare are one more.
    missing = blocks[:, [-2, -1]]
    if side.hours is None or mixtures is None:
        factor = category_inflation(counts.to_array()[:known], blocks[:, :known])
        absent = missing_inflation(counts.missing, counts.rows, missing)
    else:
        table = side.hours.category(place, categories)
        factor = share_inflation(table[:, :-1], blocks[:, :known], mixtures)
        of_hours = np.stack([table[:, -1], side.hours.rows], axis=1)
        absent = share_inflation(_of_two(of_hours), _of_two(missing), mixtures)
    return at_least_one(factor), at_least_one(absent)


def bins_of(blocks: Counts) -> Counts:
    """Return the bins of a numeric column in each block, shape (blocks, bins)."""
    return blocks[:, :-OTHER_FIELDS]


def missing_of_numbers(blocks: Counts) -> Counts:
    """Return missing values and rows of each block, shape (blocks, 2)."""
    return blocks[:, [-OTHER_FIELDS, -1]]


def missing_inflation(missing: int, rows: int, blocks: Counts) -> float:
    """Return the factor of missing values; `blocks` are missing values and rows."""
    reference = np.array([missing, rows - missing], np.int64)
    return at_least_one(category_inflation(reference, _of_two(blocks)))


def _of_two(missing: Counts) -> Counts:
    """Turn missing values and rows into missing values and others, shape (n, 2)."""
    return np.stack([missing[:, 0], missing[:, 1] - missing[:, 0]], axis=1)


def at_least_one(factor: float) -> float:
    """Return a factor as a profile has it: with a few digits, and at least 1."""
    return max(1.0, float(f"{factor:.{_DIGITS}g}") if isfinite(factor) else 1.0)


def smooth_inflation(table: Counts, blocks: Counts, mixtures: Sequence[Mixture]) -> list[float]:
    """Return by how much mean scores of blocks vary more than those of independent rows.

    `table` are a column's counts by hour, shape (hours, bins), `blocks` those of its consecutive
    blocks, shape (blocks, bins), each of which is held to its mixture. A block is among the rows
    that it is held to, and so varies less from them, by its part of them.
    """
    rows = blocks.sum(axis=1)
    size = blocks.shape[1]
    if not size or not len(blocks):
        return []
    starts = np.arange(0, blocks.size, size)
    column = np.repeat(np.arange(len(blocks)), size)
    references = np.concatenate([mixture.of(table) for mixture in mixtures])
    made = smooth_bases(references, starts, column)
    sums = np.add.reduceat(blocks.reshape(-1, 1) * made.scores, starts, axis=0)
    freedom = _freedom(rows, mixtures)
    components = int(np.bincount(made.components, minlength=MAX_COMPONENTS + 1).argmax())
    if freedom < MIN_BLOCKS:
        return [1.0] * components
    estimates = np.sum(sums * sums / np.maximum(1, rows)[:, np.newaxis], axis=0) / freedom
    return [beyond_chance(one, int(freedom)) for one in estimates[:components].tolist()]


def share_inflation(table: Counts, blocks: Counts, mixtures: Sequence[Mixture]) -> float:
    """Return the same of shares: categories by hour, (hours, n), and by block, (blocks, n)."""
    rows = blocks.sum(axis=1)
    freedom = _freedom(rows, mixtures)
    kinds = int(np.sum(table.sum(axis=0) > 0)) - 1
    if freedom < MIN_BLOCKS or kinds < 1:
        return 1.0
    statistic = 0.0
    for block, of, mixture in zip(blocks, rows.tolist(), mixtures, strict=True):
        usual = mixture.of(table)
        expected = usual * (of / max(float(usual.sum()), 1e-12))
        there = expected > 0.0
        statistic += float(np.sum((block - expected)[there] ** 2 / expected[there]))
    return beyond_chance(statistic / (freedom * kinds), int(freedom * kinds))


def _freedom(rows: Counts, mixtures: Sequence[Mixture]) -> float:
    """Return how many blocks there are beyond what their references have of them."""
    parts: list[float] = [
        of / max(one.rows, 1.0) for of, one in zip(rows.tolist(), mixtures, strict=True) if of
    ]
    return sum((max(0.0, 1.0 - part) for part in parts), 0.0)
