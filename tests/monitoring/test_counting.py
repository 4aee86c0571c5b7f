"""Rows of a version become one vector of counts, whatever way they come."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.columns import Kind, layout_of
from server.monitoring.counting import CountLayout, RowCounter, blocks_or_none
from server.monitoring.profile import Profile
from server.statistics.categories import count_categories
from server.statistics.histogram import count_column
from tests.support.references import mixed_profile, mixed_rows, profile_of, signature


def _sides(profile: Profile, inputs: Any, outputs: Any) -> Any:
    groups = profile.layout.groups
    return groups[0].blocks(inputs), groups[1].blocks(outputs)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 400), max_size=6))
@settings(deadline=None, max_examples=25)
def test_counts_are_those_of_each_column_alone(seed: int, chunks: list[int]) -> None:
    """However rows are cut, each column's part of the vector is what counting it alone gives."""
    profile = mixed_profile(2000)
    layout = CountLayout(profile)
    counter = RowCounter(layout)
    inputs, outputs = mixed_rows(np.random.default_rng(seed), sum(chunks))
    inputs["amount"][:: max(1, len(inputs["amount"]) // 5)] = np.inf
    start = 0
    for rows in chunks:
        part = slice(start, start + rows)
        start += rows
        counter.add(
            rows,
            *_sides(
                profile,
                {name: array[part] for name, array in inputs.items()},
                {name: array[part] for name, array in outputs.items()},
            ),
        )

    taken = counter.take()

    assert layout.rows(taken.counts) == sum(chunks)
    for place, column in enumerate(layout.columns):
        values = (inputs | outputs)[column.tensor][:, 0]
        known = profile.columns[place]
        if column.kind.is_number:
            expected = count_column(known.bins, values).to_array()  # type: ignore[union-attr]
        else:
            words: Any = values.tolist() if values.dtype == object else values
            expected = count_categories(known.categories, words).to_array()  # type: ignore[union-attr]
        assert taken.counts[layout.slices[place]].tolist() == expected.tolist(), column.name
    assert not counter.take().counts.any()


def test_a_side_that_did_not_come_is_not_counted() -> None:
    """Rows whose inputs were too large for the river count as rows, and in the outputs only."""
    profile = mixed_profile(2000)
    counter = RowCounter(CountLayout(profile))
    layout = CountLayout(profile)
    inputs, outputs = mixed_rows(np.random.default_rng(1), 50)

    counter.add(50, None, _sides(profile, inputs, outputs)[1])
    counts = counter.take().counts

    rows = [int(counts[one.stop - 1]) for one in layout.slices]
    assert rows == [0, 0, 0, 0, 50]
    assert layout.rows(counts) == 50


def test_values_of_another_type_are_counted() -> None:
    """A fraction among whole numbers, and a number among words, are seen; missing ones are not."""
    profile = mixed_profile(2000)
    layout = CountLayout(profile)
    counter = RowCounter(layout)
    inputs, outputs = mixed_rows(np.random.default_rng(1), 6)
    inputs["visits"][:, 0] = [1.0, 2.5, np.nan, np.inf, -0.25, 3.0]
    inputs["colour"][:, 0] = ["red", "17", " ", "nan", "-1e3", "inf"]

    counter.add(6, *_sides(profile, inputs, outputs))
    odd = counter.take().counts[layout.odd]

    by_name = {column.name: int(count) for column, count in zip(layout.columns, odd, strict=True)}
    assert by_name == {"amount": 0, "visits": 2, "colour": 2, "member": 0, "label": 0}


def test_numbers_among_words_are_odd_only_where_there_were_none() -> None:
    """A column whose reference has numbers as words goes on with them."""
    layout = layout_of(signature({"code": ("BYTES", 1)}, {"y": ("FP32", 1)}), {})
    words = np.array([["7"], ["x"]] * 100, object)
    profile = profile_of(layout, {"code": words}, {"y": np.zeros((200, 1), np.float32)})
    counts = CountLayout(profile)
    counter = RowCounter(counts)

    counter.add(200, layout.inputs.blocks({"code": words}), None)

    assert not counter.take().counts[counts.odd].any()


def test_extremes_and_new_words_come_with_the_counts() -> None:
    """Smallest and largest finite values, and the first categories that nobody knows."""
    profile = mixed_profile(2000)
    counter = RowCounter(CountLayout(profile))
    inputs, outputs = mixed_rows(np.random.default_rng(1), 3)
    inputs["amount"][:, 0] = [np.nan, 4.0, 2.0]
    inputs["colour"][:, 0] = ["mauve", "red", "mauve"]

    counter.add(3, *_sides(profile, inputs, outputs))
    taken = counter.take()

    names = [column.name for column in profile.layout.columns]
    amount, colour = names.index("amount"), names.index("colour")
    assert (taken.minima[amount], taken.maxima[amount]) == (2.0, 4.0)
    assert (taken.minima[colour], taken.maxima[colour]) == (np.inf, -np.inf)
    assert taken.novel_words == {colour: {"mauve": 2}}
    assert not counter.take().novel_words


def test_tensors_in_other_shapes_than_declared_are_left_out() -> None:
    """None instead of blocks when tensors are missing, too narrow or of different rows."""
    group = mixed_profile(500).layout.inputs
    inputs, _ = mixed_rows(np.random.default_rng(1), 3)
    tensors = list(inputs.items())

    assert blocks_or_none(group, tensors) is not None
    assert blocks_or_none(group, []) is None
    assert blocks_or_none(group, tensors[:2]) is None
    assert blocks_or_none(group, [("amount", inputs["amount"][:2]), *tensors[1:]]) is None


@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.INTEGER])
def test_an_idle_counter_gives_its_memory_back(kind: Kind) -> None:
    """Rows are held until they are counted, and told; after that, nothing is."""
    layout = layout_of(signature({"x": ("FP32", 1)}, {"y": ("FP32", 1)}), {}, {"x": kind})
    x = np.arange(300, dtype=np.float32).reshape(-1, 1)
    profile = profile_of(layout, {"x": x}, {"y": x})
    counter = RowCounter(CountLayout(profile))

    counter.add(300, layout.inputs.blocks({"x": x}), None)
    assert counter.held_bytes == x.nbytes
    counter.take()
    assert counter.held_bytes == 0
    counter.take()
    counter.add(300, layout.inputs.blocks({"x": x}), None)

    assert counter.take().counts[-1] == 300
