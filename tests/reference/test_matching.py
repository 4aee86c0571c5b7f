"""Columns and inputs: found by their names, and refused with the difference."""

from typing import Any

import numpy as np
import pytest

from server.operator_errors import DataInvalid
from server.reference.matching import label_values, match
from server.reference.tables import Chunk
from server.tensors import DATATYPES, Signature, TensorSpec
from tests.support.reference_rows import text


def signature(**inputs: tuple[str, tuple[int, ...]]) -> Signature:
    specs = [TensorSpec(name, DATATYPES[kind], shape) for name, (kind, shape) in inputs.items()]
    return Signature(tuple(specs), ())


TABULAR = signature(x=("FP32", (-1, 2)), sex=("BYTES", (-1, 1)), count=("INT64", (-1,)))
FEATURES = {"x": ["age", "bmi"]}


def chunk(**columns: Any) -> Chunk:
    rows = len(next(iter(columns.values())))
    return Chunk(np.arange(rows), columns, 1.0)


def test_features_and_inputs_are_found_by_their_names() -> None:
    """In any order of the file's columns, among those that are there for something else."""
    names = ["id", "count", "bmi", "label", "age", "sex"]
    matching = match(TABULAR, FEATURES, names, ["id", "label"])
    tensors = matching.tensors(
        chunk(age=["1", "2"], bmi=["3", ""], sex=["f", "m"], count=["5", "6"])
    )

    assert np.array_equal(tensors["x"], np.array([[1, 3], [2, np.nan]], "f"), equal_nan=True)
    assert tensors["sex"].tolist() == [["f"], ["m"]]
    assert tensors["count"].tolist() == [5, 6]
    assert list(tensors) == ["x", "sex", "count"]
    assert tensors["x"].dtype == np.float32


def test_values_without_names_are_found_by_their_places() -> None:
    """As the profile calls them."""
    matching = match(signature(x=("FP32", (-1, 2, 1))), {}, ["x[1]", "x[0]"], [])
    tensors = matching.tensors(chunk(**{"x[0]": ["1"], "x[1]": ["2"]}))

    assert tensors["x"].tolist() == [[[1], [2]]]


@pytest.mark.parametrize("shape", [(-1, 2, 3), (-1, -1, 3), (-1, 6)])
def test_a_whole_tensor_may_be_one_column(shape: tuple[int, ...]) -> None:
    """In the shape of the model's rows, or in another one of the same values."""
    rows = np.arange(12).reshape(2, 2, 3)
    matching = match(signature(x=("FP32", shape)), {}, ["x"], [])

    found = matching.tensors(chunk(x=rows))["x"]
    assert found.dtype == np.float32
    assert found.ravel().tolist() == rows.ravel().tolist()
    assert found.shape[1:] == (tuple(shape[1:]) if shape[1] > 0 else (2, 3))


def test_a_whole_tensor_of_other_size_is_refused() -> None:
    """With both shapes."""
    matching = match(signature(x=("FP32", (-1, 5))), {}, ["x"], [])

    with pytest.raises(DataInvalid, match=r"rows of shape \[2, 3\], the model takes \[5\]"):
        matching.tensors(chunk(x=np.zeros((2, 2, 3))))


def test_a_whole_tensor_stands_in_for_named_features() -> None:
    """An archive of the array that the model was trained on has no names."""
    matching = match(signature(x=("FP32", (-1, 2))), FEATURES, ["x"], [])

    assert matching.tensors(chunk(x=np.ones((3, 2))))["x"].shape == (3, 2)


@pytest.mark.parametrize(
    ("names", "others", "words"),
    [
        (["age", "sex", "count"], [], "the data lacks 'bmi'$"),
        (["age", "body mass", "sex", "count"], [],
         "the data lacks 'bmi'; it has 'body mass', unknown to the model"),
        (["age", "bmi", "sex", "count", "id"], [], "the data has 'id', unknown to the model"),
        (["age", "bmi", "sex", "count"], ["label"], "the data lacks 'label'"),
        (["a"], [], "the data lacks 'age', 'bmi', 'sex', 'count'; it has 'a'"),
        ([], [], "the data lacks 'age', 'bmi', 'sex', 'count'"),
        ([f"c{at}" for at in range(9)], [], "'c0', 'c1', 'c2', 'c3', 'c4' and 4 more"),
    ],
)  # fmt: skip
def test_a_difference_is_told(names: list[str], others: list[str], words: str) -> None:
    """What is missing, and what is more; and what can be done about it."""
    with pytest.raises(DataInvalid, match=words) as caught:
        match(TABULAR, FEATURES, names, others)

    assert ("--ignore" in caught.value.fix) == ("unknown" in str(caught.value))


def test_an_input_of_any_size_needs_a_column_of_its_own() -> None:
    """Its values have no names."""
    with pytest.raises(DataInvalid, match="the data lacks 'x'"):
        match(signature(x=("FP32", (-1, -1))), {}, ["y"], [])


def test_a_label_that_is_not_there_is_missing() -> None:
    """An empty cell of a file, or a null."""
    assert label_values(["a", ""]) == ["a", None]
    assert list(label_values(text(["a", None]))) == ["a", None]
    numbers = np.array([1, 2])
    assert label_values(numbers) is numbers
