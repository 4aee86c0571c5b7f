"""V2 requests with binary tensors: how head, tail and announced sizes must add up."""

import struct
from typing import Any

import orjson
import pytest

from server.errors import BadBinary, BadJson, InvalidInput, InvalidRequest, PayloadTooLarge
from server.protocol import v2
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest
from server.tensors import TensorSpec
from tests.support.contracts import contract, scalar, spec

# What tritonclient 2.73 sends, to the byte.
TRITON_HEAD = (
    b'{"id":"r1","inputs":[{"name":"X","shape":[1,2],"datatype":"FP32",'
    b'"parameters":{"binary_data_size":8}}],"parameters":{"binary_data_output":true}}'
)
TWO_FLOATS = bytes.fromhex("0000803f00000040")
TEXT_AND_NUMBERS = contract(spec("BYTES", -1, name="t"), spec("INT16", -1, 2, name="n"))


def binary(name: str, datatype: str, shape: list[int], size: object) -> dict[str, Any]:
    """Describe an input whose data is in the tail."""
    return {
        "name": name,
        "datatype": datatype,
        "shape": shape,
        "parameters": {"binary_data_size": size},
    }


def decode(inputs: list[Any], tail: bytes, accepted: Contract, **members: object) -> InferRequest:
    """Decode a request of a JSON head and a tail, with the header that says where the head ends."""
    head = orjson.dumps({"inputs": inputs, **members})
    return v2.decode(head + tail, len(head), accepted)


def as_bytes(request: InferRequest) -> list[Any]:
    """Return the tensors with views made bytes."""
    return [data if isinstance(data, list) else bytes(data) for data in request.tensors]


def test_what_tritonclient_sends_is_read() -> None:
    """The example of the reference, byte for byte."""
    assert len(TRITON_HEAD) == 144
    accepted = contract(spec("FP32", -1, 2, name="X"))

    request = v2.decode(TRITON_HEAD + TWO_FLOATS, 144, accepted)

    assert as_bytes(request) == [TWO_FLOATS]
    assert (request.rows, request.id, request.outputs) == (1, "r1", ((0, True),))


def test_bytes_are_read_as_the_reference_shows() -> None:
    """Each string with its length before it; its example of other bytes than text is refused."""
    accepted = contract(spec("BYTES", -1, 2))
    inputs = [binary("x", "BYTES", [1, 2], 12)]

    text = bytes.fromhex("02000000 6162 02000000 007f")
    assert decode(inputs, text, accepted).tensors == [["ab", "\0\x7f"]]
    with pytest.raises(InvalidInput, match="string 1 is not valid UTF-8"):
        decode(inputs, bytes.fromhex("02000000 6162 02000000 00ff"), accepted)


def test_the_tail_follows_the_order_of_the_request() -> None:
    """Not that of the signature: sizes are taken off the tail as inputs are listed."""
    text, numbers = b"\1\0\0\0a", struct.pack("<2h", 1, -1)
    inputs = [binary("n", "INT16", [1, 2], 4), binary("t", "BYTES", [1], 5)]

    assert as_bytes(decode(inputs, numbers + text, TEXT_AND_NUMBERS)) == [["a"], numbers]
    assert as_bytes(decode(inputs[::-1], text + numbers, TEXT_AND_NUMBERS)) == [["a"], numbers]


def test_json_and_binary_inputs_may_be_mixed() -> None:
    """An input without binary_data_size takes nothing off the tail."""
    in_json = {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    inputs = [in_json, binary("n", "INT16", [1, 2], 4)]

    assert as_bytes(decode(inputs, b"\1\0\2\0", TEXT_AND_NUMBERS)) == [["a"], b"\1\0\2\0"]


@pytest.mark.parametrize("word", [b"true", b"false"])
def test_words_in_the_tail_do_not_disturb_json_inputs(word: bytes) -> None:
    """Raw bytes that spell true are not a true in the data."""
    in_json = {"name": "n", "datatype": "INT16", "shape": [1, 2], "data": [1, 2]}
    tail = struct.pack("<I", len(word)) + word

    request = decode([in_json, binary("t", "BYTES", [1], len(tail))], tail, TEXT_AND_NUMBERS)

    assert as_bytes(request) == [[word.decode()], b"\1\0\2\0"]


def test_an_empty_tensor_announces_no_bytes() -> None:
    """A size of 0 is a size; the header may say that everything is JSON."""
    request = decode([binary("x", "FP32", [0, 3], 0)], b"", contract())

    assert (as_bytes(request), request.rows) == ([b""], 0)


@pytest.mark.parametrize(
    ("tail", "text"),
    [
        (b"\0" * 12, None),
        (b"", "input 'x': expected 12 binary bytes, 0 are left in the body"),
        (b"\0" * 11, "input 'x': expected 12 binary bytes, 11 are left in the body"),
        (b"\0" * 13, "the body has 1 bytes that belong to no input"),
        (b"\0" * 24, "the body has 12 bytes that belong to no input"),
    ],
)
def test_the_tail_has_exactly_the_announced_bytes(tail: bytes, text: str | None) -> None:
    """Truncated or surplus, the text counts the bytes."""
    inputs = [binary("x", "FP32", [1, 3], 12)]
    if text is None:
        assert as_bytes(decode(inputs, tail, contract())) == [tail]
        return
    with pytest.raises(BadBinary) as caught:
        decode(inputs, tail, contract())
    assert str(caught.value) == text


def test_the_first_of_two_tensors_cannot_take_from_the_second() -> None:
    """What is left counts, not the length of the whole tail."""
    inputs = [binary("n", "INT16", [1, 2], 4), binary("t", "BYTES", [1], 5)]

    with pytest.raises(BadBinary, match="input 't': expected 5 binary bytes, 4 are left"):
        decode(inputs, b"\0" * 8, TEXT_AND_NUMBERS)


def test_the_announced_size_must_be_that_of_the_shape() -> None:
    """Even where the tail has it."""
    with pytest.raises(InvalidInput, match=r"expected 12 bytes for FP32 \[1, 3\], got 16"):
        decode([binary("x", "FP32", [1, 3], 16)], b"\0" * 16, contract())


def test_a_bool_tail_is_looked_at() -> None:
    """Binary data is no way around the datatypes."""
    with pytest.raises(InvalidInput, match="a BOOL byte must be 0 or 1"):
        decode([binary("x", "BOOL", [1, 3], 3)], b"\0\1\2", contract(spec("BOOL")))


@pytest.mark.parametrize("size", [-1, 1.0, "12", True, 2**63 + 0.5], ids=repr)
def test_the_announced_size_is_a_whole_number(size: object) -> None:
    """A negative one would reach back into what another input has taken."""
    with pytest.raises(BadBinary, match="input 'x': binary_data_size must be a whole number"):
        decode([binary("x", "FP32", [1, 3], size)], b"\0" * 12, contract())


def test_a_size_beyond_any_body_is_refused() -> None:
    """It is compared, not allocated."""
    with pytest.raises(BadBinary, match=f"expected {2**63} binary bytes, 12 are left"):
        decode([binary("x", "FP32", [1, 3], 2**63)], b"\0" * 12, contract())


def test_data_stands_in_one_place() -> None:
    """In both, it could not be told which is meant; in neither, there is none."""
    both = binary("x", "FP32", [1, 3], 12) | {"data": [1, 2, 3]}
    with pytest.raises(InvalidInput, match="input 'x' has both data and binary_data_size"):
        decode([both], b"\0" * 12, contract())

    neither = binary("x", "FP32", [1, 3], 12) | {"parameters": {}}
    with pytest.raises(InvalidInput, match="input 'x' has neither data nor binary_data_size"):
        decode([neither], b"", contract())


def test_a_binary_input_without_the_header_has_no_tail() -> None:
    """Without Inference-Header-Content-Length the whole body is JSON."""
    head = orjson.dumps({"inputs": [binary("x", "FP32", [1, 3], 12)]})

    with pytest.raises(BadBinary, match="expected 12 binary bytes, 0 are left"):
        v2.decode(head, None, contract())
    with pytest.raises(BadJson):
        v2.decode(head + b"\0" * 12, None, contract())


def test_the_head_lies_within_the_body() -> None:
    """The header is compared with the body as it is after decompression."""
    body = orjson.dumps({"inputs": [{**binary("x", "FP32", [0, 3], 0)}]})

    assert v2.decode(body, len(body), contract()).rows == 0
    with pytest.raises(BadBinary) as caught:
        v2.decode(body, len(body) + 1, contract())
    assert str(caught.value) == (
        f"Inference-Header-Content-Length is {len(body) + 1}, the body has {len(body)} bytes"
    )
    with pytest.raises(BadJson):
        v2.decode(body, len(body) - 1, contract())


@pytest.mark.parametrize(
    ("described", "is_batched", "body", "shape"),
    [
        (spec("FP32", -1, 3), True, b"\0" * 12, (1, 3)),
        (spec("FP32", -1, -1), True, b"\0" * 20, (1, 5)),
        (spec("FP32", -1, 2, -1), True, b"\0" * 24, (1, 2, 3)),
        (spec("INT8", -1), True, b"\7", (1,)),
        (spec("FP32", -1, 3), False, b"\0" * 24, (2, 3)),
        (spec("FP16", 2, 2), False, b"\0" * 8, (2, 2)),
        (spec("FP32", -1, 3), False, b"", (0, 3)),
        (scalar("FP64"), False, b"\0" * 8, ()),
    ],
    ids=str,
)
def test_a_raw_request_is_the_bytes_of_one_tensor(
    described: TensorSpec, is_batched: bool, body: bytes, shape: tuple[int, ...]
) -> None:
    """A header of 0: one row of the one input, its one open dimension worked out, all binary."""
    request = v2.decode(body, 0, contract(described, is_batched=is_batched))

    assert as_bytes(request) == [body]
    assert (request.shapes, request.rows) == ((shape,), 1)
    assert request.outputs == ((0, True),)
    assert not request.is_plain


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (-1, -1)], ids=str)
@pytest.mark.parametrize("text", ["", "ab\0ü"])
def test_a_raw_string_is_the_body_itself(shape: tuple[int, ...], text: str) -> None:
    """Without the length that binary strings have elsewhere."""
    request = v2.decode(text.encode(), 0, contract(spec("BYTES", *shape)))

    assert request.tensors == [[text]]
    assert request.shapes == ((1,) * len(shape),)


@pytest.mark.parametrize(
    ("accepted", "body", "error", "text"),
    [
        (TEXT_AND_NUMBERS, b"ab", BadBinary, "needs a model with one input, this one has 2"),
        (contract(spec("FP32", -1, -1, -1)), b"", BadBinary, r"shape \[-1, -1, -1\] is too open"),
        (contract(spec("FP32", -1, -1), is_batched=False), b"", BadBinary, "too open for raw"),
        (contract(spec("BYTES", -1, 2)), b"ab", BadBinary, "too open for raw bytes"),
        (contract(), b"\0" * 11, InvalidInput, r"expected 12 bytes for FP32 \[1, 3\], got 11"),
        (contract(), b"\0" * 24, InvalidInput, r"expected 12 bytes for FP32 \[1, 3\], got 24"),
        (contract(spec("FP32", -1, -1)), b"\0" * 5, InvalidInput, "expected 4 bytes .* got 5"),
        (contract(spec("FP32", -1, 0, -1)), b"\0", InvalidInput, "expected 0 bytes .* got 1"),
        (contract(spec("BYTES", -1)), b"\xff", InvalidInput, "string 0 is not valid UTF-8"),
        (contract(spec("BOOL")), b"\0\1\2", InvalidInput, "a BOOL byte must be 0 or 1"),
        (contract(max_request_rows=0), b"\0" * 12, PayloadTooLarge, "may hold 0 rows, got 1"),
    ],
    ids=str,
)
def test_a_raw_request_that_does_not_fit_is_refused(
    accepted: Contract, body: bytes, error: type[Exception], text: str
) -> None:
    """The model must leave no doubt about the shape, and the bytes must fill it."""
    with pytest.raises(error, match=text):
        v2.decode(body, 0, accepted)


def test_reserved_parameters_are_refused_beside_a_size() -> None:
    """A size does not hide what stands beside it."""
    item = binary("x", "FP32", [1, 3], 12)
    item["parameters"]["triton_secret"] = 1

    with pytest.raises(InvalidRequest, match="input 'x': parameter 'triton_secret' is reserved"):
        decode([item], b"\0" * 12, contract())
