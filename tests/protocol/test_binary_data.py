"""The binary tensor extension, byte for byte."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.protocol import binary_data
from server.tensors import DATATYPES, TensorSpec, to_array
from tests.support.contracts import spec

NUMBERS = [name for name in DATATYPES if name != "BYTES"]


def unpack(raw: bytes, datatype: str, *shape: int) -> Any:
    """Unpack raw bytes for a tensor of any shape with that many dimensions."""
    described = TensorSpec("x", DATATYPES[datatype], (-1,) * len(shape))
    return binary_data.unpack(memoryview(raw), described, shape)


def test_the_examples_of_the_protocol_are_read() -> None:
    """FP32 and BYTES as tritonclient puts them on the wire."""
    numbers = unpack(bytes.fromhex("0000803f 00000040"), "FP32", 1, 2)

    assert to_array(numbers, DATATYPES["FP32"], (1, 2)).tolist() == [[1.0, 2.0]]
    assert unpack(bytes.fromhex("02000000 6162 03000000 00c3bc"), "BYTES", 1, 2) == ["ab", "\0ü"]
    assert unpack(b"\1\0\1", "BOOL", 3) == b"\1\0\1"


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize("shape", [(2, 3), (), (1,), (0, 3)], ids=str)
def test_numbers_have_exactly_the_bytes_of_their_shape(
    datatype: str, shape: tuple[int, ...]
) -> None:
    """They are handed on without a copy; one byte less or more is an error with both counts."""
    size = DATATYPES[datatype].item_bytes * int(np.prod(shape, dtype=int))
    raw = memoryview(b"\1" * size)
    described = TensorSpec("x", DATATYPES[datatype], (-1,) * len(shape))

    assert binary_data.unpack(raw, described, shape) is raw
    for wrong in {size + 1, max(size - 1, 0)} - {size}:
        with pytest.raises(InvalidInput) as caught:
            unpack(b"\1" * wrong, datatype, *shape)
        assert str(caught.value) == (
            f"input 'x': expected {size} bytes for {datatype} {list(shape)}, got {wrong}"
        )


def test_a_size_beyond_every_machine_is_counted_right() -> None:
    """The product of the dimensions does not wrap around to what the body has."""
    with pytest.raises(InvalidInput, match=f"expected {2**66} bytes"):
        unpack(b"", "FP32", 2**32, 2**32)


@pytest.mark.parametrize("byte", [2, 127, 255])
def test_a_bool_byte_is_0_or_1(byte: int) -> None:
    """ONNX Runtime does not look, and what a model makes of 2 is anybody's guess."""
    with pytest.raises(InvalidInput, match="input 'x': a BOOL byte must be 0 or 1"):
        unpack(bytes([0, 1, byte]), "BOOL", 3)
    assert unpack(b"", "BOOL", 0) == b""


@pytest.mark.parametrize(
    ("raw", "items", "text"),
    [
        (b"\1\0\0\0a", 2, "expected 2 strings in 5 bytes, found 1 in the first 5"),
        (b"\1\0\0\0a\0\0\0\0", 1, "expected 1 strings in 9 bytes, found 1 in the first 5"),
        (b"\1\0\0\0ab", 1, "expected 1 strings in 6 bytes, found 1 in the first 5"),
        (b"", 1, "expected 1 strings in 0 bytes, found 0 in the first 0"),
        (b"a", 0, "expected 0 strings in 1 bytes, found 0 in the first 0"),
        (b"\2\0\0\0a", 1, "string 0 is cut off at the end of its bytes"),
        (b"\0\0\0\0\1\0\0", 2, "string 1 is cut off at the end of its bytes"),
        (b"\xff\xff\xff\xffa", 1, "string 0 is cut off at the end of its bytes"),
        (b"\0\0\0\0\2\0\0\0\0\xff", 2, "string 1 is not valid UTF-8"),
        (b"\3\0\0\0\xed\xa0\x80", 1, "string 0 is not valid UTF-8"),
    ],
)
def test_strings_that_do_not_add_up_are_refused(raw: bytes, items: int, text: str) -> None:
    """Missing, surplus, cut off or not text: the error says which string and where."""
    with pytest.raises(InvalidInput) as caught:
        unpack(raw, "BYTES", items)

    assert str(caught.value) == f"input 'x': {text}"


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(max_size=8), max_size=6))
def test_every_text_survives(texts: list[str]) -> None:
    """Empty strings, NULs and anything of Unicode; and the layout is the protocol's."""
    array = np.empty(len(texts), object)
    array[:] = texts

    raw = binary_data.pack(array)

    encoded = [text.encode() for text in texts]
    assert raw == b"".join(struct.pack("<I", len(text)) + text for text in encoded)
    assert unpack(raw, "BYTES", len(texts)) == texts


@pytest.mark.parametrize("datatype", NUMBERS)
def test_every_bit_pattern_of_a_number_survives(datatype: str) -> None:
    """Bytes to array to bytes changes nothing, NaN payloads and signed zeros included."""

    @settings(deadline=None, max_examples=40)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        rows, columns = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
        size = rows * columns * DATATYPES[datatype].item_bytes
        raw = data.draw(st.binary(min_size=size, max_size=size))
        if datatype == "BOOL":
            raw = bytes(byte & 1 for byte in raw)
        array = to_array(unpack(raw, datatype, rows, columns), DATATYPES[datatype], (rows, columns))
        assert binary_data.pack(array) == raw

    holds()


def test_rows_cut_from_a_batch_are_packed_row_major() -> None:
    """Also where the array lies in memory column by column."""
    array = np.asfortranarray(np.arange(6, dtype="<i2").reshape(3, 2))

    assert binary_data.pack(array[1:]) == struct.pack("<4h", 2, 3, 4, 5)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=40), st.sampled_from(list(DATATYPES)), st.integers(0, 5))
def test_any_bytes_are_a_whole_tensor_or_refused(raw: bytes, datatype: str, items: int) -> None:
    """Nothing but InvalidInput comes out of bytes that do not fit."""
    try:
        data = unpack(raw, datatype, items)
    except InvalidInput:
        return
    assert to_array(data, DATATYPES[datatype], (items,)).size == items
    if datatype == "BYTES":
        assert binary_data.pack(to_array(data, spec("BYTES").datatype, (items,))) == raw
