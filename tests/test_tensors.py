"""Datatypes, shapes and signatures: what a tensor may be, and that its bits survive."""

import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.tensors import (
    BY_ONNX,
    DATATYPES,
    MAX_RANK,
    Signature,
    TensorSpec,
    bf16_to_fp32,
    file_problem,
    fp32_to_bf16,
    to_array,
)
from tests.support.contracts import scalar, spec

ITEM_BYTES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
    "BF16": 2,
}


def test_the_datatypes_are_those_of_the_protocol() -> None:
    """Each has the size that the binary extension gives it, in little-endian order."""
    assert set(DATATYPES) == {*ITEM_BYTES, "BYTES"}
    for name, size in ITEM_BYTES.items():
        datatype = DATATYPES[name]
        assert datatype.item_bytes == size
        assert datatype.numpy == datatype.numpy.newbyteorder("<")
        assert not datatype.struct_code or struct.calcsize("<" + datatype.struct_code) == size


def test_each_datatype_has_a_name_in_onnx_that_leads_back_to_it() -> None:
    """No two datatypes share an ONNX type."""
    assert {BY_ONNX[datatype.onnx].name for datatype in DATATYPES.values()} == set(DATATYPES)
    assert BY_ONNX["tensor(float)"].name == "FP32"
    assert BY_ONNX["tensor(string)"].is_text


def test_floats_are_the_datatypes_that_know_infinity() -> None:
    """NaN and infinity are looked for in these only."""
    floats = {name for name, datatype in DATATYPES.items() if datatype.is_float}

    assert floats == {"FP16", "FP32", "FP64", "BF16"}


@pytest.mark.parametrize(
    ("shape", "row_items", "row_trail", "has_rows"),
    [
        ((-1,), 1, [], True),
        ((-1, 3), 3, [3], True),
        ((-1, 2, 3), 6, [2, 3], True),
        ((-1, 0), 0, [0], True),
        ((-1, -1), None, None, True),
        ((-1, 2, -1), None, None, True),
        ((4, 3), 3, [3], False),
        ((), 1, None, False),
    ],
)
def test_a_spec_knows_its_rows(
    shape: tuple[int, ...], row_items: int | None, row_trail: list[int] | None, has_rows: bool
) -> None:
    """Rows have a fixed size only where every later dimension is fixed."""
    described = TensorSpec("x", DATATYPES["FP32"], shape)

    assert described.row_items == row_items
    assert described.row_trail == row_trail
    assert described.has_rows == has_rows
    assert (described.pack_row is None) == (row_items is None)


def test_a_row_is_packed_little_endian() -> None:
    """`pack_row` takes one row's numbers; datatypes without a struct code have none."""
    assert spec("FP32", -1, 2).pack_row(1.0, 2.0) == bytes.fromhex("0000803f00000040")
    assert spec("INT16", -1, 2).pack_row(-2, 258) == b"\xfe\xff\x02\x01"
    assert all(spec(name, -1, 2).pack_row is None for name in ("BOOL", "BF16", "BYTES"))


@pytest.mark.parametrize(
    ("wanted", "given_shape"),
    [((-1, 3), [2, 3]), ((-1, 3), [0, 3]), ((-1, -1), [0, 0]), ((4,), [4]), ((), [])],
)
def test_a_fitting_shape_is_taken(wanted: tuple[int, ...], given_shape: list[int]) -> None:
    """-1 stands for any size, zero included; every other size is exact."""
    described = TensorSpec("x", DATATYPES["FP32"], wanted)

    assert described.check_shape(given_shape) == tuple(given_shape)


@pytest.mark.parametrize(
    "given_shape",
    [[2], [2, 3, 1], [], [2, 4], [-1, 3], [2, -3], [2**70, 2], [-(2**70), 3], [0, 0]],
    ids=str,
)
def test_another_shape_is_refused_by_name(given_shape: list[int]) -> None:
    """The text names the tensor, the shape that was expected and the one that came."""
    with pytest.raises(InvalidInput) as caught:
        spec("FP32", -1, 3, name="pixels").check_shape(given_shape)

    text = "input 'pixels': expected shape [-1, 3] (-1 is any size), got "
    assert str(caught.value) == text + str(given_shape)


@pytest.mark.parametrize(
    "given_shape",
    [None, 3, "2,3", {"0": 2}, (2, 3), [2, 3.0], [2, "3"], [True, 3], [None, 3], [[2], 3]],
    ids=str,
)
def test_what_is_no_list_of_integers_is_no_shape(given_shape: object) -> None:
    """In a shape, true is not 1 and 3.0 is not 3."""
    with pytest.raises(InvalidInput, match="input 'x': shape must be a list of at most 32 int"):
        spec().check_shape(given_shape)


def test_more_dimensions_than_numpy_has_are_refused() -> None:
    """The limit is on the request's shape, however the model describes its own."""
    deep = TensorSpec("x", DATATYPES["FP32"], (-1,) * (MAX_RANK + 1))

    with pytest.raises(InvalidInput, match="at most 32"):
        deep.check_shape([1] * (MAX_RANK + 1))
    assert len(spec("FP32", *(-1,) * MAX_RANK).check_shape([1] * MAX_RANK)) == MAX_RANK


specs = st.builds(
    TensorSpec,
    st.text(max_size=8),
    st.sampled_from(list(DATATYPES.values())),
    st.lists(st.integers(-1, 5), max_size=4).map(tuple),
)
signatures = st.builds(
    Signature,
    st.lists(specs, min_size=1, max_size=3).map(tuple),
    st.lists(specs, min_size=1, max_size=3).map(tuple),
)


@settings(deadline=None, max_examples=50)
@given(signatures)
def test_a_signature_survives_its_json(signature: Signature) -> None:
    """What one process writes, another reads: names, datatypes, shapes, order."""
    assert Signature.from_json(signature.to_json()) == signature


def test_a_signature_finds_tensors_by_name() -> None:
    """The index is the place in the model's own order."""
    signature = Signature((spec(name="a"), spec(name="b")), (spec(name="c"),))

    assert signature.input_index == {"a": 0, "b": 1}
    assert signature.output_index == {"c": 0}
    assert signature.to_json()["outputs"] == [{"name": "c", "datatype": "FP32", "shape": [-1, 3]}]


@pytest.mark.parametrize(
    ("inputs", "outputs", "has_rows"),
    [
        ((spec(),), (spec(),), True),
        ((spec(), spec("FP32", 1, 3)), (spec(),), False),
        ((spec(),), (spec(), spec("FP32", 1)), False),
        ((scalar(),), (spec(),), False),
        ((), (spec(),), False),
    ],
)
def test_a_model_has_rows_if_every_tensor_has(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], has_rows: bool
) -> None:
    """One fixed first dimension anywhere, or no input to count rows in, forbids batching."""
    assert Signature(inputs, outputs).has_rows == has_rows


@pytest.mark.parametrize("name", [name for name in DATATYPES if name != "BYTES"])
def test_an_array_is_a_view_of_its_bytes(name: str) -> None:
    """Numbers are not copied, from an odd address neither."""
    datatype = DATATYPES[name]
    content = memoryview(bytearray(b"\0" + b"\1" * 6 * datatype.item_bytes))[1:]

    array = to_array(content, datatype, (2, 3))

    assert array.shape == (2, 3)
    assert array.tobytes() == bytes(content)
    content[0] = 0
    assert array.tobytes() == bytes(content)


def test_text_becomes_an_array_of_str_objects() -> None:
    """NumPy's own fixed-width strings would cut trailing NULs off."""
    array = to_array(["a\0", "", "ü", "d"], DATATYPES["BYTES"], (2, 2))

    assert array.dtype == object
    assert array.tolist() == [["a\0", ""], ["ü", "d"]]
    assert to_array([], DATATYPES["BYTES"], (0, 2)).shape == (0, 2)


@pytest.mark.parametrize("low", [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], ids=hex)
def test_bf16_is_rounded_as_the_format_demands(low: int) -> None:
    """To nearest, ties to even, as another implementation does it; NaN stays NaN.

    All 65,536 high halves of a float32, with low halves below, at and above the middle.
    """
    values = ((np.arange(1 << 16, dtype=np.uint32) << 16) | low).view(np.float32)
    is_nan = np.isnan(values)

    bits = fp32_to_bf16(values)

    theirs = values[~is_nan].astype(ml_dtypes.bfloat16)
    assert np.array_equal(bits[~is_nan], theirs.view(np.uint16))
    assert np.isnan(bf16_to_fp32(bits)[is_nan]).all()


def test_every_bf16_number_survives_being_widened() -> None:
    """All 65,536 bit patterns but signalling NaNs come back as they were."""
    bits = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).reshape(256, 256)
    wide = bf16_to_fp32(bits)

    assert wide.shape == bits.shape
    finite = ~np.isnan(wide)
    assert np.array_equal(fp32_to_bf16(wide)[finite], bits[finite])
    theirs = wide[finite].astype(ml_dtypes.bfloat16)
    assert np.array_equal(theirs.view(np.uint16), bits[finite])


@pytest.mark.parametrize("shape", [[2**62, 0], [0, 2**62], [2**30, 0, 2**30]])
def test_an_empty_tensor_of_a_shape_beyond_all_bounds_is_refused(shape: list[int]) -> None:
    """It holds nothing, but NumPy could not name its shape."""
    spec = TensorSpec("x", DATATYPES["FP32"], (-1,) * len(shape))

    with pytest.raises(InvalidInput, match=r"input 'x': shape .* is too large"):
        spec.check_shape(shape)
    assert spec.check_shape([0] * len(shape)) == (0,) * len(shape)


def test_a_numpy_file_that_cannot_be_read_is_told_without_numpys_arguments(tmp_path: Path) -> None:
    """Whoever wrote the file did not call NumPy's reader, and knows nothing of its flags."""
    objects, rubbish = tmp_path / "a.npy", tmp_path / "b.npy"
    np.save(objects, np.array([{}, None]))
    rubbish.write_bytes(b"rubbish")
    for path, words in (
        (objects, "it holds Python objects"),
        (rubbish, "it is no file of NumPy"),
        (tmp_path / "c.npy", f"[Errno 2] No such file or directory: '{tmp_path / 'c.npy'}'"),
    ):
        with pytest.raises((OSError, ValueError)) as caught:
            np.load(path)
        assert file_problem(caught.value) == words
    assert file_problem(EOFError()) == "EOFError"
