"""The `data` of a JSON tensor: what it may stand for, and that nothing is coerced silently."""

import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import InvalidInput
from server.protocol import json_data
from server.tensors import TensorSpec
from tests.support.contracts import scalar, spec

INT_RANGES = {
    f"{'U' * (not signed)}INT{bits}": (
        -(1 << bits - 1) if signed else 0,
        (1 << bits - signed) - 1,
    )
    for bits in (8, 16, 32, 64)
    for signed in (False, True)
}
FLOATS = ["FP16", "FP32", "FP64", "BF16"]
NUMBERS = [*INT_RANGES, *FLOATS]
LARGEST = {"FP16": 65504.0, "FP32": 3.4028234663852886e38, "BF16": 3.3895313892515355e38}


def pack(data: Any, datatype: str = "FP32", *shape: int) -> Any:
    """Pack `data` for a tensor of any shape with that many dimensions."""
    described = TensorSpec("x", spec(datatype).datatype, (-1,) * len(shape))
    return json_data.pack(data, described, shape, may_hold_bool=True)


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("1", 'the string "1"'),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ([1], "a list"),
        ({"b64": ""}, "an object"),
    ],
    ids=str,
)
def test_a_number_tensor_takes_numbers_only(datatype: str, value: object, named: str) -> None:
    """What NumPy would coerce is refused; the text names tensor, element, datatype and value."""
    with pytest.raises(InvalidInput) as caught:
        pack([1, value], datatype, 2)

    expected = "a number" if datatype in FLOATS else "an integer"
    assert str(caught.value) == (
        f"input 'x': element 1 of data is {named}; {datatype} expects {expected}"
    )


@pytest.mark.parametrize("datatype", INT_RANGES)
@pytest.mark.parametrize("value", [1.7, 1.0, -0.0, float("nan"), float("inf"), 1e300])
def test_an_integer_tensor_takes_no_fraction(datatype: str, value: float) -> None:
    """Not even 1.0: a client that writes it has another datatype in mind."""
    with pytest.raises(InvalidInput, match=f"is the number .*; {datatype} expects an integer"):
        pack([value], datatype, 1)


@pytest.mark.parametrize(("datatype", "bounds"), INT_RANGES.items())
def test_an_integer_beyond_the_range_is_refused(datatype: str, bounds: tuple[int, int]) -> None:
    """Both bounds are taken, one step beyond either is an error that says what came."""
    lowest, highest = bounds
    code = "<2" + spec(datatype).datatype.struct_code

    assert pack([lowest, highest], datatype, 2) == struct.pack(code, lowest, highest)
    for beyond in (lowest - 1, highest + 1):
        with pytest.raises(InvalidInput) as caught:
            pack([beyond], datatype, 1)
        assert str(caught.value) == (
            f"input 'x': element 0 of data is the number {beyond}; "
            f"{datatype} expects a value in its range; {datatype} cannot hold it"
        )


@pytest.mark.parametrize(("datatype", "largest"), LARGEST.items())
def test_a_float_beyond_the_range_never_becomes_infinity(datatype: str, largest: float) -> None:
    """The largest number is taken, one clearly beyond it is refused, of either sign."""
    assert len(pack([largest, -largest], datatype, 2)) == 2 * spec(datatype).datatype.item_bytes
    for beyond in (largest * 1.01, -largest * 1.01, 1e300, int(largest * 2), 10**400):
        with pytest.raises(InvalidInput, match=f"in its range; {datatype} cannot hold it"):
            pack([0.5, beyond], datatype, 2)


def test_an_integer_too_large_for_a_double_is_refused() -> None:
    """FP64 holds every float, but not every integer of Python."""
    with pytest.raises(InvalidInput, match="FP64 cannot hold it"):
        pack([10**400], "FP64", 1)


@pytest.mark.parametrize("datatype", FLOATS)
def test_a_float_tensor_takes_integers_and_what_is_not_finite(datatype: str) -> None:
    """Integers stand for floats in JSON; NaN and infinity are values of these datatypes."""
    packed = pack([2, float("inf"), float("-inf"), float("nan")], datatype, 4)

    values = np.frombuffer(packed, NUMPY[datatype]).astype(np.float64).tolist()
    assert values[:3] == [2.0, float("inf"), float("-inf")]
    assert np.isnan(values[3])


@pytest.mark.parametrize("value", [1, 0, "true", "false", None, 1.0, [True], {}], ids=repr)
def test_bool_takes_true_and_false_only(value: object) -> None:
    """The string "false" is a true value to Python and NumPy; here it is an error."""
    with pytest.raises(InvalidInput, match=r"element 1 of data is .*; BOOL expects true or false"):
        pack([True, value], "BOOL", 2)

    assert pack([True, False], "BOOL", 2) == b"\1\0"


@pytest.mark.parametrize("value", [1, 1.5, True, None, ["a"], {"b64": "YQ=="}], ids=repr)
def test_bytes_takes_strings_only(value: object) -> None:
    """Numbers are not made text."""
    with pytest.raises(InvalidInput, match=r"element 1 of data is .*; BYTES expects a string"):
        pack(["a", value], "BYTES", 2)

    assert pack(["", "a\0ü"], "BYTES", 2) == ["", "a\0ü"]


def test_an_error_text_stays_short_whatever_was_sent() -> None:
    """A caller cannot make the answer long with a long value."""
    for value, datatype in (("é" * 10_000, "FP32"), (10**300, "INT8"), ("x\n" * 999, "BOOL")):
        with pytest.raises(InvalidInput) as caught:
            pack([value], datatype, 1)
        assert len(str(caught.value)) < 200


def test_bools_are_not_looked_for_where_there_can_be_none() -> None:
    """The caller who knows of no true or false in the request saves the look."""
    assert json_data.pack([1], spec("INT8", 1), (1,), may_hold_bool=False) == b"\1"


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([1, 2, 3, 4, 5, 6], (2, 3)),
        ([[1, 2, 3], [4, 5, 6]], (2, 3)),
        ([[1, 2, 3, 4, 5, 6]], (1, 2, 3)),
        ([[[1, 2, 3], [4, 5, 6]]], (1, 2, 3)),
        ([[[1], [2]], [[3], [4]], [[5], [6]]], (3, 2, 1)),
        ([[1, 2], [3, 4], [5, 6]], (3, 2, 1)),
        ([1, 2, 3, 4, 5, 6], (6,)),
    ],
    ids=str,
)
@pytest.mark.parametrize("datatype", ["FP32", "BF16", "INT8"])
def test_nested_and_flat_data_are_the_same_tensor(
    data: list[Any], shape: tuple[int, ...], datatype: str
) -> None:
    """Row-major order, nested to any level that agrees with the shape."""
    values = np.frombuffer(pack(data, datatype, *shape), NUMPY[datatype])

    assert values.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("data", "shape"),
    [([], (0, 3)), ([], (2, 0)), ([[], []], (2, 0)), ([[[], []], [[], []]], (2, 2, 0))],
    ids=str,
)
def test_a_tensor_may_be_empty(data: list[Any], shape: tuple[int, ...]) -> None:
    """A zero in the shape means no elements, nested or not."""
    assert pack(data, "FP32", *shape) == b""
    assert pack(data, "BYTES", *shape) == []


def test_a_scalar_is_a_list_of_one_element() -> None:
    """A tensor without dimensions has one element, which is not nested."""
    assert json_data.pack([7], scalar("INT8"), (), may_hold_bool=True) == b"\7"
    for wrong, text in (([[7]], "nested deeper than shape \\[\\]"), ([7, 8], "data has 2")):
        with pytest.raises(InvalidInput, match=text):
            json_data.pack(wrong, scalar("INT8"), (), may_hold_bool=True)


@pytest.mark.parametrize(
    ("data", "shape", "text"),
    [
        ([1, 2, 3], (2, 3), "shape [2, 3] holds 6 elements, data has 3"),
        ([], (1, 3), "shape [1, 3] holds 3 elements, data has 0"),
        ([1], (2**40, 2**40), f"shape [{2**40}, {2**40}] holds {2**80} elements, data has 1"),
        ([1], (2**32, 2**32), f"shape [{2**32}, {2**32}] holds {2**64} elements, data has 1"),
        ([[1, 2, 3], [4, 5]], (2, 3), "must hold 3 elements for shape [2, 3], got 2, 3"),
        ([[1, 2], [3, 4]], (2, 3), "lists at level 2 of data must hold 3 elements"),
        ([[1, 2, 3]], (2, 3), "shape [2, 3] holds 6 elements, data has 3"),
        ([[1, 2, 3], 4, 5], (2, 3), "data mixes lists and values at one level"),
        ([[1, 2, [3]], [4, 5, 6]], (2, 3), "element 2 of data is a list"),
        ([[[1, 2, 3]], [[4, 5, 6]]], (2, 3), "lists at level 2 of data must hold 3"),
        ([[[1], [2], [3]], [[4], [5], [6]]], (2, 3), "is nested deeper than shape [2, 3]"),
        ([[1], [2], [3]], (3,), "data is nested deeper than shape [3]"),
        ([[], []], (1, 3), "lists at level 2 of data must hold 3 elements"),
        ([1, [2, 3]], (3,), "shape [3] holds 3 elements, data has 2"),
    ],
    ids=str,
)
def test_data_that_does_not_fit_its_shape_is_refused(
    data: list[Any], shape: tuple[int, ...], text: str
) -> None:
    """Too few, too many, ragged, mixed or too deep: the text says what was expected."""
    with pytest.raises(InvalidInput) as caught:
        pack(data, "FP32", *shape)

    assert str(caught.value).startswith("input 'x': ")
    assert text in str(caught.value)


@pytest.mark.parametrize("data", [None, 1, "abc", {"0": 1}, True], ids=repr)
def test_data_is_a_list(data: object) -> None:
    """A bare value is not taken for a list of one, nor a string for a list of characters."""
    with pytest.raises(InvalidInput, match="input 'x': data must be a list, got "):
        pack(data, "BYTES", 3)


def test_ragged_lists_are_named_with_few_of_their_lengths() -> None:
    """A thousand different lengths do not make a long text."""
    with pytest.raises(InvalidInput, match=r"got 0, 1, 2, 3$"):
        pack([[1] * size for size in range(1000)], "FP32", 1000, 3)


NUMPY = {
    **{name: spec(name).datatype.numpy for name in NUMBERS},
    "BF16": np.dtype(ml_dtypes.bfloat16),
}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_largest_bf16_comes_back_from_its_own_text(sign: float) -> None:
    """Its shortest text names a slightly larger number, which still rounds to it; half way is over.

    The border is half way between the largest BF16 and 2**128, as it is for FP32 in `struct`.
    """
    largest = np.array([[sign * 3.3895313892515355e38]], ml_dtypes.bfloat16)
    [text], bad_rows = json_data.row_texts(largest.view(np.uint16), spec("BF16").datatype)

    assert not bad_rows
    assert pack([float(text)], "BF16", 1) == largest.tobytes()
    with pytest.raises(InvalidInput, match="BF16 cannot hold it"):
        pack([sign * (2.0**128 - 2.0**119)], "BF16", 1)


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(
    data=nested,
    datatype=st.sampled_from([*NUMBERS, "BOOL", "BYTES"]),
    shape=st.lists(st.integers(0, 4), max_size=3).map(tuple),
)
def test_any_data_is_packed_whole_or_refused(
    data: Any, datatype: str, shape: tuple[int, ...]
) -> None:
    """Whatever stands there, the result has exactly the shape's elements, or it is InvalidInput."""
    items = int(np.prod(shape, dtype=np.int64))
    try:
        packed = pack(data, datatype, *shape)
    except InvalidInput:
        return
    size = 1 if datatype == "BYTES" else spec(datatype).datatype.item_bytes
    assert len(packed) == items * size
