"""Counting reference rows: exact in all and by block, whatever the chunks, and bounded."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring import reference_counts
from server.monitoring.columns import Blocks
from server.monitoring.reference_counts import (
    MAX_BLOCK_ROWS,
    MAX_BLOCKS,
    MIN_BLOCK_ROWS,
    Moments,
    SideCounter,
)
from server.statistics.bins import Bins
from server.statistics.categories import Categories, count_categories, count_words
from server.statistics.histogram import count_column

BINS = (Bins((0.0,), -1.0, 1.0), Bins((-1.0, 0.5), -2.0, 2.0))
CATEGORIES = Categories(("a", "b"), frozenset({"c"}))


def data(rows: int) -> tuple[np.ndarray, list[str | None]]:
    """Return numbers with gaps and infinities, and words."""
    random = np.random.default_rng(rows)
    numbers = random.standard_normal((rows, 2))
    numbers[random.random((rows, 2)) < 0.1] = np.nan
    numbers[random.random((rows, 2)) < 0.05] = np.inf
    words = [[*"aaabcd", None][place] for place in random.integers(0, 7, rows)]
    return numbers, words


def counted(numbers: np.ndarray, words: list[str | None], chunks: Sequence[int]) -> SideCounter:
    """Count rows in chunks of these sizes and a last one."""
    counter = SideCounter(BINS, 1, len(words))
    start = 0
    for size in [*chunks, len(words)]:
        end = min(len(words), start + size)
        counter.add(Blocks(end - start, numbers[start:end], [words[start:end]]))
        start = end
    counter.finish()
    return counter


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 400), st.lists(st.integers(0, 150), max_size=5))
def test_counts_are_those_of_all_rows_whatever_the_chunks(rows: int, chunks: list[int]) -> None:
    """Numbers, words, and each block as if it were counted alone."""
    numbers, words = data(rows)
    counter = counted(numbers, words, chunks)

    for place, bins in enumerate(BINS):
        expected = count_column(bins, numbers[:, place])
        assert counter.number_counts(place).to_array().tolist() == expected.to_array().tolist()
        blocks = counter.number_blocks(place)
        assert len(blocks) == rows // MIN_BLOCK_ROWS
        for at, block in enumerate(blocks):
            part = numbers[at * MIN_BLOCK_ROWS : (at + 1) * MIN_BLOCK_ROWS, place]
            assert block.tolist() == count_column(bins, part).to_array().tolist()
    assert counter.words[0] == count_words(words)
    whole = count_categories(CATEGORIES, words)
    assert counter.word_counts(0, CATEGORIES).to_array().tolist() == whole.to_array().tolist()
    for at, block in enumerate(counter.category_blocks(0, CATEGORIES)):
        part_words = words[at * MIN_BLOCK_ROWS : (at + 1) * MIN_BLOCK_ROWS]
        expected_block = count_categories(CATEGORIES, part_words)
        assert block.tolist() == expected_block.to_array().tolist()


@pytest.mark.parametrize(
    ("rows", "block_rows"),
    [(0, MIN_BLOCK_ROWS), (1000, MIN_BLOCK_ROWS), (6400, 100), (10**8, MAX_BLOCK_ROWS)],
)
def test_blocks_are_as_long_as_windows_are(rows: int, block_rows: int) -> None:
    """Enough of them where there are few rows, and no longer than they need to be."""
    assert SideCounter(BINS, 0, rows).block_rows == block_rows


def test_of_many_rows_some_blocks_are_kept_evenly() -> None:
    """Memory does not grow with the data."""
    counter = SideCounter((Bins((0.5,)),), 0, 600_000)
    for start in range(0, 600_000, 50_000):
        block = np.full((50_000, 1), float(start >= 300_000))
        counter.add(Blocks(len(block), block, []))

    kept = counter.number_blocks(0)
    assert MAX_BLOCKS / 2 <= len(kept) <= MAX_BLOCKS
    assert kept[: len(kept) // 2, 0].tolist() == [MAX_BLOCK_ROWS] * (len(kept) // 2)
    assert kept[len(kept) // 2 :, 1].tolist() == [MAX_BLOCK_ROWS] * (len(kept) // 2)


def test_a_column_of_ever_new_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words are let go from some number on; its rows are all counted."""
    monkeypatch.setattr(reference_counts, "MAX_WORDS", 100)
    counter = SideCounter((), 1, 1000)
    counter.add(Blocks(1000, np.empty((1000, 0)), [[f"w{row}" for row in range(1000)]]))
    counter.add(Blocks(500, np.empty((500, 0)), [["w1"] * 500]))
    counter.finish()

    assert len(counter.words[0]) == 100
    assert counter.words[0]["w1"] == 501
    counts = counter.word_counts(0, Categories(("w1",), frozenset(), is_open=True))
    assert (counts.rows, counts.other, counts.novel) == (1500, 999, 0)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(np.nan) | st.just(np.inf), max_size=30),
    st.integers(1, 10),
)
def test_moments_are_those_of_the_finite_values(values: list[float], chunk: int) -> None:
    """Whatever the chunks, as NumPy has them for all at once."""
    moments = Moments(1)
    for start in range(0, len(values), chunk):
        moments.add(np.array(values[start : start + chunk]).reshape(-1, 1))
    finite = np.array([value for value in values if np.isfinite(value)])

    assert moments.rows[0] == len(finite)
    if len(finite):
        assert moments.mean[0] == pytest.approx(finite.mean(), abs=1e-6)
        assert moments.deviation()[0] == pytest.approx(finite.std(), abs=1e-3)
    assert bool(moments.is_whole[0]) == all(value.is_integer() for value in finite.tolist())


def test_moments_do_not_lose_small_differences_of_large_numbers() -> None:
    """Times in seconds since 1970, say."""
    moments = Moments(1)
    for start in range(0, 1000, 10):
        moments.add(1.7e9 + np.arange(start, start + 10.0).reshape(-1, 1))

    assert moments.deviation()[0] == pytest.approx(np.arange(1000.0).std())


def test_moments_of_the_largest_numbers_are_infinite_quietly() -> None:
    """There is no deviation of them, and no warning."""
    moments = Moments(1)
    moments.add(np.array([[1e308], [-1e308]]))
    moments.add(np.array([[1e308]]))

    assert not np.isfinite(moments.deviation()[0])
