"""Any request whatever is decoded or refused with a 4xx: nothing else comes out."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import TidegateError
from server.protocol import v1, v2
from server.protocol.contract import Contract
from server.protocol.errors import error_answer
from server.protocol.infer_request import InferRequest
from server.tensors import to_array
from tests.support.contracts import contract, scalar, spec

CONTRACTS = [
    contract(),
    contract(spec("FP16", -1, -1), outputs=(spec(name="y"), spec(name="z"))),
    contract(scalar("INT8"), is_batched=False),
    contract(spec("BYTES", -1, 1), spec("BOOL", -1, 2, name="flag"), max_request_rows=2),
    contract(spec("BF16", 2, 2), is_batched=False),
    contract(spec("UINT64", -1)),
]
FEATURES = {"x": ["name", "data", "b64"]}

# Words and values that lead deep into the code, among others that do not.
NAMES = ["x", "flag", "y", "z", "name", "datatype", "shape", "data", "b64", "timeout"]
NAMES += ["inputs", "instances", "outputs", "parameters", "id", "binary_data_size", "binary_data"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([2**63, 2**64, -(2**63), 10**30, 10**300, 1e39, 1e-50, 65504.0, 1.5])
    | st.floats()
    | st.sampled_from([*NAMES, "FP32", "INT8", "BYTES", "BOOL", "YQ==", "é", "\ud800", "\0"])
    | st.text(max_size=3)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "x", "x", "flag"]) | values,
        "datatype": st.sampled_from(["FP32", "FP16", "INT8", "BYTES", "BOOL", "BF16", "UINT64"]),
        "shape": st.lists(st.integers(-1, 3), max_size=3) | values,
    },
    optional={
        "data": st.lists(scalars, max_size=6) | values,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 16)}) | values,
    },
)
v2_documents = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3) | values},
    optional={"id": values, "parameters": values, "outputs": values},
)
v1_documents = (
    st.fixed_dictionaries({"instances": st.lists(values, max_size=3) | values})
    | st.fixed_dictionaries({"inputs": values})
    | values
)
Decode = Callable[[bytes, Contract], InferRequest]


def check(decode: Decode, body: bytes, accepted: Contract) -> None:
    """Decode; what is refused must make an answer, what is taken must make arrays."""
    request = outcome(decode, body, accepted)
    if isinstance(request, TidegateError):
        assert 400 <= error_answer(request, "id").status < 500
        assert len(str(request)) < 1000
        return
    assert len(request.tensors) == len(request.shapes) == len(accepted.signature.inputs)
    for data, described, shape in zip(
        request.tensors, accepted.signature.inputs, request.shapes, strict=True
    ):
        described.check_shape(list(shape))
        assert to_array(data, described.datatype, shape).shape == shape
    if accepted.is_batched:
        assert {shape[0] for shape in request.shapes} == {request.rows}


def outcome(decode: Decode, body: bytes, accepted: Contract) -> InferRequest | TidegateError:
    """Decode; return an error that was raised on purpose instead of raising it."""
    try:
        return decode(body, accepted)
    except TidegateError as error:
        return error


def with_v2(json_length: int | None) -> Decode:
    """Decode as V2, with the header that says where the JSON ends, or without."""
    return lambda body, accepted: v2.decode(body, json_length, accepted)


def with_v1(body: bytes, accepted: Contract) -> InferRequest:
    """Decode as V1."""
    return v1.decode(body, accepted, FEATURES)[0]


def encoded(document: Any, *, as_ascii: bool) -> bytes:
    """Write a document, with tokens for NaN and with whatever surrogates it holds."""
    return json.dumps(document, ensure_ascii=as_ascii).encode("utf-8", "surrogatepass")


@settings(deadline=None, max_examples=200)
@given(v2_documents, st.sampled_from(CONTRACTS), st.binary(max_size=16), st.booleans())
def test_any_document_is_a_v2_request_or_refused(
    document: Any, accepted: Contract, tail: bytes, as_ascii: bool
) -> None:
    """With a tail of any bytes, and without the header that tells of it."""
    head = encoded(document, as_ascii=as_ascii)

    check(with_v2(len(head)), head + tail, accepted)
    check(with_v2(None), head, accepted)


@settings(deadline=None, max_examples=200)
@given(v1_documents, st.sampled_from(CONTRACTS), st.booleans())
def test_any_document_is_a_v1_request_or_refused(
    document: Any, accepted: Contract, as_ascii: bool
) -> None:
    """Rows, records, columns, or nothing of the kind."""
    check(with_v1, encoded(document, as_ascii=as_ascii), accepted)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=40), st.integers(0, 50), st.sampled_from(CONTRACTS))
def test_any_bytes_are_a_request_or_refused(
    body: bytes, json_length: int, accepted: Contract
) -> None:
    """Raw, with a head of any length, or as a whole."""
    for length in (None, 0, json_length):
        check(with_v2(length), body, accepted)
    check(with_v1, body, accepted)


SHELLS = [
    "%s",
    '{"inputs":%s}',
    '{"inputs":{"x":%s}}',
    '{"inputs":[%s]}',
    '{"inputs":[{"name":%s}]}',
    '{"inputs":[{"name":"x","datatype":%s}]}',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":%s}]}',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":%s}]}',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"parameters":%s}]}',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[0,3],"data":[]}],"id":%s}',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[0,3],"data":[]}],"parameters":{"a":%s}}',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[0,3],"data":[]}],"outputs":%s}',
    '{"inputs":[{"name":"x","datatype":"FP32","shape":[0,3],"data":[]}],"outputs":[{"name":%s}]}',
    '{"instances":%s}',
    '{"instances":[{"x":%s}]}',
    '{"instances":[{"b64":%s}]}',
    '{"unknown":%s,"inputs":[]}',
]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("depth", [101, 600, 1010, 5000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"x":', "}"), ("[NaN,", "]")])
def test_nesting_of_any_depth_does_no_harm(
    shell: str, depth: int, opening: str, closing: str
) -> None:
    """Lists and objects, wherever they stand, whichever parser reads them."""
    body = (shell % (opening * depth + "0" + closing * depth)).encode()

    check(with_v2(None), body, contract())
    check(with_v1, body, contract())
