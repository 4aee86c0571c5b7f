"""Requests of the V1 protocol: rows, records, named features, columns and base64."""

import base64
from typing import Any

import orjson
import pytest

from server.errors import BadJson, InvalidInput, InvalidRequest, PayloadTooLarge
from server.protocol import v1
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest
from server.tensors import TensorSpec, to_array
from tests.support.contracts import contract, scalar, spec

MIXED = contract(spec("BYTES", -1, 1, name="name"), spec("INT64", -1, name="count"))
FEATURES = {"x": ["age", "bmi", "dose"]}
NO_FEATURES: dict[str, list[str]] = {}


def decode(
    document: object, accepted: Contract | None = None, features: v1.Features = NO_FEATURES
) -> InferRequest:
    """Decode a predict request."""
    return v1.decode(orjson.dumps(document), accepted or contract(), features)[0]


def values(request: InferRequest, *specs: TensorSpec) -> list[Any]:
    """Return the tensors as nested lists."""
    return [
        to_array(data, spec.datatype, shape).tolist()
        for data, spec, shape in zip(request.tensors, specs, request.shapes, strict=True)
    ]


@pytest.mark.parametrize("member", ["instances", "inputs"])
def test_rows_of_one_input_are_lists(member: str) -> None:
    """The shape is that of the nesting; both words do for a model with one input."""
    request = decode({member: [[1, 2, 3], [4, 5, 6]]})

    assert values(request, spec()) == [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]
    assert request.rows == 2
    assert request.is_plain


def test_the_answer_follows_the_word_of_the_request() -> None:
    """Columns are answered with columns."""
    for member, is_columnar in (("instances", False), ("inputs", True)):
        body = orjson.dumps({member: [[1, 2, 3]]})
        assert v1.decode(body, contract(), NO_FEATURES)[1] is is_columnar


@pytest.mark.parametrize(
    ("described", "rows", "shape"),
    [
        (spec("INT8", -1), [1, 2], (2,)),
        (spec("INT8", -1, 1), [1, 2], (2, 1)),
        (spec("INT8", -1, 1), [[1], [2]], (2, 1)),
        (spec("INT8", -1, 2, 1), [[[1], [2]]], (1, 2, 1)),
        (spec("INT8", -1, -1), [[1, 2]], (1, 2)),
        (spec("INT8", -1, 3), [], (0, 3)),
        (spec("INT8", -1, -1), [], (0, 0)),
        (spec("INT8", -1), [], (0,)),
    ],
    ids=str,
)
def test_the_shape_comes_from_the_nesting(
    described: TensorSpec, rows: list[Any], shape: tuple[int, ...]
) -> None:
    """A single value may stand for a row of one; no rows have the model's own shape."""
    assert decode({"instances": rows}, contract(described)).shapes == (shape,)


def test_rows_may_be_objects_with_the_inputs() -> None:
    """In any order of members; each input gets its column."""
    rows = [{"name": "a", "count": 1}, {"count": 2, "name": ["b"]}]
    with pytest.raises(InvalidInput, match="input 'name'"):
        decode({"instances": rows}, MIXED)

    request = decode({"instances": [rows[0], {"count": 2, "name": "b"}]}, MIXED)

    assert values(request, *MIXED.signature.inputs) == [[["a"], ["b"]], [1, 2]]
    assert request.rows == 2


def test_a_row_may_name_the_features() -> None:
    """The columns of the one input have names, and stand in the order of those."""
    rows = [{"dose": 3, "age": 1, "bmi": 2}, {"age": 4, "bmi": 5, "dose": 6}]

    request = decode({"instances": rows}, contract(), FEATURES)

    assert values(request, spec()) == [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]


def test_named_features_do_not_forbid_the_input_itself() -> None:
    """A row that names the input carries all of its columns."""
    request = decode({"instances": [{"x": [1, 2, 3]}]}, contract(), FEATURES)

    assert values(request, spec()) == [[[1.0, 2.0, 3.0]]]


def test_columns_are_named_by_input() -> None:
    """Columnar input is the tensors themselves."""
    request = decode({"inputs": {"count": [1, 2], "name": ["a", "b"]}}, MIXED)

    assert values(request, *MIXED.signature.inputs) == [[["a"], ["b"]], [1, 2]]
    assert decode({"inputs": {"x": [[1, 2, 3]]}}).shapes == ((1, 3),)


@pytest.mark.parametrize("member", ["instances", "inputs"])
@pytest.mark.parametrize("text", ["", "a\0b", "ü"])
def test_base64_stands_for_bytes(member: str, text: str) -> None:
    """At any depth, alone or beside plain strings."""
    wrapped = {"b64": base64.b64encode(text.encode()).decode()}

    assert decode({member: [wrapped, "p"]}, contract(spec("BYTES", -1))).tensors == [[text, "p"]]
    request = decode({member: [["p", wrapped]]}, contract(spec("BYTES", -1, 2)))
    assert request.tensors == [["p", text]]


def test_base64_stands_for_bytes_in_records_and_columns() -> None:
    """The wrapping object is not taken for a record."""
    wrapped = {"b64": "YQ=="}

    rows = decode({"instances": [{"name": wrapped, "count": 1}]}, MIXED)
    columns = decode({"inputs": {"name": [wrapped], "count": [1]}}, MIXED)
    assert rows.tensors[0] == columns.tensors[0] == ["a"]


@pytest.mark.parametrize("content", ["Y", "YQ", "Y Q==", "_w==", "é", "/w==", "7aCA"])
def test_base64_that_is_not_text_is_refused(content: str) -> None:
    """Wrong alphabet, wrong length, letters beyond ASCII, or bytes that are not UTF-8."""
    with pytest.raises(InvalidInput, match="a 'b64' value is not base64 of UTF-8 text"):
        decode({"instances": [{"b64": content}]}, contract(spec("BYTES", -1)))


@pytest.mark.parametrize("document", [None, [], "x", 3], ids=repr)
def test_a_request_is_an_object(document: object) -> None:
    """Other JSON is JSON, but no request."""
    with pytest.raises(InvalidRequest, match="the request must be a JSON object"):
        decode(document)


def test_what_is_not_json_is_bad_json() -> None:
    """The code tells a client that the trouble is before any field."""
    with pytest.raises(BadJson):
        v1.decode(b'{"instances":', contract(), NO_FEATURES)


@pytest.mark.parametrize("document", [{}, {"instances": [], "inputs": []}, {"rows": []}], ids=repr)
def test_a_request_is_either_rows_or_columns(document: object) -> None:
    """Both, or neither, could not be told apart from a mistake."""
    with pytest.raises(InvalidRequest, match="either 'instances'"):
        decode(document)


@pytest.mark.parametrize("rows", [None, {}, "x", 3], ids=repr)
def test_instances_are_a_list(rows: object) -> None:
    """One row alone is a list of one."""
    with pytest.raises(InvalidRequest, match="'instances' must be a list of rows"):
        decode({"instances": rows})


@pytest.mark.parametrize(
    ("document", "accepted", "text"),
    [
        (
            {"instances": [[1, 2, 3], [4, 5]]},
            None,
            "input 'x': lists at level 2 of data must hold 3",
        ),
        (
            {"instances": [[1, 2]]},
            None,
            "input 'x': expected shape [-1, 3] (-1 is any size), got [1, 2]",
        ),
        ({"instances": [[]]}, None, "input 'x': expected shape [-1, 3]"),
        ({"instances": [1, 2, 3]}, None, "input 'x': expected shape [-1, 3]"),
        ({"instances": [[[1, 2, 3]]]}, None, "input 'x': expected shape [-1, 3]"),
        ({"instances": [[1, 2, True]]}, None, "element 2 of data is true; FP32 expects a number"),
        ({"instances": [[1, "2", 3]]}, None, 'element 1 of data is the string "2"; FP32 expects'),
        ({"instances": [[1, 2, 1e39]]}, None, "FP32 expects a value in its range"),
        ({"instances": [[1, 2, {"b": 1}]]}, None, "element 2 of data is an object"),
        ({"inputs": None}, None, "input 'x': expected shape [-1, 3]"),
        ({"inputs": 5}, contract(scalar(), is_batched=False), "data must be a list"),
        ({"inputs": {"z": [[1, 2, 3]]}}, None, "inputs: input 'x' is missing (1 in all)"),
        ({"inputs": {"x": [[1, 2, 3]], "z": 1}}, None, "inputs: there is no input 'z'"),
        ({"inputs": [1]}, MIXED, "'inputs' must be an object with the model's inputs"),
        ({"inputs": {"b64": "YQ=="}}, MIXED, "'inputs' must be an object with the model's inputs"),
        (
            {"inputs": {"name": ["a", "b"], "count": [1]}},
            MIXED,
            "input 'count' has 1 rows, input 'name'",
        ),
        ({"instances": [[1]]}, MIXED, "must be an object with the inputs 'name', 'count'"),
        ({"instances": [{"name": "a", "count": 1}, [2]]}, MIXED, "instances[1] must be an object"),
        (
            {"instances": [{"name": "a"}]},
            MIXED,
            "instances[0]: input 'count' is missing (1 in all)",
        ),
        ({"instances": [{}]}, MIXED, "instances[0]: input 'name' is missing (2 in all)"),
        (
            {"instances": [{"name": "a", "count": 1, "z" * 99: 0}]},
            MIXED,
            f"instances[0]: there is no input '{'z' * 64}'",
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(
    document: object, accepted: Contract | None, text: str
) -> None:
    """The text names the tensor or the row, what was expected and what came."""
    with pytest.raises(InvalidInput) as caught:
        decode(document, accepted)

    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"age": 1, "bmi": 2}, "instances[1]: feature 'dose' is missing (1 in all)"),
        ({}, "instances[1]: feature 'age' is missing (3 in all)"),
        ({"age": 1, "bmi": 2, "dose": 3, "x1": 4}, "instances[1]: there is no feature 'x1'"),
        ({"age": 1, "bmi": None, "dose": 3}, "element 4 of data is null; FP32 expects a number"),
        ([1, 2, 3], "instances[1] must be an object like the others"),
    ],
    ids=str,
)
def test_features_that_do_not_fit_are_named(row: object, text: str) -> None:
    """The first that is missing with how many there are, or the one too many."""
    with pytest.raises(InvalidInput) as caught:
        decode({"instances": [{"age": 1, "bmi": 2, "dose": 3}, row]}, contract(), FEATURES)

    assert text in str(caught.value)


def test_a_request_has_a_limit_of_rows() -> None:
    """The same one as in V2."""
    accepted = contract(max_request_rows=2)

    assert decode({"instances": [[1, 2, 3]] * 2}, accepted).rows == 2
    with pytest.raises(PayloadTooLarge, match="a request may hold 2 rows, got 3"):
        decode({"instances": [[1, 2, 3]] * 3}, accepted)


@pytest.mark.parametrize("member", ["instances", "inputs"])
@pytest.mark.parametrize("depth", [33, 500, 1000])
def test_nesting_beyond_any_tensor_is_refused(member: str, depth: int) -> None:
    """It is followed no deeper than a tensor has dimensions."""
    body = f'{{"{member}":{"[" * depth}{"]" * depth}}}'.encode()

    with pytest.raises(InvalidInput, match=r"nested in more than 32 lists|expected shape"):
        v1.decode(body, contract(), NO_FEATURES)
