"""How much each input goes with what the model answers: a rough order, to rank what has moved.

Decides by ranks, so outliers, units and bent relations do not matter: of two numeric columns it is
the absolute rank correlation (Spearman 1904, Am. J. Psychol. 15); of a category and a number the
correlation ratio of the number's ranks (Pearson 1905); of two categories Cramer's V, corrected for
chance (Bergsma 2013, J. Korean Stat. Soc. 42). An input has the largest over all outputs. It is not
what a model makes of an input: of two inputs that go together both have the same.

A constant column, or fewer than three rows, says nothing: None.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from server.monitoring.sampling import Sample, Words
from server.tensors import Array

MIN_ROWS = 3
MAX_GROUPS = 64
"""More categories than these tell rows apart, not what they have in common."""

Ranks = NDArray[np.float64]


def importances(sample: Sample) -> dict[str, float | None]:
    """Return the importance of each input by the column's name, from 0 to 1."""
    inputs, outputs = sample.sides
    group = sample.layout.inputs
    found: dict[str, float | None] = {}
    answers: list[Ranks | _Codes] = [*_ranked(outputs.numbers), *map(_coded, outputs.words)]
    for column, numbers in zip(group.numbers, _ranked(inputs.numbers), strict=True):
        found[column.name] = _largest(numbers, answers)
    for column, words in zip(group.words, inputs.words, strict=True):
        found[column.name] = _largest(_coded(words), answers)
    return found


class _Codes:
    """Categories as numbers from 0; -1 for missing."""

    def __init__(self, codes: NDArray[np.int64], count: int) -> None:
        self.codes = codes
        self.count = count


def _coded(words: Words) -> _Codes:
    places: dict[str, int] = {}
    codes = [-1 if word is None else places.setdefault(word, len(places)) for word in words]
    return _Codes(np.array(codes, np.int64), len(places))


def _ranked(numbers: Array) -> Iterator[Ranks]:
    """Yield the mean ranks of each column; NaN stays NaN, infinities have ranks."""
    for column in numbers.T:
        ranks = np.full(len(column), np.nan)
        there = ~np.isnan(column)
        _, places, counts = np.unique(column[there], return_inverse=True, return_counts=True)
        ranks[there] = (np.cumsum(counts) - (counts - 1) / 2.0)[places]
        yield ranks


def _largest(one: Ranks | _Codes, answers: list[Ranks | _Codes]) -> float | None:
    found = [value for answer in answers if (value := _strength(one, answer)) is not None]
    return max(found, default=None)


def _strength(one: Ranks | _Codes, other: Ranks | _Codes) -> float | None:
    if isinstance(one, _Codes) and isinstance(other, _Codes):
        return _cramer(one, other)
    if isinstance(one, _Codes) or isinstance(other, _Codes):
        codes, ranks = (one, other) if isinstance(one, _Codes) else (other, one)
        assert isinstance(codes, _Codes), "one of both is a category"
        assert not isinstance(ranks, _Codes), "the other one is a number"
        return _ratio(codes, ranks)
    return _correlation(one, other)


def _correlation(one: Ranks, other: Ranks) -> float | None:
    there = ~(np.isnan(one) | np.isnan(other))
    if there.sum() < MIN_ROWS:
        return None
    x, y = one[there] - one[there].mean(), other[there] - other[there].mean()
    size = math.sqrt(float(x @ x) * float(y @ y))
    return min(1.0, abs(float(x @ y)) / size) if size > 0.0 else None


def _ratio(codes: _Codes, ranks: Ranks) -> float | None:
    """Return the root of the share of variance between groups, less what chance gives."""
    there = (codes.codes >= 0) & ~np.isnan(ranks)
    rows = int(there.sum())
    if not 2 <= codes.count <= MAX_GROUPS or rows < max(MIN_ROWS, codes.count + 1):
        return None
    of, values = codes.codes[there], ranks[there] - ranks[there].mean()
    total = float(values @ values)
    sizes = np.bincount(of, minlength=codes.count)
    if total == 0.0 or np.sum(sizes > 0) < 2:
        return None
    sums = np.bincount(of, weights=values, minlength=codes.count)
    between = float(np.sum(sums[sizes > 0] ** 2 / sizes[sizes > 0]))
    groups = int(np.sum(sizes > 0))
    unexplained = (total - between) / (rows - groups) * (rows - 1) / total
    return math.sqrt(min(1.0, max(0.0, 1.0 - unexplained)))


def _cramer(one: _Codes, other: _Codes) -> float | None:
    there = (one.codes >= 0) & (other.codes >= 0)
    rows = int(there.sum())
    if rows < MIN_ROWS or not 2 <= one.count <= MAX_GROUPS or not 2 <= other.count <= MAX_GROUPS:
        return None
    table = np.zeros((one.count, other.count))
    np.add.at(table, (one.codes[there], other.codes[there]), 1.0)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / rows
    height, width = table.shape
    by_chance = (height - 1) * (width - 1) / (rows - 1)
    phi = max(0.0, float(np.sum((table - expected) ** 2 / expected)) / rows - by_chance)
    size = min(height - (height - 1) ** 2 / (rows - 1), width - (width - 1) ** 2 / (rows - 1)) - 1
    return min(1.0, math.sqrt(phi / size)) if size > 0.0 else None
