"""Samples of reference rows: which rows, the same whatever the chunks, and bounded."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.columns import Kind, Layout, layout_of
from server.monitoring.sampling import (
    MAX_DISTINCT,
    SAMPLE_ROWS,
    Sample,
    Sampler,
    sample_rows,
    words_of,
)
from server.statistics.bins import probability_bins, reference_bins
from server.statistics.categories import count_words
from server.tensors import DATATYPES, Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, 2)), TensorSpec("word", DATATYPES["BYTES"], (-1,))),
    (TensorSpec("p", DATATYPES["FP32"], (-1, 2)),),
)
LAYOUT = layout_of(SIGNATURE, {}, {"p": Kind.PROBABILITY})


def sampled(rows: int, max_rows: int, chunks: Sequence[int], layout: Layout = LAYOUT) -> Sample:
    """Sample rows that bear their number, in chunks of these sizes and a last one."""
    sampler = Sampler(layout, max_rows)
    start = 0
    for size in [*chunks, rows]:
        end = min(rows, start + size)
        places = np.arange(start, end)[sampler.choose(end - start)]
        words = np.empty(len(places), object)
        words[:] = [f"w{place}" for place in places]
        share = (places / rows).astype(np.float32)
        inputs = layout.inputs.blocks({"x": np.stack([places, -places], 1), "word": words})
        sampler.add(inputs, layout.outputs.blocks({"p": np.stack([1 - share, share], 1)}))
        start = end
    return sampler.sample()


def rows_of(sample: Sample) -> list[float]:
    return list(sample.sides[0].numbers[:, 0].tolist())


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 300), st.integers(1, 40), st.lists(st.integers(0, 100), max_size=6))
def test_a_sample_does_not_depend_on_chunks(rows: int, max_rows: int, chunks: list[int]) -> None:
    """So many rows as there may be, each once, in their order, and all columns of the same row."""
    sample = sampled(rows, max_rows, chunks)
    numbers = rows_of(sample)

    assert numbers == rows_of(sampled(rows, max_rows, []))
    assert len(numbers) == min(rows, max_rows)
    assert numbers == sorted(set(numbers))
    inputs, outputs = sample.sides
    assert inputs.numbers[:, 1].tolist() == [-number for number in numbers]
    assert list(inputs.words[0]) == [f"w{number:.0f}" for number in numbers]
    assert outputs.numbers[:, 2] == pytest.approx(np.array(numbers) / max(1, rows), abs=1e-6)


def test_every_row_has_the_same_chance() -> None:
    """Of 20,000 rows 2,000 are taken, and they lie evenly."""
    numbers = rows_of(sampled(20_000, 2_000, [500] * 40))
    tenths = np.histogram(numbers, 10, (0, 20_000))[0]

    assert tenths.min() > 150
    assert tenths.max() < 250


def test_later_rows_are_wanted_ever_less() -> None:
    """A model is not run on rows that cannot be in the sample."""
    sampler = Sampler(LAYOUT, 100)
    wanted = []
    for _ in range(100):
        places = sampler.choose(1000)
        wanted.append(len(places))
        rows = np.zeros((len(places), 2), np.float32)
        words = np.array(["a"] * len(places), object)
        sampler.add(
            LAYOUT.inputs.blocks({"x": rows, "word": words}), LAYOUT.outputs.blocks({"p": rows})
        )

    assert wanted[0] == 1000
    assert max(wanted[-10:]) < 20


def test_bins_are_those_of_the_sampled_values() -> None:
    """Equal mass for numbers, equal width for probabilities; each side in its own type."""
    sample = sampled(1000, 1000, [])

    assert sample.bins(0)[0] == reference_bins(np.arange(1000), "float32")
    assert sample.bins(1) == (probability_bins("float32"),) * 3


def test_different_values_are_counted_up_to_a_limit() -> None:
    """A column of many is one of many, however many."""
    assert sampled(MAX_DISTINCT, 5000, []).distinct(0) == [MAX_DISTINCT] * 2
    assert sampled(MAX_DISTINCT + 1, 5000, []).distinct(0) == [None] * 2


def test_a_sample_of_no_rows_has_all_columns() -> None:
    """Bins of nothing are one bin."""
    for sample in (sampled(0, 10, []), Sampler(LAYOUT, 10).sample()):
        assert [bins.count for bins in sample.bins(0)] == [1, 1]
        assert sample.distinct(0) == [0, 0]
        assert len(sample.sides[0].words) == 1


def test_wide_models_have_smaller_samples() -> None:
    """Memory is bounded by values, not by rows."""
    wide = TensorSpec("x", DATATYPES["FP32"], (-1, 2000))
    layout = layout_of(Signature((wide,), ()), {"x": [f"f{place}" for place in range(2000)]})

    assert sample_rows(LAYOUT) == SAMPLE_ROWS
    assert sample_rows(layout) == 10_000


def test_words_of_values_are_those_that_are_counted() -> None:
    """Each value is known by the word under which `count_words` counts it."""
    for values in (
        ["a", None, "b" * 10_000, "", "a"],
        np.array([3.0, np.nan, 0.5, np.inf, 3.0]),
        np.array([True, False, True]),
        np.array([2, 2, 7], np.uint8),
        np.array([], np.int64),
    ):
        words = words_of(values)
        assert {word: words.tolist().count(word) for word in words} == count_words(values)
