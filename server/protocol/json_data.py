"""The `data` of a JSON tensor: lists to packed bytes, and arrays to JSON text.

Decides what a JSON value may stand for in each datatype. Strict where NumPy would coerce: a
string, null, true or 1.7 is never silently a number, 1e39 is never silently infinity.

Does not know requests, models or batches.

JSON has no NaN and no infinity. In requests the bare tokens NaN, Infinity and -Infinity are read
for floating datatypes, because Python's json and Triton's client write them. In answers they are
an error unless the model's settings ask for the same tokens; never null.
"""

import json
import math
import struct
from collections.abc import Callable
from itertools import chain
from typing import Any, NoReturn

import numpy as np
import orjson

from server.errors import BadJson, InvalidInput
from server.tensors import Array, Data, Datatype, TensorSpec, bf16_to_fp32, fp32_to_bf16

_BF16_OVERFLOW = 2.0**128 - 2.0**119
"""From here on a number rounds to infinity in BF16: half way from its largest to the next power."""


def load_json(body: bytes | memoryview) -> Any:
    """Parse a JSON document, reading NaN, Infinity and -Infinity as Python's json does.

    Raises:
        BadJson: the bytes are not JSON.

    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raw = bytes(body)
        if b"NaN" not in raw and b"Infinity" not in raw:
            raise BadJson(f"the body is not valid JSON: {error}") from None
    try:
        text = raw.decode()  # From bytes, this parser would guess the encoding.
        document = json.loads(text, parse_float=_finite_float, parse_int=_whole)
        if "\\ud" in text.lower():  # Half a surrogate pair is let through by this parser only.
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except (ValueError, RecursionError) as error:
        raise BadJson(f"the body is not valid JSON: {error}") from None


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"number is infinity when parsed as double: {text[:40]}")
    return value


def _whole(text: str) -> int | float:
    """Read an integer, or the float nearest to one of more than 64 bits, as orjson does."""
    value = int(text) if len(text) <= 20 else 1 << 64
    return value if -(1 << 63) <= value < 1 << 64 else _finite_float(text)


def pack(data: object, spec: TensorSpec, shape: tuple[int, ...], *, may_hold_bool: bool) -> Data:
    """Turn a JSON list, nested or flat, into the elements of a tensor of `shape`.

    `may_hold_bool` is False when the caller knows that no true or false stands anywhere in the
    request; it saves looking at every element of a number tensor.

    Raises:
        InvalidInput: another number of elements, or an element that the datatype cannot hold.

    """
    if type(data) is not list:
        raise InvalidInput(f"input '{spec.name}': data must be a list, got {kind(data)}")
    items = math.prod(shape)
    flat = data if len(data) == items and not _nested(data) else _flatten(data, spec, shape)
    if len(flat) != items:
        raise InvalidInput(
            f"input '{spec.name}': shape {list(shape)} holds {items} elements, data has {len(flat)}"
        )
    code = spec.datatype.struct_code
    if not code:
        return _PACK[spec.datatype.name](flat, spec)
    if may_hold_bool and bool in set(map(type, flat)):
        _refuse(flat, spec)
    try:
        if items == spec.row_items:
            packed: bytes = spec.pack_row(*flat)
            return packed
        return struct.pack(f"<{items}{code}", *flat)
    except (struct.error, OverflowError):
        _refuse(flat, spec)


def _nested(data: list[Any]) -> bool:
    return bool(data) and type(data[0]) is list


def _flatten(data: list[Any], spec: TensorSpec, shape: tuple[int, ...]) -> list[Any]:
    """Unroll nested lists level by level; each level must agree with `shape`."""
    level = data
    for depth in range(1, len(shape)):
        if not _nested(level):
            break
        if set(map(type, level)) != {list}:
            raise InvalidInput(f"input '{spec.name}': data mixes lists and values at one level")
        lengths = set(map(len, level))
        level = list(chain.from_iterable(level))
        rest = math.prod(shape[depth:])
        if lengths == {rest} and not _nested(level):
            break
        if lengths != {shape[depth]}:
            raise InvalidInput(
                f"input '{spec.name}': lists at level {depth + 1} of data must hold "
                f"{shape[depth]} elements for shape {list(shape)}, "
                f"got {', '.join(map(str, sorted(lengths)[:4]))}"
            )
    if _nested(level):
        raise InvalidInput(f"input '{spec.name}': data is nested deeper than shape {list(shape)}")
    return level


def _pack_bool(flat: list[Any], spec: TensorSpec) -> bytes:
    if set(map(type, flat)) - {bool}:
        _refuse(flat, spec)
    return bytes(flat)


def _pack_text(flat: list[Any], spec: TensorSpec) -> list[str]:
    if set(map(type, flat)) - {str}:
        _refuse(flat, spec)
    return flat


def _pack_bf16(flat: list[Any], spec: TensorSpec) -> bytes:
    if set(map(type, flat)) - {int, float}:
        _refuse(flat, spec)
    values = np.array([_as_float(value) for value in flat], dtype=np.float64)
    if np.any(np.abs(values[np.isfinite(values)]) >= _BF16_OVERFLOW):
        _refuse(flat, spec)
    return fp32_to_bf16(values.astype(np.float32)).tobytes()


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return _BF16_OVERFLOW


_PACK: dict[str, Callable[[list[Any], TensorSpec], Data]] = {
    "BOOL": _pack_bool,
    "BYTES": _pack_text,
    "BF16": _pack_bf16,
}

_EXPECTS = {"BOOL": "true or false", "BYTES": "a string"}


def _refuse(flat: list[Any], spec: TensorSpec) -> NoReturn:
    """Raise for the first element that the datatype cannot hold."""
    name = spec.datatype.name
    expects = _EXPECTS.get(name, "a number" if spec.datatype.is_float else "an integer")
    for position, value in enumerate(flat):
        if not _holds(value, spec.datatype):
            is_kind = type(value) is int or (type(value) is float and spec.datatype.is_float)
            is_number = is_kind and name not in _EXPECTS
            wanted = f"a value in its range; {name} cannot hold it" if is_number else expects
            raise InvalidInput(
                f"input '{spec.name}': element {position} of data is {kind(value)}; "
                f"{name} expects {wanted}"
            )
    raise InvalidInput(f"input '{spec.name}': data does not fit {name}")


def _holds(value: object, datatype: Datatype) -> bool:
    match datatype.name:
        case "BOOL":
            return type(value) is bool
        case "BYTES":
            return type(value) is str
        case "BF16":
            return type(value) in (int, float) and not (
                math.isfinite(_as_float(value)) and abs(_as_float(value)) >= _BF16_OVERFLOW  # type: ignore[arg-type]
            )
    if type(value) not in (int, float):
        return False
    try:
        struct.pack("<" + datatype.struct_code, value)
    except (struct.error, OverflowError):
        return False
    return True


def kind(value: object) -> str:
    """Name a JSON value for an error text, shortened, so that an answer cannot be made long."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {str(value)[:32]}"
        case str():
            return f"the string {orjson.dumps(value[:32]).decode()}"
        case list():
            return "a list"
    return "an object"


def row_texts(array: Array, datatype: Datatype) -> tuple[list[bytes], list[int]]:
    """Return each row's elements as flat JSON text without brackets, and which rows are not finite.

    `array` has rows as its first dimension. All of it is written at once and cut at the row
    borders, which costs a fraction of writing row by row. Rows with NaN or infinity carry them as
    the bare tokens NaN, Infinity and -Infinity; it is the caller's part to refuse them.
    """
    rows = len(array)
    if rows == 0:
        return [], []
    if datatype.is_text:
        return [orjson.dumps(row)[1:-1] for row in array.reshape(rows, -1).tolist()], []
    values = bf16_to_fp32(array) if datatype.name == "BF16" else array
    if values.ndim > 2 or not values.flags.c_contiguous:
        values = np.ascontiguousarray(values).reshape(rows, -1)
    if values.size == 0:
        return [b""] * rows, []
    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
    texts = text[1:-1].split(b",") if values.ndim == 1 else text[2:-2].split(b"],[")
    # orjson writes null for what is not finite; no number has an n in it.
    if datatype.is_float and b"n" in text:
        return texts, _write_tokens(texts, values.reshape(rows, -1))
    return texts, []


def _write_tokens(texts: list[bytes], values: Array) -> list[int]:
    bad_rows: list[int] = np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist()
    for row in bad_rows:
        texts[row] = json.dumps(values[row].tolist(), separators=(",", ":"))[1:-1].encode()
    return bad_rows
