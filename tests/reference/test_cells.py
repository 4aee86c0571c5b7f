"""Cells as values: nothing is lost, and what does not fit is told with its row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.operator_errors import DataInvalid
from server.reference.cells import joined, to_datatype
from server.tensors import DATATYPES, bf16_to_fp32
from tests.support.reference_rows import text


def cast(values: Any, datatype: str) -> Any:
    return to_datatype(values, DATATYPES[datatype], "age", 100 + np.arange(len(values)))


@pytest.mark.parametrize(
    ("cells", "datatype", "expected"),
    [
        (["1", " 2.5", "-3e2"], "FP32", [1, 2.5, -300]),
        (["", "NA", "n/a", "NaN", "null", "None"], "FP64", [np.nan] * 6),
        (["inf", "-Infinity"], "FP64", [np.inf, -np.inf]),
        (["1e300", "70000"], "FP32", [np.inf, 70000]),
        (["70000"], "FP16", [np.inf]),
        (["7", "+8", "-9", "1.0", "2e3"], "INT64", [7, 8, -9, 1, 2000]),
        (["9223372036854775807"], "INT64", [2**63 - 1]),
        (["18446744073709551615"], "UINT64", [2**64 - 1]),
        (["true", "FALSE", "1", "0"], "BOOL", [True, False, True, False]),
    ],
)
def test_cells_of_text_become_values(cells: list[str], datatype: str, expected: Any) -> None:
    """Of the type that the model takes."""
    found = cast(cells, datatype)

    assert found.dtype == DATATYPES[datatype].numpy
    assert np.array_equal(found, np.array(expected, found.dtype), equal_nan=datatype[0] == "F")


@pytest.mark.parametrize(
    ("cells", "datatype", "words"),
    [
        (["1", "x"], "FP32", "row 102, column 'age': 'x' is no FP32"),
        (["1", "2.5"], "INT64", "row 102, column 'age': '2.5' is no INT64"),
        (["1", ""], "INT64", "row 102, column 'age': an empty cell is no INT64"),
        (["nan"], "INT64", "row 101, column 'age': 'nan' is no INT64"),
        (["inf"], "INT32", "row 101, column 'age': 'inf' is no INT32"),
        (["9" * 5000], "INT64", "row 101, column 'age': '9999"),
        (["128"], "INT8", "row 101, column 'age': '128' is no INT8"),
        (["-1"], "UINT8", "row 101, column 'age': '-1' is no UINT8"),
        (["true", "yes"], "BOOL", "row 102, column 'age': 'yes' is no BOOL"),
        (["true", ""], "BOOL", "row 102, column 'age': an empty cell is no BOOL"),
        ([f"x{'y' * 10**7}"], "FP32", "row 101, column 'age': 'xyyy"),
    ],
)  # fmt: skip
def test_cells_that_do_not_fit_are_named(cells: list[str], datatype: str, words: str) -> None:
    """With row, column and a few of their characters."""
    with pytest.raises(DataInvalid, match=words) as caught:
        cast(cells, datatype)

    assert caught.value.fix
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("values", "datatype", "expected"),
    [
        (np.array([1, 2], np.int8), "FP32", [1, 2]),
        (np.array([True, False]), "FP64", [1, 0]),
        (np.array([1.0, np.nan]), "FP32", [1, np.nan]),
        (np.array([1e300]), "FP32", [np.inf]),
        (np.array([1.0, -2.0]), "INT64", [1, -2]),
        (np.array([3, 4], np.uint64), "INT8", [3, 4]),
        (np.array([0, 1]), "BOOL", [False, True]),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), "INT32", [[1, 2], [3, 4]]),
        (text([None, None]), "FP32", [np.nan, np.nan]),
    ],
)
def test_numbers_become_values(values: Any, datatype: str, expected: Any) -> None:
    """If they are the same in the type that the model takes."""
    found = cast(values, datatype)

    assert found.dtype == DATATYPES[datatype].numpy
    assert np.array_equal(found, np.array(expected, found.dtype), equal_nan=datatype[0] == "F")


@pytest.mark.parametrize(
    ("values", "datatype", "words"),
    [
        (np.array([1.0, 2.5]), "INT64", "row 102, column 'age': '2.5' is no INT64"),
        (np.array([1.0, np.nan]), "INT64", "row 102, column 'age': 'nan' is no INT64"),
        (np.array([300]), "UINT8", "row 101, column 'age': '300' is no UINT8"),
        (np.array([1e30]), "INT64", "row 101, column 'age': '1e\\+30' is no INT64"),
        (np.array([2]), "BOOL", "row 101, column 'age': '2' is no BOOL"),
        (np.array([1]), "BYTES", "column 'age' is a column of int64, and the model takes BYTES"),
        (text(["a"]), "FP32", "column 'age' is a column of text, and the model takes FP32"),
        (np.array([[1.0], [2.5]]), "INT64", "row 102, column 'age': '2.5' is no INT64"),
    ],
)
def test_numbers_that_do_not_fit_are_named(values: Any, datatype: str, words: str) -> None:
    """A retyped column is refused, not guessed at."""
    with pytest.raises(DataInvalid, match=words):
        cast(values, datatype)


def test_text_stays_text() -> None:
    """A null, which no model knows, is an empty text."""
    for values in (["a", "", "12"], text(["a", None, "12"])):
        found = cast(values, "BYTES")
        assert found.dtype == object
        assert found.tolist() == ["a", "", "12"]
    assert cast(text(["a", "b"]).reshape(1, 2), "BYTES").tolist() == [["a", "b"]]


def test_bf16_comes_as_its_bits() -> None:
    """From cells and from numbers."""
    for values in (["1.5", ""], np.array([1.5, np.nan])):
        found = cast(values, "BF16")
        assert found.dtype == np.uint16
        assert np.array_equal(bf16_to_fp32(found), np.array([1.5, np.nan], "f"), equal_nan=True)


@given(st.lists(st.floats(width=32), min_size=1))
def test_a_number_is_the_same_from_a_file_as_from_a_request(values: list[float]) -> None:
    """Counts of both are compared with each other."""
    cells = [repr(value) for value in values]

    assert np.array_equal(cast(cells, "FP32"), np.array(values, np.float32), equal_nan=True)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_no_digit_of_an_integer_is_lost(values: list[int]) -> None:
    """Though some have more than a float holds."""
    assert cast([str(value) for value in values], "INT64").tolist() == values


def test_columns_are_joined_to_rows() -> None:
    """In the shape that the model's input has."""
    columns = [np.array([1, 2]), np.array([3, 4]), np.array([5, 6]), np.array([7, 8])]

    assert joined(columns, 2, (2, 2)).tolist() == [[[1, 3], [5, 7]], [[2, 4], [6, 8]]]
    assert joined(columns[:1], 2, ()).tolist() == [1, 2]
