"""Bins: made from any reference, one convention for sides, the same after a journey."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.statistics.bins import (
    FLOAT_TYPES,
    MASS_BINS,
    THIN_SHARE,
    Bins,
    FloatType,
    merge_thin,
    probability_bins,
    reference_bins,
)
from tests.statistics.columns import Column, as_type, columns, float_types, naive


def masses(bins: Bins, column: Column) -> list[int]:
    """Return how many finite values of a column lie in each bin, counted one by one."""
    counts = naive(bins, column)
    return [counts[number] for number in range(bins.count)]


@given(columns(), columns(), float_types)
def test_each_value_lies_in_the_bin_that_reaches_up_to_below_the_next_edge(
    reference: Column, live: Column, dtype: FloatType
) -> None:
    """A value equal to an edge lies above it, for live values and reference values alike."""
    bins = reference_bins(reference, dtype)
    finite = np.array([as_type(value, dtype) for value in np.concatenate([reference, live])])
    finite = finite[np.isfinite(finite)]
    found = Counter(bins.locate(finite).tolist())

    assert [found[number] for number in range(bins.count)] == masses(bins, finite)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_an_edge_belongs_to_the_bin_above_it(dtype: FloatType) -> None:
    """The largest number below an edge is the last one of the lower bin."""
    bins = Bins((1.0, 2.0), dtype=dtype)
    before = np.nextafter(np.array([1.0, 2.0], dtype), np.array(0, dtype))

    assert bins.locate(np.array([1.0, 2.0], dtype)).tolist() == [1, 2]
    assert bins.locate(before).tolist() == [0, 1]


@given(columns(), float_types)
def test_no_bin_of_a_reference_is_empty_or_thin(reference: Column, dtype: FloatType) -> None:
    """Ties at the top, at the bottom or between leave no bin without its share of the rows."""
    bins = reference_bins(reference, dtype)
    rows = masses(bins, reference)

    assert bins.count <= MASS_BINS + 2
    assert bins.count == 1 or min(rows) >= max(1, THIN_SHARE * sum(rows) / MASS_BINS)


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=80), float_types)
def test_integers_do_not_depend_on_the_convention(integers: list[int], dtype: FloatType) -> None:
    """Edges lie between them, so `(low, high]` and `[low, high)` count a reference the same."""
    reference = np.array(integers, np.float64)
    bins = reference_bins(reference, dtype)
    other = Counter(sum(edge < value for edge in bins.edges) for value in integers)

    assert [other[number] for number in range(bins.count)] == masses(bins, reference)


@settings(max_examples=10)
@given(st.permutations(range(400)), float_types)
def test_distinct_values_are_divided_evenly(order: list[int], dtype: FloatType) -> None:
    """Four hundred different rows in any order make twenties, and a hundredth at either end."""
    reference = np.exp(np.array(order) / 40)

    expected = [4, 16, *[20] * 18, 16, 4]
    assert masses(reference_bins(reference, dtype), reference) == expected


@pytest.mark.parametrize("distinct", [2, 3, 20])
def test_few_distinct_values_have_a_bin_each(distinct: int) -> None:
    """The edges are midway between them."""
    bins = reference_bins(np.repeat(np.arange(distinct), 5), "float32")

    assert bins.edges == tuple(number + 0.5 for number in range(distinct - 1))
    assert (bins.low, bins.high) == (0.0, distinct - 1.0)


@pytest.mark.parametrize("atom", [-1000.0, 0.0, 1000.0])
def test_a_value_that_many_rows_share_has_a_bin_of_its_own(atom: float) -> None:
    """Quantiles that fall into one value do not draw its neighbours into its bin."""
    spread = np.concatenate([np.linspace(-5, -1, 200), np.linspace(1, 5, 200)])
    reference = np.concatenate([spread, np.full(600, atom)])
    bins = reference_bins(reference)

    assert masses(bins, reference)[bins.locate(np.array(atom))] == 600
    assert bins.count >= 9


def test_scores_with_a_heavy_top_leave_no_empty_bin() -> None:
    """The largest of 101 values, with a quarter of the rows, ends no bin that nothing can enter."""
    scores = np.concatenate([np.arange(101) / 100, np.full(34, 1.0)])
    bins = reference_bins(scores)

    assert min(masses(bins, scores)) > 0
    assert bins.edges[-1] == pytest.approx(0.995)


def test_a_rare_value_joins_its_lighter_neighbour() -> None:
    """One row of a thousand makes no bin, in which nothing could be told from chance."""
    reference = np.repeat([0.0, 1.0, 2.0], [600, 1, 399])

    assert masses(reference_bins(reference), reference) == [600, 400]


@pytest.mark.parametrize(
    ("reference", "low", "high"),
    [
        ([], -np.inf, np.inf),
        ([np.nan, np.nan], -np.inf, np.inf),
        ([np.inf, -np.inf, np.nan], -np.inf, np.inf),
        ([7.0], 7.0, 7.0),
        ([7.0] * 50, 7.0, 7.0),
        ([7.0, np.nan, np.inf], 7.0, 7.0),
        ([0.0, -0.0], 0.0, 0.0),
    ],
    ids=["empty", "missing", "infinite", "one row", "constant", "one finite", "two zeros"],
)
@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_a_reference_without_two_values_makes_one_bin(
    reference: list[float], low: float, high: float, dtype: FloatType
) -> None:
    """What is different from a constant is out of its range; of nothing, no range is known."""
    bins = reference_bins(np.array(reference), dtype)

    assert (bins.count, bins.low, bins.high) == (1, low, high)


def test_an_outlier_does_not_move_the_edges() -> None:
    """A single absurd value changes the range, and no bin but the last."""
    clean = np.arange(1000.0)
    bins = reference_bins(clean)
    with_outlier = reference_bins(np.concatenate([clean[:-1], [1e300]]))

    assert with_outlier.edges == bins.edges
    assert (bins.high, with_outlier.high) == (999.0, 1e300)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
@pytest.mark.parametrize("start", [0.0, 1.0, -1.0, "max"])
def test_neighbouring_numbers_are_told_apart(start: float | str, dtype: FloatType) -> None:
    """Where nothing lies between two numbers, the edge is the upper one; none overflows."""
    limit = np.array(np.finfo(dtype).max if start == "max" else start, dtype)
    pair = np.array([np.nextafter(limit, np.array(-np.inf, dtype)), limit], dtype)
    bins = reference_bins(pair, dtype)

    assert bins.locate(pair).tolist() == [0, 1]
    assert reference_bins(np.array([-limit, limit]), dtype).count in (1, 2)


def test_probabilities_have_fifty_bins_whatever_the_reference() -> None:
    """Scores that are written like the edges lie above them; the range is that of probabilities."""
    bins = probability_bins("float32")
    scores = np.array([0.0, 0.01, 0.02, 0.3, 0.5, 0.98, 1.0], np.float32)

    assert bins.count == 50
    assert bins.locate(scores).tolist() == [0, 0, 1, 15, 25, 49, 49]
    assert (bins.low, bins.high) == (0.0, 1.0)


@given(columns(), float_types)
def test_what_is_written_as_json_is_read_back(reference: Column, dtype: FloatType) -> None:
    """Edges, range and type survive to the last bit."""
    bins = reference_bins(reference, dtype)
    read = Bins.from_json(orjson.loads(orjson.dumps(bins.to_json())))

    assert read == bins
    assert read.array.dtype == bins.array.dtype
    assert read.array.tobytes() == bins.array.tobytes()


def test_json_is_as_short_as_the_type_allows() -> None:
    """A profile is read by people: no float32 is written with seventeen digits."""
    written = probability_bins("float32", 10).to_json()

    assert written["edges"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert Bins(dtype="float32").to_json() == {
        "dtype": "float32", "edges": [], "min": None, "max": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"edges": [2.0, 1.0]}, "must increase"),
        ({"edges": [1.0, 1.0]}, "must increase"),
        ({"edges": [1.0, 1e39]}, "finite numbers of type float32"),
        ({"edges": [None]}, "edges"),
        ({"edges": None}, "edges"),
        ({"edges": {"a": 1}}, "edges"),
        ({"dtype": "float16"}, "float16"),
        ({"dtype": 7}, "dtype"),
        ({"min": 3.0, "max": 2.0}, "range"),
        ({"min": [1.0]}, "min"),
    ],
    ids=str,
)
def test_bins_that_are_none_are_refused(change: dict[str, Any], text: str) -> None:
    """A profile that somebody has edited is refused with what is wrong in it."""
    good = {"dtype": "float32", "edges": [1.0], "min": 0.0, "max": 2.0}

    assert Bins.from_json(good).count == 2
    with pytest.raises(ValueError, match=text):
        Bins.from_json({**good, **change})
    with pytest.raises(ValueError, match="min"):
        Bins.from_json({"dtype": "float32", "edges": []})


def test_edges_are_numbers_of_their_type() -> None:
    """An edge between two float32 numbers would be rounded onto one of them."""
    with pytest.raises(ValueError, match="float32"):
        Bins((0.1,), dtype="float32")

    assert Bins((as_type(0.1, "float32"),), dtype="float32").count == 2


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(0, 60))
def test_thin_bins_join_neighbours_until_none_is_thin(rows: list[int], least: int) -> None:
    """Groups cover all bins in order, and only a single group may hold less than was asked for."""
    firsts = merge_thin(np.array(rows, np.int64), least)
    sums = [sum(rows[start:end]) for start, end in pairwise([*firsts, len(rows)])]

    assert firsts[0] == 0
    assert sum(sums) == sum(rows)
    assert len(sums) == 1 or min(sums) >= least


@pytest.mark.parametrize(
    ("rows", "firsts"),
    [
        ([5, 5, 5], [0, 1, 2]),
        ([1, 5, 9], [0, 2]),
        ([9, 5, 1], [0, 1]),
        ([9, 1, 5], [0, 1]),
        ([5, 1, 9], [0, 2]),
        ([1, 1, 1, 9], [0, 3]),
        ([1], [0]),
    ],
)
def test_a_thin_bin_joins_the_lighter_neighbour(rows: list[int], firsts: list[int]) -> None:
    """Heavy bins stay as they are as far as may be; at an end there is one neighbour only."""
    assert merge_thin(np.array(rows, np.int64), 3) == firsts
