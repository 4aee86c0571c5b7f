"""JSON text of the protocol: documents read, arrays written, and every bit of them kept."""

import json
from typing import Any

import ml_dtypes
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from server.errors import BadJson
from server.protocol import json_data
from server.tensors import DATATYPES, Array, Data, to_array
from tests.support.contracts import spec

NUMPY = {name: kind.numpy for name, kind in DATATYPES.items() if name != "BYTES"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1,]",
        b"nul",
        b'{"a":1}{"a":1}',
        b"\xff\xfe",
        b'"\xed\xa0\x80"',
        b"[1e400]",
        b"[01]",
        b"[.5]",
        b"[" * 2000,
        b"[" * 2000 + b"]" * 2000,
        b"{'a':1}",
        b"\xef\xbb\xbf{}",
    ],
)
@pytest.mark.parametrize("token", [b"", b"NaN", b"Infinity"])
def test_what_is_not_json_is_refused(body: bytes, token: bytes) -> None:
    """Also where the tokens NaN or Infinity have the other parser read it."""
    with pytest.raises(BadJson, match="the body is not valid JSON: "):
        json_data.load_json(body + token)
    with pytest.raises(BadJson):
        json_data.load_json(memoryview(b"[" + token + b"," * bool(token) + body + b"]"))


def test_nothing_is_not_json() -> None:
    """An empty body says nothing."""
    with pytest.raises(BadJson):
        json_data.load_json(b"")


def test_the_tokens_for_what_is_not_finite_are_read() -> None:
    """NaN, Infinity and -Infinity, as Python's json and Triton's client write them."""
    values = json_data.load_json(b'{"data":[NaN,Infinity,-Infinity,1,2.5,"NaN"]}')["data"]

    assert np.isnan(values[0])
    assert values[1:] == [float("inf"), float("-inf"), 1, 2.5, "NaN"]


@pytest.mark.parametrize("token", [b"nan", b"-NaN", b"+Infinity", b"Inf", b"-inf", b"infinity"])
def test_other_spellings_are_not_read(token: bytes) -> None:
    """There is one way to write each of them."""
    with pytest.raises(BadJson):
        json_data.load_json(b"[NaN," + token + b"]")


@pytest.mark.parametrize(
    "text",
    ["1e400", "-1e400", "1" + "0" * 400, "9" * 5000],
    ids=["float", "negative", "integer", "long integer"],
)
@pytest.mark.parametrize("beside", ["1", "NaN"])
def test_a_number_beyond_every_float_is_refused(text: str, beside: str) -> None:
    """It is not made infinity, and a long integer costs no more than its text."""
    with pytest.raises(BadJson):
        json_data.load_json(f"[{text},{beside}]".encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":NaN,"b":"\\ud800"}',
        b'{"a":NaN,"b":"\\uD800\\u0041"}',
        b'{"a":NaN,"b":"\xed\xa0\x80"}',
        '{"a":NaN,"b":"\\ud800","慎乁":1}'.encode("utf-16-le"),
        '{"a":NaN,"乎":1,"慎N":1}'.encode("utf-16-le"),
        '{"a":NaN}'.encode("utf-16"),
        '{"a":NaN}'.encode("utf-32"),
    ],
)
def test_text_that_utf_8_cannot_carry_never_gets_in(body: bytes) -> None:
    """A lone surrogate would fail much later, where an answer or a log line is written."""
    with pytest.raises(BadJson):
        json_data.load_json(body)


def test_escapes_that_do_make_text_are_read_beside_a_nan() -> None:
    """Clients that write ASCII write whole surrogate pairs, and a backslash is no escape."""
    body = json.dumps([float("nan"), "\U0001f30a", "\\ud800"]).encode()

    assert b"\\ud83c\\udf0a" in body
    assert json_data.load_json(body)[1:] == ["\U0001f30a", "\\ud800"]


def canonical(value: Any) -> str:
    """Return a text that is equal for equal documents, types of numbers included."""
    return json.dumps(value, sort_keys=True)


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(max_codepoint=0xD7FF), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@settings(deadline=None, max_examples=200)
@given(documents)
def test_both_parsers_read_the_same_document_alike(document: Any) -> None:
    """A NaN beside it does not change a value: not its type, not its last bit."""
    for text in (json.dumps(document, ensure_ascii=False), json.dumps(document)):
        alone = json_data.load_json(text.encode())
        beside_nan = json_data.load_json(f"[NaN,{text}]".encode())[1]

        assert canonical(alone) == canonical(beside_nan)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40), st.sampled_from([b"", b"NaN", b"[NaN,", b"\\ud800Infinity"]))
def test_any_bytes_are_json_or_bad_json(body: bytes, prefix: bytes) -> None:
    """No other error, and nothing that could not be written out again as UTF-8."""
    try:
        document = json_data.load_json(prefix + body)
    except BadJson as error:
        str(error).encode()
        return
    json.dumps(document, ensure_ascii=False).encode()


def elements(name: str) -> Any:
    """Return a strategy for one element's bits: every bit pattern is as likely as any other."""
    if name == "BOOL":
        return st.booleans()
    bits = NUMPY[name].itemsize * 8
    return st.integers(0, (1 << bits) - 1)


def arrays(name: str) -> st.SearchStrategy[Array]:
    """Return a strategy for arrays of any bits, with rows first."""
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
    raw = np.dtype("?") if name == "BOOL" else np.dtype(f"<u{NUMPY[name].itemsize}")
    return hnp.arrays(raw, shapes, elements=elements(name)).map(
        lambda array: array.view(NUMPY[name])
    )


def as_floats(array: Array, name: str) -> Array:
    """Return the array in a type in which NumPy knows NaN."""
    return array.view(ml_dtypes.bfloat16).astype(np.float32) if name == "BF16" else array


def read_back(texts: list[bytes], name: str, shape: tuple[int, ...]) -> Array:
    """Read rows of JSON text as a client would send them back."""
    values = json_data.load_json(b"[" + b",".join(text for text in texts if text) + b"]")
    rank_free = spec(name, *(-1,) * len(shape))
    packed: Data = json_data.pack(values, rank_free, shape, may_hold_bool=True)
    return to_array(packed, DATATYPES[name], shape)


@pytest.mark.parametrize("name", NUMPY)
def test_every_number_survives_its_json(name: str) -> None:
    """Array to text to array is bit-exact for finite values; the rest comes as tokens, reported."""

    @settings(deadline=None, max_examples=60)
    @given(arrays(name))
    def holds(array: Array) -> None:
        texts, bad_rows = json_data.row_texts(array, DATATYPES[name])

        back = read_back(texts, name, array.shape)
        assert len(texts) == len(array)
        is_nan = np.zeros(array.shape, bool)
        if DATATYPES[name].is_float:
            values = as_floats(array, name)
            is_nan = np.isnan(values)
            good = [bool(np.isfinite(row).all()) for row in values]
            assert bad_rows == [row for row in range(len(array)) if not good[row]]
        assert back[~is_nan].tobytes() == array[~is_nan].tobytes()
        assert np.isnan(as_floats(back, name)[is_nan]).all()

    holds()


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        object,
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3),
        elements=st.text(max_size=6),
    )
)
def test_every_text_survives_its_json(array: Array) -> None:
    """Quotes, NULs and anything of Unicode."""
    texts, bad_rows = json_data.row_texts(array, DATATYPES["BYTES"])

    assert read_back(texts, "BYTES", array.shape).tolist() == array.tolist()
    assert bad_rows == []


def test_rows_are_cut_where_they_end() -> None:
    """Each row is its elements, flat, without brackets."""
    cube = np.arange(8, dtype=np.float32).reshape(2, 2, 2)

    assert json_data.row_texts(cube, DATATYPES["FP32"])[0] == [
        b"0.0,1.0,2.0,3.0",
        b"4.0,5.0,6.0,7.0",
    ]
    assert json_data.row_texts(cube[:, 0, 0], DATATYPES["FP32"])[0] == [b"0.0", b"4.0"]
    assert json_data.row_texts(cube.T, DATATYPES["FP32"])[0][0] == b"0.0,4.0,2.0,6.0"
    assert json_data.row_texts(cube[:0], DATATYPES["FP32"]) == ([], [])
    assert json_data.row_texts(cube[:, :0], DATATYPES["FP32"]) == ([b"", b""], [])


def test_floats_are_written_in_their_shortest_form() -> None:
    """0.1 as FP32 is 0.1, not the seventeen digits of the double beside it."""
    array = np.array([[0.1, 1e-45]], np.float32)

    assert json_data.row_texts(array, DATATYPES["FP32"]) == ([b"0.1,1e-45"], [])


def test_only_rows_that_are_not_finite_carry_tokens() -> None:
    """The neighbours of a bad row are written as ever, and a null is written nowhere."""
    array = np.array([[1, 2], [np.nan, 3], [4, 5], [np.inf, -np.inf]], np.float64)

    texts, bad_rows = json_data.row_texts(array, DATATYPES["FP64"])

    assert texts == [b"1.0,2.0", b"NaN,3.0", b"4.0,5.0", b"Infinity,-Infinity"]
    assert bad_rows == [1, 3]


def test_true_and_false_are_written_as_json_has_them() -> None:
    """BOOL is not 0 and 1, and its texts hold no number."""
    array = np.array([[True, False]])

    assert json_data.row_texts(array, DATATYPES["BOOL"]) == ([b"true,false"], [])
    assert orjson.loads(b"[true,false]") == array[0].tolist()
