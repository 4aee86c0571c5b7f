"""Taking columns out of rows: every word of a column, and rows that are not what they should be."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.taking import (
    PROJECTED,
    PROJECTIONS,
    SUMMARIES,
    flat_rows,
    reduced,
    take_numbers,
    take_words,
)
from server.tensors import fp32_to_bf16

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_all_values_in_order_are_not_copied() -> None:
    """A tensor of features goes through as it is."""
    assert take_numbers(ROWS, [f"value:{place}" for place in range(4)]) is ROWS


def test_some_values_are_columns_in_the_order_asked_for() -> None:
    """Places may be left out, as those of categories are."""
    assert take_numbers(ROWS, ["value:3", "value:1"]).tolist() == [[3, 1], [7, 5], [11, 9]]


def test_rows_without_the_value_are_refused() -> None:
    """A model that answers in another shape than it declared is named as such."""
    words = "rows of 4 values have no value 4"

    with pytest.raises(ValueError, match=words):
        take_numbers(ROWS, ["value:4"])
    with pytest.raises(ValueError, match=words):
        take_words(ROWS, "value:4")


def test_probabilities_become_their_largest_and_its_lead() -> None:
    """The lead is over the second largest, wherever both stand."""
    rows = np.array([[0.1, 0.7, 0.2], [0.5, 0.0, 0.5]])

    assert take_numbers(rows, ["top1", "margin"]) == pytest.approx(np.array([[0.7, 0.5], [0.5, 0]]))


def test_a_spoilt_row_of_probabilities_is_missing() -> None:
    """NaN is no largest value, no lead and no label."""
    rows = np.array([[0.1, np.nan, 0.2], [0.1, 0.7, 0.2]])

    assert np.isnan(take_numbers(rows, ["top1", "margin"])[0]).all()
    assert take_numbers(rows, ["top1"])[1].tolist() == [0.7]
    labels = take_words(rows, "label")
    assert isinstance(labels, np.ndarray)
    assert np.isnan(labels[0])
    assert labels[1] == 1


def test_a_label_is_the_position_of_the_largest() -> None:
    """Whole numbers, when no row is spoilt."""
    labels = take_words(np.array([[0.1, 0.9], [0.8, 0.2]]), "label")

    assert isinstance(labels, np.ndarray)
    assert labels.dtype.kind == "i"
    assert labels.tolist() == [1, 0]


def test_a_label_of_no_values_is_refused() -> None:
    """A row without values has no largest one, and no two of them."""
    empty = np.empty((2, 0))

    with pytest.raises(ValueError, match="no largest"):
        take_words(empty, "label")
    with pytest.raises(ValueError, match="no lead"):
        take_numbers(empty, ["top1"])


def test_summaries_are_those_of_each_row() -> None:
    """Mean, deviation, extremes, length and share of zeros, as defined."""
    summaries = take_numbers(np.array([[3.0, 0.0, -4.0, 0.0]]), SUMMARIES)[0].tolist()

    assert summaries == pytest.approx([-0.25, np.sqrt(6.1875), -4.0, 3.0, 5.0, 0.5])


def test_summaries_of_large_numbers_do_not_overflow() -> None:
    """Half precision ends at 65504; the length of a row of it may be more."""
    rows = np.full((1, 100), 60000, np.float16)

    assert take_numbers(rows, ["norm", "mean"])[0].tolist() == [600000, 60000]


def test_a_row_of_no_values_has_no_summary() -> None:
    """A tensor of any size may be empty; then all is missing, without a warning."""
    assert np.isnan(take_numbers(np.empty((2, 0), np.float32), SUMMARIES)).all()


def test_projections_are_those_of_all_times() -> None:
    """Profiles outlive programs: the signs are the bits of a hash, and stay the same ones."""
    rows = np.eye(16)
    signs = take_numbers(rows, PROJECTED) * 4.0

    assert set(signs.ravel().tolist()) == {-1.0, 1.0}
    for number in range(PROJECTIONS):
        bits = np.packbits(signs[:, number] > 0)
        assert bits.tobytes() == hashlib.shake_256(f"tidegate {number}".encode()).digest(2)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_projection_keeps_the_size_of_a_row(items: int, seed: int) -> None:
    """Its size is at most the row's length: none overflows that the row itself does not."""
    row = np.random.default_rng(seed).standard_normal((1, items))

    assert np.abs(take_numbers(row, PROJECTED)).max() <= np.linalg.norm(row) * (1 + 1e-9)


def test_infinities_and_gaps_spoil_summaries_quietly() -> None:
    """What cannot be summed is NaN or infinite, and counted as such; nothing warns."""
    rows = np.array([[np.inf, -np.inf, 1.0], [np.nan, 1.0, 2.0]])
    taken = take_numbers(rows, (*SUMMARIES, *PROJECTED))

    assert np.isnan(taken[:, 0]).all()
    assert taken[0, SUMMARIES.index("max")] == np.inf


def test_words_are_values_of_the_row() -> None:
    """Text stays text, null is missing, numbers stay an array."""
    text = np.array([["a", None], ["b", "c"]], dtype=object)

    assert take_words(text, "value:1") == [None, "c"]
    numbers = take_words(ROWS, "value:2")
    assert isinstance(numbers, np.ndarray)
    assert numbers.tolist() == [2, 6, 10]


def test_rows_are_flat() -> None:
    """Whatever trails the first dimension, no rows included; bits of BF16 are widened."""
    assert flat_rows(np.zeros((0, 3, 4)), "FP64").shape == (0, 12)
    assert flat_rows(np.zeros((5,)), "FP64").shape == (5, 1)
    assert flat_rows(fp32_to_bf16(np.array([1.5], np.float32)), "BF16").tolist() == [[1.5]]
    with pytest.raises(ValueError, match="no rows"):
        flat_rows(np.array(1.0), "FP64")


def test_rows_that_were_reduced_have_their_columns_and_no_others() -> None:
    """What was not taken where they came from cannot be taken later."""
    rows = np.arange(24, dtype=np.float32).reshape(2, 12)
    there = reduced(rows, ("max", "mean"))

    assert there.shape == (2,)
    assert flat_rows(there, "FP32") is there
    assert take_numbers(there, ("mean", "max")).tolist() == [[5.5, 11], [17.5, 23]]
    with pytest.raises(ValueError, match="have no"):
        take_numbers(there, ("mean", "std"))
    with pytest.raises(ValueError, match="have no"):
        take_numbers(there, ("value:0",))
    with pytest.raises(ValueError, match="no words"):
        take_words(there, "label")
