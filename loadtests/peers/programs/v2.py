"""The Open Inference Protocol as a careful developer would write it: orjson, NumPy, no checks.

For peers that hand over the body as it came, JSON or binary tensors.
"""

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

LENGTH_HEADER = "Inference-Header-Content-Length"
DTYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "BOOL": np.dtype(np.bool_),
    "BYTES": np.dtype(np.object_),
}
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}


def read_body(body: bytes, json_length: str | None) -> tuple[Arrays, bool]:
    """Return the tensors of a request by name, and whether the answer is to be binary."""
    if json_length is None:
        return {one["name"]: read_tensor(one) for one in orjson.loads(body)["inputs"]}, False
    at = int(json_length)
    head = orjson.loads(body[:at])
    arrays = {}
    for one in head["inputs"]:
        arrays[one["name"]] = _read_binary(body, at, one)
        at += one["parameters"]["binary_data_size"]
    return arrays, bool(head.get("parameters", {}).get("binary_data_output"))


def read_tensor(tensor: Mapping[str, Any]) -> NDArray[Any]:
    """Return one tensor of JSON."""
    return np.array(tensor["data"], DTYPES[tensor["datatype"]]).reshape(tensor["shape"])


def _read_binary(body: bytes, at: int, tensor: Mapping[str, Any]) -> NDArray[Any]:
    dtype, shape = DTYPES[tensor["datatype"]], tensor["shape"]
    count = math.prod(shape)
    if dtype != np.object_:
        return np.frombuffer(body, dtype, count, at).reshape(shape)
    texts = []
    for _ in range(count):
        (size,) = struct.unpack_from("<I", body, at)
        texts.append(body[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return np.array(texts, np.object_).reshape(shape)


def write_body(name: str, outputs: Arrays, is_binary: bool) -> tuple[bytes, dict[str, str]]:
    """Return the answer's body and headers."""
    if not is_binary:
        answer = _answer(
            name, {output: {"data": _flat(array)} for output, array in outputs.items()}, outputs
        )
        body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return body, {"Content-Type": "application/json"}
    parts = {output: _write_binary(array) for output, array in outputs.items()}
    sizes = {
        output: {"parameters": {"binary_data_size": len(part)}} for output, part in parts.items()
    }
    head = orjson.dumps(_answer(name, sizes, outputs))
    headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}
    return b"".join([head, *parts.values()]), headers


def plain_answer(name: str, outputs: Arrays) -> dict[str, Any]:
    """Return an answer of lists and numbers, for a peer that writes JSON itself."""
    data = {output: {"data": array.ravel().tolist()} for output, array in outputs.items()}
    return _answer(name, data, outputs)


def _answer(name: str, data: Mapping[str, Any], outputs: Arrays) -> dict[str, Any]:
    return {
        "model_name": name,
        "model_version": "1",
        "outputs": [
            {
                "name": output,
                "datatype": DATATYPES[array.dtype],
                "shape": array.shape,
                **data[output],
            }
            for output, array in outputs.items()
        ],
    }


def _flat(array: NDArray[Any]) -> NDArray[Any] | list[str]:
    """Return all values in a row; orjson takes arrays of numbers only."""
    return array.ravel() if array.dtype != np.object_ else array.ravel().tolist()


def _write_binary(array: NDArray[Any]) -> bytes:
    if array.dtype != np.object_:
        return array.tobytes()
    texts = [text.encode() for text in array.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
