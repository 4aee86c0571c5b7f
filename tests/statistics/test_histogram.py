"""Counts of columns: exact for any values, chunks and order, and they add."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.statistics.bins import Bins, FloatType, probability_bins, reference_bins
from server.statistics.histogram import (
    OTHER_FIELDS,
    RUN_ROWS,
    ColumnCounts,
    Counted,
    Fold,
    Slab,
    count_column,
    slab_rows,
)
from server.tensors import Array
from tests.statistics.columns import Column, as_type, columns, float_types, naive, values

golden = np.random.default_rng(12345)
GOLDEN_REFERENCE, GOLDEN_LIVE = golden.normal(0, 1, 5000), golden.normal(0.3, 1.2, 1000)


def plain(counts: ColumnCounts) -> list[int]:
    """Return counts as a value that compares."""
    return [int(count) for count in counts.to_array()]


def expected(bins: Bins, column: Array) -> list[int]:
    """Count a column one by one, in the order of a vector of counts."""
    counts = naive(bins, column)
    others = ("missing", "negative", "positive", "below", "above", "rows")
    return [counts[key] for key in (*range(bins.count), *others)]


@st.composite
def blocks(draw: st.DrawFn) -> tuple[list[Bins], Array]:
    """Bins of some columns, of one type, and a block of rows for them."""
    dtype = draw(float_types)
    kinds = st.one_of(
        columns(20).map(lambda column: reference_bins(column, dtype)),
        st.just(probability_bins(dtype)),
        st.just(Bins(dtype=dtype)),
    )
    bins = draw(st.lists(kinds, max_size=4))
    rows = draw(st.integers(0, 30))
    cells = draw(st.lists(values, min_size=rows * len(bins), max_size=rows * len(bins)))
    return bins, np.array(cells, np.float64).reshape(rows, len(bins))


@settings(max_examples=60)
@given(blocks())
def test_a_block_is_counted_as_its_values_one_by_one(case: tuple[list[Bins], Array]) -> None:
    """Bins, missing, both infinities, below, above and rows are exact for every column."""
    bins, block = case
    fold = Fold(bins)
    counted = fold.count(block)

    assert counted.counts.dtype == np.int64
    assert counted.counts.shape == (fold.width,)
    for one, part, column in zip(bins, fold.slices, block.T, strict=True):
        assert plain(ColumnCounts.from_array(counted.counts[part])) == expected(one, column)
        assert plain(count_column(one, column)) == expected(one, column)


@settings(max_examples=60)
@given(blocks())
def test_extremes_are_those_of_the_finite_values(case: tuple[list[Bins], Array]) -> None:
    """The smallest and the largest number of each column, and infinite where there is none."""
    bins, block = case
    counted = Fold(bins).count(block)

    for index, column in enumerate(block.T):
        cast = [as_type(value, bins[index].dtype) for value in column]
        finite = [value for value in cast if np.isfinite(value)]
        assert counted.minima[index] == min(finite, default=np.inf)
        assert counted.maxima[index] == max(finite, default=-np.inf)


@settings(max_examples=60)
@given(blocks(), st.lists(st.integers(0, 12), max_size=8), st.integers(1, 9), st.integers(0, 99))
def test_chunks_and_order_do_not_matter(
    case: tuple[list[Bins], Array], sizes: list[int], slab_rows: int, seed: int
) -> None:
    """However rows arrive, a slab of any size has counted all of them once when they are taken."""
    bins, block = case
    fold = Fold(bins)
    whole = fold.count(block)
    slab = Slab(fold, slab_rows)
    shuffled = block[np.random.default_rng(seed).permutation(len(block))]
    for chunk in np.split(shuffled, np.minimum(np.cumsum(np.array(sizes, int)), len(block))):
        slab.add(chunk)

    assert slab.rows == len(block)
    same(slab.take(), whole)
    same(slab.take(), fold.zero())
    assert slab.rows == 0


def same(one: Counted, other: Counted) -> None:
    """Two counts are equal in every number."""
    assert one.counts.tolist() == other.counts.tolist()
    assert one.minima.tolist() == other.minima.tolist()
    assert one.maxima.tolist() == other.maxima.tolist()


@given(columns(), columns(), columns(20))
def test_counts_of_parts_add_up(one: Column, two: Column, reference: Column) -> None:
    """Adding two counts is counting both columns, and leaves the second one alone."""
    bins = reference_bins(reference)
    both = count_column(bins, np.concatenate([one, two]))
    second = count_column(bins, two)
    total = count_column(bins, one)
    total.add(second)

    assert plain(total) == plain(both)
    assert plain(second) == expected(bins, two)
    assert plain(total.zero_like()) == plain(ColumnCounts.zero(bins)) == [0] * (bins.count + 6)


@given(columns(), columns(20))
def test_every_row_is_counted_in_one_place(column: Column, reference: Column) -> None:
    """Bins, missing values and infinities sum to the rows: none is lost, none counted twice."""
    counts = count_column(reference_bins(reference), column)
    infinities = counts.negative_infinities + counts.positive_infinities

    assert counts.finite + counts.missing + infinities == counts.rows == len(column)


@given(columns(), float_types)
def test_a_reference_is_within_its_own_range(reference: Column, dtype: FloatType) -> None:
    """Counted with its own bins, a reference has nothing below or above."""
    counts = count_column(reference_bins(reference, dtype), reference)

    assert (counts.below, counts.above) == (0, 0)


@pytest.mark.parametrize("shape", [(6, 2), (12, 1), (1, 12)])
def test_what_is_counted_stays_as_it_is(shape: tuple[int, int]) -> None:
    """Sorting happens in a copy, also where a block is one column and needs no transposing."""
    block = np.arange(12, 0, -1, dtype=np.float32).reshape(shape)
    before = block.copy()
    Fold([reference_bins(block[:, 0], "float32")] * shape[1]).count(block)

    assert block.tolist() == before.tolist()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "float64"])
def test_every_numeric_type_is_counted(dtype: str) -> None:
    """Tensors come in all types, and a slab takes them in whichever its columns have."""
    block = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)
    fold = Fold([reference_bins(np.array([0, 1]), "float32")] * 2)
    slab = Slab(fold)
    slab.add(block)

    assert slab.take().counts[fold.slices[0]].tolist() == [1, 2, 0, 0, 0, 0, 0, 3]
    assert fold.count(block).counts[fold.slices[1]].tolist() == [1, 2, 0, 0, 0, 0, 0, 3]


def test_what_is_too_large_for_the_type_is_infinite() -> None:
    """A double that no float32 can be is counted as an infinity, without a warning."""
    fold = Fold([Bins(dtype="float32")])
    slab = Slab(fold)
    slab.add(np.array([[1e300], [-1e300], [1.0]]))
    counts = ColumnCounts.from_array(slab.take().counts)

    assert (counts.positive_infinities, counts.negative_infinities, counts.finite) == (1, 1, 1)


def test_the_largest_numbers_can_be_a_range() -> None:
    """Nothing lies outside a range that ends with the last finite numbers."""
    limit = float(np.finfo(np.float32).max)
    counts = count_column(Bins((0.0,), -limit, limit, "float32"), np.array([-limit, limit, np.inf]))

    assert plain(counts) == [1, 1, 0, 0, 1, 0, 0, 3]


@pytest.mark.parametrize("block", [np.zeros((3, 1)), np.zeros(3), np.zeros((1, 2, 2))])
def test_a_block_of_other_columns_is_refused(block: Array) -> None:
    """Rows of another shape never become counts of these columns."""
    fold = Fold([Bins(), Bins()])
    with pytest.raises(ValueError, match="for 2 columns"):
        fold.count(block)
    with pytest.raises(ValueError, match="for 2 columns"):
        Slab(fold).add(block)


def test_columns_of_one_block_have_one_type() -> None:
    """A float32 edge compared with a float64 value would lie on the wrong side."""
    with pytest.raises(ValueError, match="float32, float64"):
        Fold([Bins(dtype="float32"), Bins(dtype="float64")])


def test_a_vector_has_its_counts_in_a_fixed_order() -> None:
    """Stored vectors outlive a release: bins, missing, -inf, inf, below, above, rows."""
    bins = Bins((1.0,), 0.0, 2.0)
    column = [np.nan] * 2 + [-np.inf] * 3 + [np.inf] * 4 + [-1.0] * 5 + [3.0] * 6 + [1.5] * 7
    counts = count_column(bins, np.array(column))

    assert plain(counts) == [5, 13, 2, 3, 4, 5, 6, 27]
    assert len(plain(counts)) == bins.count + OTHER_FIELDS
    assert plain(ColumnCounts.from_array(counts.to_array())) == plain(counts)


def test_a_slab_holds_a_bounded_number_of_rows() -> None:
    """A block larger than the slab goes through it in parts."""
    fold = Fold([Bins((0.5,))])
    slab = Slab(fold, 8)
    slab.add(np.zeros((100, 1)))
    slab.add(np.ones((3, 1)))

    assert slab.rows == 103
    assert slab.take().counts[:2].tolist() == [100, 3]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [RUN_ROWS - 1, RUN_ROWS, RUN_ROWS + 1, 2 * RUN_ROWS, 3000])
def test_rows_of_several_runs_are_counted_once(rows: int, dtype: FloatType) -> None:
    """Whole runs, one that is short, ties, and columns with more edges than others."""
    rng = np.random.default_rng(rows)
    block = np.round(rng.standard_normal((rows, 3)) * [1.0, 3.0, 30.0], 1).astype(dtype)
    block[rng.random(block.shape) < 0.03] = np.nan
    block[rng.random(block.shape) < 0.01] = np.inf
    block[rng.random(block.shape) < 0.01] = -np.inf
    bins = [reference_bins(block[:300, 0], dtype), probability_bins(dtype), Bins(dtype=dtype)]
    fold = Fold(bins)
    counted = fold.count(block)

    for one, part, column in zip(bins, fold.slices, block.T, strict=True):
        assert plain(ColumnCounts.from_array(counted.counts[part])) == expected(one, column)
    finite = np.where(np.isfinite(block), block, np.nan)
    assert counted.minima.tolist() == np.nanmin(finite, axis=0).tolist()
    assert counted.maxima.tolist() == np.nanmax(finite, axis=0).tolist()


@pytest.mark.parametrize(
    ("row_bytes", "rows"),
    [(4, 16 * 255), (120, 16 * 255), (2000, 4 * 255), (8000, 255), (20_000, 63), (10**7, 1)],
)
def test_rows_are_counted_in_whole_runs(row_bytes: int, rows: int) -> None:
    """As many as two megabytes hold, and one row at least, however wide it is."""
    assert slab_rows(row_bytes) == rows


def test_psi_of_the_golden_deciles() -> None:
    """With the deciles as edges the counts give the PSI that other tools give for them."""
    edges = np.quantile(GOLDEN_REFERENCE, np.arange(1, 10) / 10)
    bins = Bins(tuple(edges.tolist()))
    mass = count_column(bins, GOLDEN_REFERENCE).bins / 5000
    live = count_column(bins, GOLDEN_LIVE).bins / 1000

    psi = float(((mass - live) * np.log(mass / live)).sum())
    assert psi == pytest.approx(0.1319321118, abs=1e-9)


def test_bins_of_the_golden_reference_are_its_deciles() -> None:
    """Ten bins of equal mass lie where the quantiles are, the outer ones cut at the hundredths."""
    bins = reference_bins(GOLDEN_REFERENCE, max_bins=10)
    ends = np.concatenate([[0.01], np.arange(1, 10) / 10, [0.99]])

    counted = count_column(bins, GOLDEN_REFERENCE).bins.tolist()
    assert counted == [50, 450, *[500] * 8, 450, 50]
    assert bins.array == pytest.approx(np.quantile(GOLDEN_REFERENCE, ends), abs=1e-2)
