"""Requests of the V2 protocol in JSON: tensors and their rows."""

import json
from typing import Any

import orjson
import pytest

from server.errors import BadJson, InvalidInput, InvalidRequest, PayloadTooLarge
from server.protocol import v2
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest
from server.tensors import Signature, TensorSpec
from tests.support.contracts import contract, scalar, spec

ROW: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
TWO_INPUTS = contract(spec("INT8", -1, 1, name="a"), spec("BYTES", -1, name="b"))
A = {"name": "a", "datatype": "INT8", "shape": [2, 1], "data": [1, 2]}
B = {"name": "b", "datatype": "BYTES", "shape": [2], "data": ["p", "q"]}


def decode(document: object, accepted: Contract | None = None) -> InferRequest:
    """Decode a request that is JSON throughout."""
    return v2.decode(orjson.dumps(document), None, accepted or contract())


def test_a_plain_request_is_its_packed_tensors() -> None:
    """Numbers as bytes, a shape and a count of rows; nothing special is asked for."""
    request = decode({"inputs": [ROW]})

    assert request.tensors == [bytes.fromhex("0000803f0000004000004040")]
    assert request.shapes == ((1, 3),)
    assert (request.rows, request.id, request.outputs) == (1, None, None)
    assert request.is_plain
    assert request.timeout_seconds is None


def test_inputs_are_put_in_the_order_of_the_signature() -> None:
    """A caller may name them in any order."""
    for inputs in ([A, B], [B, A]):
        request = decode({"inputs": inputs}, TWO_INPUTS)
        assert request.tensors == [b"\1\2", ["p", "q"]]
        assert request.shapes == ((2, 1), (2,))
        assert request.rows == 2


@pytest.mark.parametrize("document", [None, [], "x", 3, True], ids=repr)
def test_a_request_is_an_object(document: object) -> None:
    """Other JSON is JSON, but no request."""
    with pytest.raises(InvalidRequest, match="the request must be a JSON object"):
        decode(document)


def test_what_is_not_json_is_bad_json() -> None:
    """The code tells a client that the trouble is before any field."""
    with pytest.raises(BadJson):
        v2.decode(b'{"inputs":', None, contract())


@pytest.mark.parametrize(
    "inputs", [None, {}, "x", 3, [ROW] * 65], ids=lambda value: repr(value)[:9]
)
def test_inputs_are_a_list_of_reasonable_length(inputs: object) -> None:
    """Missing, another kind, or more than any model has."""
    with pytest.raises(InvalidRequest, match="'inputs' must be a list of at most 64 tensors"):
        decode({"inputs": inputs})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "z"}, "the model has no input 'z'; its inputs are 'x'"),
        ({"name": None}, "the model has no input 'null'; its inputs are 'x'"),
        ({"name": ["x"]}, "the model has no input 'a list'; its inputs are 'x'"),
        ({"name": "z" * 500}, f"the model has no input '{'z' * 64}'; its inputs are 'x'"),
        ({"datatype": "FP64"}, "input 'x': the model expects datatype FP32, got FP64"),
        ({"datatype": "fp32"}, "input 'x': the model expects datatype FP32, got fp32"),
        ({"datatype": None}, "input 'x': the model expects datatype FP32, got null"),
        ({"datatype": 1}, "input 'x': the model expects datatype FP32, got the number 1"),
        ({"shape": [1, 4]}, "input 'x': expected shape [-1, 3] (-1 is any size), got [1, 4]"),
        ({"shape": [-1, 3]}, "input 'x': expected shape [-1, 3] (-1 is any size), got [-1, 3]"),
        ({"shape": [3]}, "input 'x': expected shape [-1, 3] (-1 is any size), got [3]"),
        ({"shape": []}, "input 'x': expected shape [-1, 3] (-1 is any size), got []"),
        ({"shape": [True, 3]}, "input 'x': shape must be a list of at most 32 integers"),
        ({"shape": [1.0, 3]}, "input 'x': shape must be a list of at most 32 integers"),
        ({"shape": "1,3"}, "input 'x': shape must be a list of at most 32 integers"),
        ({"shape": None}, "input 'x': shape must be a list of at most 32 integers"),
        ({"shape": [2**40, 3]}, f"shape [{2**40}, 3] holds {3 * 2**40} elements, data has 3"),
        ({"data": None}, "input 'x' has neither data nor binary_data_size"),
        ({"data": [1, 2]}, "input 'x': shape [1, 3] holds 3 elements, data has 2"),
        ({"data": [1, 2, "3"]}, "input 'x': element 2 of data is the string \"3\"; FP32 expects"),
        ({"data": [1, 2, True]}, "input 'x': element 2 of data is true; FP32 expects a number"),
        ({"data": [1, 2, False]}, "input 'x': element 2 of data is false; FP32 expects a number"),
        ({"data": [1, 2, None]}, "input 'x': element 2 of data is null; FP32 expects a number"),
        ({"data": [1, 2, 1e39]}, "element 2 of data is the number 1e+39; FP32 expects a value in"),
    ],
    ids=str,
)
def test_a_tensor_that_does_not_fit_is_refused(changes: dict[str, Any], text: str) -> None:
    """The text names the tensor, what was expected and what came."""
    with pytest.raises(InvalidInput) as caught:
        decode({"inputs": [ROW | changes]})

    assert text in str(caught.value)


@pytest.mark.parametrize("field", ["datatype", "shape", "data"])
def test_a_missing_field_is_an_error_of_that_tensor(field: str) -> None:
    """No default is made up."""
    with pytest.raises(InvalidInput, match="input 'x'"):
        decode({"inputs": [{key: value for key, value in ROW.items() if key != field}]})


@pytest.mark.parametrize("item", [None, "x", 3, ["x"]], ids=repr)
def test_each_input_is_an_object(item: object) -> None:
    """A name alone is not a tensor."""
    with pytest.raises(InvalidRequest, match="each of 'inputs' must be an object"):
        decode({"inputs": [item]})


def test_missing_inputs_are_all_named() -> None:
    """One answer tells everything that is missing."""
    with pytest.raises(InvalidInput, match="the model also needs input 'a', 'b'"):
        decode({"inputs": []}, TWO_INPUTS)
    with pytest.raises(InvalidInput, match="the model also needs input 'b'"):
        decode({"inputs": [A]}, TWO_INPUTS)


def test_an_input_given_twice_is_refused() -> None:
    """Neither of the two is silently the right one, be they empty."""
    empty = ROW | {"shape": [0, 3], "data": []}
    for first in (ROW, empty):
        with pytest.raises(InvalidInput, match="input 'x' is given twice"):
            decode({"inputs": [first, ROW]})


@pytest.mark.parametrize(
    ("described", "shape"),
    [
        (scalar(), [1]),
        (scalar(), [-1]),
        (spec("FP32", -1, -1), [2, -1]),
        (spec("FP32", -1, -1), [0, -1]),
    ],
    ids=str,
)
def test_no_short_cut_lets_a_wrong_shape_through(described: TensorSpec, shape: list[int]) -> None:
    """Scalars and open dimensions are looked at as closely as any other shape."""
    document = {"inputs": [ROW | {"shape": shape, "data": [1] * (0 not in shape)}]}

    with pytest.raises(InvalidInput, match="input 'x': expected shape"):
        decode(document, contract(described, is_batched=False))


def test_a_scalar_has_the_empty_shape() -> None:
    """Its one element stands in a list."""
    accepted = contract(scalar("INT8"), is_batched=False)
    request = decode({"inputs": [ROW | {"datatype": "INT8", "shape": [], "data": [7]}]}, accepted)

    assert (request.tensors, request.shapes, request.rows) == ([b"\7"], ((),), 1)


def test_a_model_without_inputs_may_be_asked() -> None:
    """It has no rows, so a request is one run of it."""
    accepted = Contract(Signature((), (spec(name="y"),)), is_batched=False, max_request_rows=9)

    request = decode({"inputs": []}, accepted)
    assert (request.tensors, request.shapes, request.rows) == ([], (), 1)


def test_zero_rows_are_a_request() -> None:
    """An empty batch is answered with an empty one."""
    request = decode({"inputs": [ROW | {"shape": [0, 3], "data": []}]})

    assert (request.tensors, request.rows) == ([b""], 0)


def test_inputs_with_other_numbers_of_rows_are_refused() -> None:
    """Rows belong together across inputs."""
    with pytest.raises(InvalidInput, match="input 'b' has 1 rows, input 'a' has 2"):
        decode({"inputs": [A, B | {"shape": [1], "data": ["p"]}]}, TWO_INPUTS)


def test_a_request_has_a_limit_of_rows() -> None:
    """The limit itself is taken; beyond it, the text says what to do."""
    accepted = contract(spec("INT8", -1), max_request_rows=5)

    def rows(count: int) -> dict[str, Any]:
        return {"inputs": [{**A, "name": "x", "shape": [count], "data": [1] * count}]}

    assert decode(rows(5), accepted).rows == 5
    with pytest.raises(PayloadTooLarge, match="a request may hold 5 rows, got 6; send several"):
        decode(rows(6), accepted)


def test_without_batching_a_request_is_one_row_of_work() -> None:
    """The first dimension means nothing there, and may differ between inputs."""
    accepted = contract(*TWO_INPUTS.signature.inputs, is_batched=False, max_request_rows=1)

    assert decode({"inputs": [A, B | {"shape": [1], "data": ["p"]}]}, accepted).rows == 1


ONE_ROW: dict[TensorSpec, list[list[Any]]] = {
    spec("FP32", -1, 3): [
        [1, 2, 3],
        [1, 2.5, True],
        [1, None, 3],
        [1, 2, 1e39],
        [float("nan")] * 3,
    ],
    spec("INT8", -1): [[7], [128], [False], [1.0], ["1"], [[7]], [1, 2], []],
    spec("FP16", -1, 1): [[1], [True], [65520], [[1]], [2**64]],
    spec("UINT64", -1, 2): [[0, 2**64 - 1], [[1, 2]], [1, -1], [1, 2, 3]],
}
ONE_ROW_SHAPES: list[Any] = [[1, 3], [1], [1, 1], [1, 2], [True, 3], [True], [1, 3.0], [1, True]]
ONE_ROW_SHAPES += [[1.0], [1.0, 3], [0, 3], [2, 3], [-1, 3], [1, 3, 1], [], None, "13", {"1": 3}]


@pytest.mark.parametrize("described", ONE_ROW, ids=str)
@pytest.mark.parametrize("shape", ONE_ROW_SHAPES, ids=str)
def test_the_short_way_for_one_row_reads_what_the_general_way_reads(
    described: TensorSpec, shape: Any
) -> None:
    """Parameters keep a request off the short way, and change nothing else."""
    for data in ONE_ROW[described]:
        tensor = ROW | {"datatype": described.datatype.name, "shape": shape, "data": data}
        outcomes: list[InferRequest | str] = []
        for one in (tensor, tensor | {"parameters": {}}):
            body = json.dumps({"inputs": [one]}).encode()
            try:
                outcomes.append(v2.decode(body, None, contract(described)))
            except InvalidInput as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
