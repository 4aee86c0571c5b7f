"""Prediction requests of the V1 protocol (`:predict`), as TensorFlow Serving and KServe read them.

Decides how `instances` (rows) and `inputs` (columns) become tensors, and how outputs become
`predictions` or `outputs`. A row may be a value, a list, an object of inputs, or, where the
columns of the one input have names, an object of features.

Source: TensorFlow Serving, "RESTful API", predict; KServe V1 protocol.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from server.errors import InvalidInput, InvalidRequest, NonFiniteOutput
from server.protocol import json_data
from server.protocol.answers import InferAnswer
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest
from server.protocol.v2 import count_rows
from server.tensors import MAX_RANK, Array, Data, TensorSpec, bf16_to_fp32

Features = Mapping[str, Sequence[str]]


def decode(body: bytes, contract: Contract, features: Features) -> tuple[InferRequest, bool]:
    """Read a predict request; also say whether it was columnar.

    Raises:
        BadJson, InvalidRequest, InvalidInput, PayloadTooLarge: see `errors.py`.

    """
    document = json_data.load_json(body)
    if type(document) is not dict:
        raise InvalidRequest("the request must be a JSON object")
    has_rows, has_columns = "instances" in document, "inputs" in document
    if has_rows == has_columns:
        raise InvalidRequest("a request needs either 'instances' (rows) or 'inputs' (columns)")
    specs = contract.signature.inputs
    if has_rows:
        columns = _columns(document["instances"], specs, features)
    else:
        columns = _named_columns(document["inputs"], specs)
    shapes = tuple(_shape(columns[spec.name], spec) for spec in specs)
    tensors: list[Data] = [
        json_data.pack(columns[spec.name], spec, shape, may_hold_bool=True)
        for spec, shape in zip(specs, shapes, strict=True)
    ]
    return InferRequest(tensors, shapes, count_rows(shapes, contract)), has_columns


def _columns(rows: object, specs: Sequence[TensorSpec], features: Features) -> dict[str, Any]:
    """Turn rows into one list of values for each input."""
    if type(rows) is not list:
        raise InvalidRequest("'instances' must be a list of rows")
    if not any(type(row) is dict and "b64" not in row for row in rows):
        if len(specs) != 1:
            names = ", ".join(f"'{spec.name}'" for spec in specs)
            raise InvalidInput(f"each of 'instances' must be an object with the inputs {names}")
        return {specs[0].name: [_plain(row) for row in rows]}
    columns: dict[str, Any] = {spec.name: [] for spec in specs}
    for number, row in enumerate(rows):
        if type(row) is not dict:
            raise InvalidInput(f"instances[{number}] must be an object like the others")
        if len(specs) == 1 and specs[0].name in features and specs[0].name not in row:
            named = features[specs[0].name]
            columns[specs[0].name].append(_take(row, named, f"instances[{number}]", "feature"))
            continue
        values = _take(row, list(columns), f"instances[{number}]", "input")
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value)
    return columns


def _take(row: dict[str, Any], names: Sequence[str], where: str, what: str) -> list[Any]:
    """Return the values of an object in the order of `names`, which must all be there."""
    missing = [name for name in names if name not in row]
    if missing:
        raise InvalidInput(f"{where}: {what} '{missing[0]}' is missing ({len(missing)} in all)")
    if len(row) > len(names):
        unknown = next(name for name in row if name not in names)
        raise InvalidInput(f"{where}: there is no {what} '{unknown[:64]}'")
    return [_plain(row[name]) for name in names]


def _named_columns(inputs: object, specs: Sequence[TensorSpec]) -> dict[str, Any]:
    if type(inputs) is dict and "b64" not in inputs:
        values = _take(inputs, [spec.name for spec in specs], "inputs", "input")
        return {spec.name: value for spec, value in zip(specs, values, strict=True)}
    if len(specs) != 1:
        raise InvalidInput("'inputs' must be an object with the model's inputs")
    return {specs[0].name: _plain(inputs)}


def _plain(value: object, depth: int = 0) -> Any:
    """Undo the protocol's wrapping of bytes, at any depth of lists that a tensor can have."""
    if depth > MAX_RANK:
        raise InvalidInput(f"a value is nested in more than {MAX_RANK} lists")
    if type(value) is list:
        return [_plain(item, depth + 1) for item in value] if _has_object(value) else value
    if type(value) is dict and value.keys() == {"b64"} and type(value["b64"]) is str:
        try:
            return base64.b64decode(value["b64"], validate=True).decode()
        except ValueError:
            raise InvalidInput("a 'b64' value is not base64 of UTF-8 text") from None
    return value


def _has_object(values: list[Any]) -> bool:
    return any(type(value) in (list, dict) for value in values)


def _shape(values: object, spec: TensorSpec) -> tuple[int, ...]:
    """Work out the shape of nested lists; single values may stand for rows of one element."""
    sizes: list[int] = []
    level = values
    while type(level) is list and len(sizes) <= len(spec.shape):
        sizes.append(len(level))
        if not level:
            break
        level = level[0]
    if sizes and not level and type(level) is list:  # No rows: the rest is as the model has it.
        sizes += [max(size, 0) for size in spec.shape[len(sizes) :]]
    if len(sizes) == 1 and spec.shape[1:] == (1,):
        sizes.append(1)
    return spec.check_shape(sizes)


def write(
    arrays: Sequence[Array],
    specs: Sequence[TensorSpec],
    *,
    columnar: bool,
    tokens: bool,
    warnings: Sequence[str] = (),
) -> InferAnswer:
    """Write the answer from one request's outputs; `tokens` allows NaN and Infinity in it.

    Warnings are a member of their own beside the predictions.

    Raises:
        NonFiniteOutput: an output holds NaN or infinity and tokens are not asked for.

    """
    end = b',"warnings":' + orjson.dumps(warnings) + b"}" if warnings else b"}"
    if columnar:
        texts = [
            _text(array, spec, tokens=tokens) for array, spec in zip(arrays, specs, strict=True)
        ]
        body = texts[0] if len(specs) == 1 else _object(specs, texts)
        return InferAnswer(b'{"outputs":' + body + end)
    if len(specs) == 1:
        return InferAnswer(b'{"predictions":' + _text(arrays[0], specs[0], tokens=tokens) + end)
    rows = min(len(array) if array.ndim else 1 for array in arrays)
    texts = [
        _object(
            specs,
            [
                _text(array[row, ...] if array.ndim else array, spec, tokens=tokens)
                for array, spec in zip(arrays, specs, strict=True)
            ],
        )
        for row in range(rows)
    ]
    return InferAnswer(b'{"predictions":[' + b",".join(texts) + b"]" + end)


def _object(specs: Sequence[TensorSpec], texts: Sequence[bytes]) -> bytes:
    members = [
        orjson.dumps(spec.name) + b":" + text for spec, text in zip(specs, texts, strict=True)
    ]
    return b"{" + b",".join(members) + b"}"


def _text(array: Array, spec: TensorSpec, *, tokens: bool) -> bytes:
    """Return an array as nested JSON lists."""
    if spec.datatype.is_text:
        return orjson.dumps(array.tolist())
    values = bf16_to_fp32(array) if spec.datatype.name == "BF16" else array
    text = orjson.dumps(
        np.ascontiguousarray(values) if values.ndim else values[()],
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    if not spec.datatype.is_float or b"n" not in text:
        return text
    if not tokens:
        raise NonFiniteOutput(
            f"output '{spec.name}' is NaN or infinite; JSON cannot carry that: "
            "set non_finite = 'token'"
        )
    return json.dumps(values.tolist(), separators=(",", ":")).encode()
