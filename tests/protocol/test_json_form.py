"""JSON requests in a form that was read before say what they would say if it was new."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import TidegateError
from server.protocol import v2
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest
from tests.support.contracts import contract, spec


def body(data: Any, **more: Any) -> bytes:
    """Return a request of one row for `x`; `more` are members beside its inputs."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": data}
    return json.dumps({"inputs": [tensor], **more}).encode()


def decoded(text: bytes, known: Contract) -> InferRequest | tuple[str, str]:
    """Return the request, or the error's code and text."""
    try:
        return v2.decode(text, None, known)
    except TidegateError as error:
        return error.code, str(error)


def forms(known: Contract) -> int:
    """Return how many forms are kept."""
    assert known.forms is not None
    return len(known.forms._forms)


ROW = b'{"name":"x","datatype":"FP32","shape":[1,3],"data":%b}'
TEXTS = [
    b'{"inputs":[%b]}' % ROW,
    b'{"inputs":[%b],"parameters":{"timeout":5,"priority":3}}' % ROW,
    b'{"parameters":{"binary_data_output":true},"inputs":[%b]}' % ROW,
    b'{"inputs":[%b],"outputs":[{"name":"y"}]}' % ROW,
    b'{"inputs":[%b],"id":"a"}' % ROW,
    b'{"inputs":[{"data":%b,"name":"x","datatype":"FP32","shape":[1,3]}]}',
    b'{ "inputs" : [ { "shape": [1, 3],\n"data" :  %b , "name":"x","datatype":"FP32"} ] }',
    b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[7,8,9],"data":%b}]}',
    b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":%b,"data":[7,8,9]}]}',
    b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":%b}],"inputs":[]}',
    b'{"more":{"data":%b},"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[7,8,9]}]}',
    b'{"inputs":[{"name":"x","datatype":"FP32","shape":%b,"data":[7,8,9]}]}',
    b'{"inputs":[{"name":"x","datatype":"FP64","shape":[1,3],"data":%b}]}',
    b'{"inputs":[{"name":"data","datatype":"FP32","shape":[1,3],"data":%b}]}',
    b'{"inputs":[%b]' % ROW,
]
DATA = st.lists(
    st.sampled_from([1, -2.5, 1e30, 1e39, 10**25, True, None, "1", [1], {}]) | st.integers(),
    min_size=2,
    max_size=4,
).map(lambda data: json.dumps(data).encode()) | st.sampled_from(
    [
        b"[1,2,3]",
        b"[ 1 , 2.5e3,3 ]",
        b"[[1,2,3]]",
        b"[NaN,1,-Infinity]",
        b"[1,false,3]",
        b'[1,2,3],"data":[4,5,6]',
        b"[1,2,3",
        b"[1,2,]",
        b"[1,2,3]]",
        b"[1,2,3]}",
        b"[]",
        b"7",
    ]
)


@given(st.lists(st.tuples(st.sampled_from(TEXTS), DATA), max_size=12))
def test_a_known_form_reads_as_if_it_was_new(requests: list[tuple[bytes, bytes]]) -> None:
    """Whatever came before, a request or its error is what a fresh contract makes of it."""
    known = contract(spec("FP32", -1, 3))

    for text, data in [(TEXTS[0], b"[1,2,3]"), *requests]:
        whole = text % data
        assert decoded(whole, known) == decoded(whole, contract(spec("FP32", -1, 3)))


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT64", "UINT64"])
def test_numbers_are_those_of_the_datatype(datatype: str) -> None:
    """Of each datatype that has plain requests, a second one is read from its numbers alone."""
    known = contract(spec(datatype, -1, 3))
    text = b'{"inputs":[{"name":"x","datatype":"%b","shape":[1,3],"data":%b}]}'
    v2.decode(text % (datatype.encode(), b"[1,2,3]"), None, known)
    assert forms(known) == 1

    request = v2.decode(text % (datatype.encode(), b"[4,5,100]"), None, known)

    data = request.tensors[0]
    assert not isinstance(data, list)
    assert np.frombuffer(data, spec(datatype).datatype.numpy).tolist() == [4, 5, 100]
    assert forms(known) == 1


def test_what_a_form_says_beside_its_numbers_is_said_again() -> None:
    """Outputs, time and priority are those of the text, and what befell the first does not show."""
    known = contract(spec("FP32", -1, 3))
    more: dict[str, Any] = {"parameters": {"timeout": 5, "priority": 3, "binary_data_output": True}}
    first = v2.decode(body([1, 2, 3], **more), None, known)
    first.warnings, first.is_binary = ("odd",), False

    again = v2.decode(body([4, 5, 6], **more), None, known)

    assert again == v2.decode(body([4, 5, 6], **more), None, contract(spec("FP32", -1, 3)))
    assert again.is_binary


def test_only_forms_that_may_come_again_are_kept() -> None:
    """Not one with an id, with other text for each request, of several rows, or far too long."""
    known = contract(spec("FP32", -1, 3))
    rows = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}
    v2.decode(body([1, 2, 3], id="a"), None, known)
    v2.decode(body([[1, 2, 3]]), None, known)
    v2.decode(body([1, 2, 3], parameters={"note": "x" * 2000}), None, known)
    v2.decode(json.dumps({"inputs": [rows]}).encode(), None, known)
    assert forms(known) == 0

    for number in range(100):
        text = body([1, 2, 3], parameters={"note": number})
        v2.decode(b'{"parameters":{"note":%d},' % number + body([1, 2, 3])[1:], None, known)
        assert v2.decode(text, None, known).tensors == v2.decode(text, None, known).tensors

    assert forms(known) == 64


def test_models_without_plain_requests_keep_no_forms() -> None:
    """Text, rows of open size and several inputs are read as they come."""
    assert contract(spec("BYTES", -1, 3)).forms is None
    assert contract(spec("FP32", -1, -1)).forms is None
    assert contract(spec("FP32", -1, 3), spec("FP32", -1, name="z")).forms is None
