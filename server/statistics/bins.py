"""Decide how the values of one numeric column become bins.

Bins are made once, from reference values, and never move: counts made with the same bins add up,
whoever made them. One convention holds everywhere: a bin is `[low, high)`, so a value equal to an
edge lies above it; the first and the last bin are open to the outside. Edges are cut between the
values of the reference, never on one of them where a number lies between, so that the counts of
the reference itself would be the same by any convention.

Equal mass after reference quantiles, as scouter and SageMaker do and for the reasons of Evidently's
failures with equal width (one outlier empties every other bin), but for the outermost hundredth at
either end, which has a bin of its own: what grows in the tails is lost among twentieths. Equal
width for probabilities, which estimated performance needs (NannyML's CBPE from counters).

Does not know rows, windows or what a change in counts means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from server.tensors import Array

FloatType = Literal["float32", "float64"]
"""The types in which columns are compared with edges: the feature's own, or the next wider one."""

FLOAT_TYPES: tuple[FloatType, ...] = ("float32", "float64")

MASS_BINS = 20
TAIL_SHARE = 0.01
"""Of the reference, beyond the outermost edges of columns with more than so many values."""

PROBABILITY_BINS = 50
THIN_SHARE = 0.1
"""A bin with less than this share of its equal part of the reference joins a neighbour."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of one column: interior edges, strictly increasing, and the range that is expected.

    No edges means one bin, as of a column that is constant, or empty, in the reference. Values
    outside `low` to `high` are counted in the end bins, and apart as below and above.

    Raises:
        ValueError: edges do not increase, are not finite, or are no numbers of the type.

    """

    edges: tuple[float, ...] = ()
    low: float = -inf
    """Smallest expected value; -inf where the reference has none."""
    high: float = inf
    """Largest expected value; inf where the reference has none."""
    dtype: FloatType = "float64"
    array: Array = field(init=False, compare=False, repr=False)
    """The edges as an array of `dtype`, shape (count - 1,), not to be written to."""

    def __post_init__(self) -> None:
        if self.dtype not in FLOAT_TYPES:
            raise ValueError(f"bins of '{self.dtype}': expected one of {', '.join(FLOAT_TYPES)}")
        array = cast(self.edges, self.dtype)
        if not all(isfinite(edge) for edge in self.edges) or array.tolist() != list(self.edges):
            raise ValueError(f"edges of bins must be finite numbers of type {self.dtype}")
        if not all(lower < upper for lower, upper in pairwise(self.edges)):
            raise ValueError("edges of bins must increase")
        if not self.low <= self.high:
            raise ValueError(f"the range of bins is from {self.low} to {self.high}")
        array.setflags(write=False)
        object.__setattr__(self, "array", array)

    @property
    def count(self) -> int:
        """How many bins there are: at least one."""
        return len(self.edges) + 1

    def locate(self, values: Array) -> NDArray[np.intp]:
        """Return the bin of each value, shape as given.

        NaN and inf lie in the last bin, -inf in the first: who counts takes them out before.
        """
        return self.array.searchsorted(cast(values, self.dtype), side="right")

    def to_json(self) -> dict[str, Any]:
        """Return the bins as JSON: numbers as short as their type allows, null for no range."""
        low, high = _written([self.low, self.high], self.dtype)
        return {
            "dtype": self.dtype,
            "edges": _written(self.edges, self.dtype),
            "min": low if isfinite(low) else None,
            "max": high if isfinite(high) else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Bins":
        """Read what `to_json` wrote; the edges are the same to the last bit.

        Raises:
            ValueError: it is nothing that `to_json` writes.

        """
        try:
            dtype: FloatType = value["dtype"]
            low, high = value["min"], value["max"]
            limits = [-inf if low is None else low, inf if high is None else high]
            edges = cast(value["edges"], dtype).tolist()
            low, high = cast(limits, dtype).tolist()
            read = (tuple(edges), low, high, dtype)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("bins are an object of dtype, edges, min and max") from error
        return cls(*read)


def reference_bins(values: Array, dtype: FloatType = "float64", max_bins: int = MASS_BINS) -> Bins:
    """Return bins of equal mass for reference values of any shape and numeric type.

    With at most `max_bins` distinct values each has its own bin. A value that many rows share is
    never cut: the edges are the boundaries between distinct values that come nearest to equal
    mass, and to TAIL_SHARE of it at both ends, so there are up to two bins more. Bins thinner than
    THIN_SHARE of an equal part join a neighbour. NaN and infinities are left out; without any
    finite value, or with one only, there is one bin.
    """
    distinct, rows = _distinct(values, dtype)
    if not distinct.size:
        return Bins(dtype=dtype)
    firsts = _equal_mass(rows, max_bins)
    masses = np.add.reduceat(rows, firsts)
    kept = firsts[merge_thin(masses, THIN_SHARE * float(rows.sum()) / max_bins)][1:]
    edges = _between(distinct[kept - 1], distinct[kept])
    return Bins(tuple(edges.tolist()), float(distinct[0]), float(distinct[-1]), dtype)


def probability_bins(dtype: FloatType = "float64", count: int = PROBABILITY_BINS) -> Bins:
    """Return bins of equal width from 0 to 1, which is their expected range, for probabilities.

    They do not depend on a reference, and thin or empty ones stay: a positive rate is kept for
    each, and live rows may come where the reference had none. A test that needs mass in every bin
    joins them with `merge_thin`.
    """
    edges = cast(np.arange(1, count) / count, dtype)
    return Bins(tuple(edges.tolist()), 0.0, 1.0, dtype)


def merge_thin(masses: NDArray[np.int64], least: float) -> list[int]:
    """Return the first index of each group of neighbouring bins that holds `least` or more.

    `masses` has shape (count,). The thinnest bin joins its lighter neighbour until none is too
    thin or one is left. Sums of groups: `np.add.reduceat(counts, firsts)`.
    """
    firsts, sums = list(range(len(masses))), masses.tolist()
    while len(sums) > 1:
        thin = sums.index(min(sums))
        if sums[thin] >= least:
            break
        is_last = thin == len(sums) - 1
        joins_left = thin > 0 and (is_last or sums[thin - 1] <= sums[thin + 1])
        right = thin if joins_left else thin + 1
        sums[right - 1 : right + 1] = [sums[right - 1] + sums[right]]
        del firsts[right]
    return firsts


def cast(values: Any, dtype: FloatType) -> Array:
    """Return a copy of values in `dtype`; what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):
        return np.array(np.asarray(values), dtype=dtype)


def _distinct(values: Array, dtype: FloatType) -> tuple[Array, NDArray[np.int64]]:
    """Return the distinct finite values, rising, and how often each occurs."""
    typed = cast(values, dtype)
    distinct, rows = np.unique(typed[np.isfinite(typed)], return_counts=True)
    return distinct, rows.astype(np.int64)


def _equal_mass(rows: NDArray[np.int64], max_bins: int) -> NDArray[np.intp]:
    """Return the index of the first distinct value of each bin, before thin ones are merged."""
    if len(rows) <= max_bins:
        return np.arange(len(rows))
    before = np.concatenate([[0], np.cumsum(rows)])
    parts = np.arange(1, max_bins) / max_bins
    wanted = before[-1] * np.concatenate([[TAIL_SHARE], parts, [1.0 - TAIL_SHARE]])
    above = before.searchsorted(wanted)
    is_nearer_below = wanted - before[above - 1] < before[above] - wanted
    nearest = above - is_nearer_below
    return np.unique(np.concatenate([[0], nearest[nearest < len(rows)]]))


def _between(lower: Array, upper: Array) -> Array:
    """Return the numbers midway, or the upper ones where the type has none between."""
    middle = lower / 2 + upper / 2  # The sum itself could be infinite.
    return np.where((lower < middle) & (middle < upper), middle, upper)


def _written(values: Any, dtype: FloatType) -> list[float]:
    """Return numbers of `dtype` as the shortest ones that are read back as the same."""
    of_type = np.dtype(dtype).type
    short = [float(str(of_type(value))) for value in values]
    return [  # Rounded twice on its way back, a short number could become another one.
        brief if of_type(brief) == value else value
        for brief, value in zip(short, values, strict=True)
    ]
