"""Rows that are too large for the river: what is sent of them, and what it may cost."""

from typing import Any

import numpy as np
import pytest

from server.dataplane.reducing import MAX_VALUES, SECONDS_PER_VALUE, SHARE, Reducer
from server.engine.batching import Closed
from server.engine.running import FinishedBatch
from server.monitoring.columns import Layout, layout_of
from server.monitoring.taking import PROJECTED, SUMMARIES
from server.statistics.categories import MAX_WORD_CHARACTERS, count_words
from server.tensors import Array, Signature
from tests.support.contracts import spec

ROOM = 512
IMAGES = Signature((spec("FP32", -1, 16, 16, name="image"),), (spec("FP32", -1, 3, name="y"),))
ROWS = np.random.default_rng(2).standard_normal((4, 16, 16)).astype(np.float32)
ANSWERS = np.arange(12, dtype=np.float32).reshape(4, 3)


def batch(*inputs: Array, outputs: Any = ANSWERS, run_seconds: float = 1.0) -> FinishedBatch:
    """Return a batch of these tensors, whose run took so long."""
    return FinishedBatch(
        [], len(inputs[0]), list(inputs), [outputs], None, Closed.EMPTY, 0.0, 0.0, run_seconds
    )


def test_a_large_tensor_is_reduced_to_what_is_watched_of_it() -> None:
    """Columns made of the reduced rows are those made of the rows themselves, bit by bit."""
    inputs, outputs = Reducer(IMAGES, ROOM).reduce(batch(ROWS))

    layout: Layout = layout_of(IMAGES, {})
    whole = layout.inputs.blocks({"image": ROWS})
    there = layout.inputs.blocks({"image": inputs[0]})
    assert inputs[0].dtype.names == (*SUMMARIES, *PROJECTED)
    assert there.rows == whole.rows == 4
    assert there.numbers.tolist() == whole.numbers.tolist()
    assert outputs[0] is ANSWERS


def test_small_tensors_of_a_large_row_stay_as_they_are() -> None:
    """Only what is large is reduced."""
    signature = Signature((*IMAGES.inputs, spec("INT64", -1, name="age")), IMAGES.outputs)
    ages = np.array([3, 4, 5, 6])

    inputs, _ = Reducer(signature, ROOM).reduce(batch(ROWS, ages))

    assert inputs[0].dtype.names
    assert inputs[1] is ages


def test_reducing_costs_a_share_of_the_models_own_time() -> None:
    """A model that is quick beside the size of its rows goes without, now and then, and only so."""
    cost_seconds = ROWS.size * SECONDS_PER_VALUE
    reducer = Reducer(IMAGES, ROOM)
    run_seconds = cost_seconds / SHARE / 4 * 1.001

    sent = [bool(reducer.reduce(batch(ROWS, run_seconds=run_seconds))[0]) for _ in range(12)]

    assert sent == [False, False, False, True] * 3


def test_a_side_that_cannot_be_reduced_is_left_out() -> None:
    """Too many texts or values, or many tensors that are large only together."""
    text = Signature((spec("BYTES", -1, 100, name="t"),), IMAGES.outputs)
    letters = np.array([["seven b"] * 100] * 4, object)
    inputs, outputs = Reducer(text, ROOM).reduce(batch(letters))
    assert (inputs, len(outputs)) == ([], 1)

    rows = MAX_VALUES // 256 + 1
    many = np.zeros((rows, 16, 16), np.float32)
    answers = np.zeros((rows, 3), np.float32)
    inputs, outputs = Reducer(IMAGES, ROOM).reduce(batch(many, outputs=answers, run_seconds=99))
    assert (inputs, len(outputs)) == ([], 1)

    halves = Signature(tuple(spec("FP32", -1, 100, name=name) for name in "ab"), IMAGES.outputs)
    half = np.zeros((4, 100), np.float32)
    assert Reducer(halves, ROOM).reduce(batch(half, half))[0] == []


def test_a_long_text_is_sent_as_the_word_that_it_is_counted_as() -> None:
    """Ten million characters are one novel category, and nothing is held up by them."""
    text = Signature((spec("BYTES", -1, 1, name="t"),), IMAGES.outputs)
    letters = np.array([["a" * 10_000_000], ["b"], ["c"], ["d"]], object)

    (sent,) = Reducer(text, ROOM).reduce(batch(letters))[0]

    assert sent.shape == letters.shape
    assert sent[1:].tolist() == [["b"], ["c"], ["d"]]
    assert len(sent[0, 0]) <= MAX_WORD_CHARACTERS
    assert count_words(sent.ravel().tolist()) == count_words(letters.ravel().tolist())


@pytest.mark.parametrize("datatype", ["FP64", "INT64", "UINT8", "FP16"])
def test_every_type_of_number_is_reduced_alike(datatype: str) -> None:
    """As float64 numbers, whatever they were made of."""
    tensor = spec(datatype, -1, 700, name="v")
    signature = Signature((tensor,), IMAGES.outputs)
    values = np.random.default_rng(1).integers(0, 9, (4, 700)).astype(tensor.datatype.numpy)

    (there,) = Reducer(signature, ROOM).reduce(batch(values))[0]

    assert there["mean"] == pytest.approx(values.astype(np.float64).mean(axis=1))
    assert there["max"].tolist() == values.max(axis=1).tolist()
