"""Answers of the V1 protocol: predictions row by row, or outputs by column."""

import json
from typing import Any

import ml_dtypes
import numpy as np
import orjson
import pytest

from server.errors import NonFiniteOutput
from server.protocol import v1
from server.tensors import DATATYPES, Array, TensorSpec
from tests.support.contracts import spec


def text(*values: Any) -> Array:
    """Return texts as ONNX Runtime does: an array of str objects."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def write(
    arrays: list[Array], specs: list[TensorSpec], *, columnar: bool = False, tokens: bool = False
) -> bytes:
    """Write an answer; nothing in V1 is binary."""
    answer = v1.write(arrays, specs, columnar=columnar, tokens=tokens)
    assert answer.json_length is None
    return answer.body


def test_one_output_is_the_predictions() -> None:
    """Rows nested as the output is."""
    array = np.array([[1, 2], [3, 4]], np.float32)

    assert write([array], [spec(name="y")]) == b'{"predictions":[[1.0,2.0],[3.0,4.0]]}'
    assert write([array], [spec(name="y")], columnar=True) == b'{"outputs":[[1.0,2.0],[3.0,4.0]]}'
    assert write([array[:0]], [spec(name="y")]) == b'{"predictions":[]}'


def test_several_outputs_make_an_object_of_each_row() -> None:
    """Or one object of columns, if the request was columnar."""
    arrays = [np.array([7, 8]), np.array([[0.5, 0.1], [0.25, 0.2]], np.float32)]
    specs = [spec("INT64", -1, name="label"), spec("FP32", -1, 2, name="scores")]

    assert orjson.loads(write(arrays, specs)) == {
        "predictions": [{"label": 7, "scores": [0.5, 0.1]}, {"label": 8, "scores": [0.25, 0.2]}]
    }
    assert orjson.loads(write(arrays, specs, columnar=True)) == {
        "outputs": {"label": [7, 8], "scores": [[0.5, 0.1], [0.25, 0.2]]}
    }


def test_text_keeps_every_character() -> None:
    """Trailing NULs too, in rows as in columns."""
    arrays, specs = [text("a\0", "ü"), text("", '"')], [spec("BYTES", -1, name=n) for n in "pq"]

    assert orjson.loads(write(arrays, specs))["predictions"] == [
        {"p": "a\0", "q": ""},
        {"p": "ü", "q": '"'},
    ]
    assert orjson.loads(write(arrays, specs, columnar=True))["outputs"]["p"] == ["a\0", "ü"]


@pytest.mark.parametrize("name", [name for name in DATATYPES if name != "BYTES"])
@pytest.mark.parametrize("columnar", [False, True])
def test_a_value_is_written_alike_in_rows_and_in_columns(name: str, columnar: bool) -> None:
    """In its shortest form, of every datatype."""
    stored = np.dtype(ml_dtypes.bfloat16) if name == "BF16" else DATATYPES[name].numpy
    values = np.array([1, 0]).astype(stored)
    if DATATYPES[name].is_float:
        values = np.array([1.5, 0.1]).astype(stored)
    array = values.view(DATATYPES[name].numpy)
    specs = [spec(name, -1, name="p"), spec(name, -1, name="q")]

    answer = orjson.loads(write([array, array], specs, columnar=columnar))
    alone = orjson.loads(write([array], specs[:1]))["predictions"]

    found = answer["outputs"]["p"] if columnar else [row["p"] for row in answer["predictions"]]
    assert found == alone
    assert np.array(found).astype(stored).tobytes() == array.tobytes()
    assert len(json.dumps(found[1])) < 14, "not its shortest form"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("columnar", [False, True])
@pytest.mark.parametrize("outputs", [1, 2])
def test_what_is_not_finite_is_an_error_or_a_token(
    value: float, columnar: bool, outputs: int
) -> None:
    """Never null; the error names the output and the way out."""
    arrays = [np.array([1, 2], np.float32), np.array([1, value], np.float32)][-outputs:]
    specs = [spec("FP32", -1, name="p"), spec("FP32", -1, name="q")][-outputs:]

    with pytest.raises(
        NonFiniteOutput, match=r"output 'q' is NaN or infinite.*non_finite = 'token'"
    ):
        write(arrays, specs, columnar=columnar)
    body = write(arrays, specs, columnar=columnar, tokens=True)
    assert b"null" not in body
    assert json.dumps(value).encode() in body


def test_a_null_in_a_text_is_no_missing_number() -> None:
    """The letters n, u, l, l are looked for in numbers only."""
    assert write([text("null")], [spec("BYTES", -1)]) == b'{"predictions":["null"]}'


def test_scalars_are_one_row() -> None:
    """Outputs without rows are answered once."""
    arrays = [np.array(0.1, np.float32), np.array("a", object)]
    specs = [TensorSpec(n, DATATYPES[d], ()) for n, d in (("p", "FP32"), ("q", "BYTES"))]

    assert write(arrays, specs) == b'{"predictions":[{"p":0.1,"q":"a"}]}'
    assert write(arrays[:1], specs[:1], columnar=True) == b'{"outputs":0.1}'


def test_columns_that_lie_across_are_written_in_order() -> None:
    """A transposed array is not written as it lies in memory."""
    array = np.arange(4, dtype=np.float32).reshape(2, 2).T

    assert write([array], [spec(name="y")]) == b'{"predictions":[[0.0,2.0],[1.0,3.0]]}'
