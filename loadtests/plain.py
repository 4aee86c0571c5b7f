"""The plain way to serve a model: uvicorn, Starlette, orjson and onnxruntime, one run a request.

What a careful developer writes in an hour. The yardstick for what batching and the own hot path
are worth. PLAIN_MODEL names the file, PLAIN_NAME the model. Takes and gives tensors as JSON or, if
the request says how long its JSON is, as bytes behind it.
"""

import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import orjson
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

NAME = os.environ["PLAIN_NAME"]
_options = onnxruntime.SessionOptions()
_options.intra_op_num_threads = 1
SESSION = onnxruntime.InferenceSession(
    os.environ["PLAIN_MODEL"], _options, providers=["CPUExecutionProvider"]
)
OUTPUTS = [output.name for output in SESSION.get_outputs()]
DATATYPES = {"float32": "FP32", "int64": "INT64", "object": "BYTES"}
KINDS: Mapping[str, Any] = {"FP32": np.float32, "INT64": np.int64, "BYTES": np.object_}
LENGTH = "Inference-Header-Content-Length"


async def infer(request: Request) -> Response:
    """Answer one request."""
    body = await request.body()
    length = request.headers.get(LENGTH)
    if length is None:
        return from_json(orjson.loads(body)["inputs"])
    return from_bytes(orjson.loads(body[: int(length)])["inputs"], body[int(length) :])


def from_json(tensors: Sequence[Mapping[str, Any]]) -> Response:
    """Answer a request whose tensors are lists."""
    feed = {
        tensor["name"]: np.array(tensor["data"], KINDS[tensor["datatype"]]).reshape(tensor["shape"])
        for tensor in tensors
    }
    outputs = [
        {
            **_described(name, array),
            "data": array.ravel().tolist() if array.dtype == object else array.ravel(),
        }
        for name, array in zip(OUTPUTS, SESSION.run(OUTPUTS, feed), strict=True)
    ]
    answer = {"model_name": NAME, "model_version": "1", "outputs": outputs}
    body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")


def from_bytes(tensors: Sequence[Mapping[str, Any]], data: bytes) -> Response:
    """Answer a request whose tensors are bytes, in their order."""
    feed, at = {}, 0
    for tensor in tensors:
        size = tensor["parameters"]["binary_data_size"]
        part, kind = data[at : at + size], KINDS[tensor["datatype"]]
        at += size
        flat = np.array(_texts(part), object) if kind is np.object_ else np.frombuffer(part, kind)
        feed[tensor["name"]] = flat.reshape(tensor["shape"])
    arrays = SESSION.run(OUTPUTS, feed)
    parts = [_bytes(array) for array in arrays]
    outputs = [
        {**_described(name, array), "parameters": {"binary_data_size": len(part)}}
        for name, array, part in zip(OUTPUTS, arrays, parts, strict=True)
    ]
    head = orjson.dumps({"model_name": NAME, "model_version": "1", "outputs": outputs})
    return Response(
        head + b"".join(parts),
        headers={LENGTH: str(len(head))},
        media_type="application/octet-stream",
    )


def _described(name: str, array: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": DATATYPES[array.dtype.name], "shape": array.shape}


def _texts(part: bytes) -> list[str]:
    found, at = [], 0
    while at < len(part):
        (size,) = struct.unpack_from("<I", part, at)
        found.append(part[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found


def _bytes(array: NDArray[Any]) -> bytes:
    if array.dtype != object:
        return bytes(array.tobytes())
    texts = [text.encode() for text in array.ravel()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


async def ready(_: Request) -> Response:
    """Say that the model is loaded."""
    return Response(b"{}")


app = Starlette(
    routes=[
        Route("/v2/models/{model}/infer", infer, methods=["POST"]),
        Route("/v2/health/ready", ready),
    ]
)
