"""The plain way to serve a model: uvicorn, Starlette, orjson and onnxruntime, one run a request.

What a careful developer writes in an hour. The yardstick for what batching and the own hot path
are worth. PLAIN_MODEL names the file, PLAIN_NAME the model.
"""

import os

import numpy as np
import onnxruntime
import orjson
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
INPUT = SESSION.get_inputs()[0].name
OUTPUTS = [output.name for output in SESSION.get_outputs()]
DATATYPES = {"float32": "FP32", "int64": "INT64"}


async def infer(request: Request) -> Response:
    """Answer one request."""
    tensor = orjson.loads(await request.body())["inputs"][0]
    rows = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    outputs = SESSION.run(OUTPUTS, {INPUT: rows})
    answer = {
        "model_name": NAME,
        "model_version": "1",
        "outputs": [
            {
                "name": name,
                "datatype": DATATYPES[array.dtype.name],
                "shape": array.shape,
                "data": array.ravel(),
            }
            for name, array in zip(OUTPUTS, outputs, strict=True)
        ],
    }
    body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")


async def ready(_: Request) -> Response:
    """Say that the model is loaded."""
    return Response(b"{}")


app = Starlette(
    routes=[
        Route("/v2/models/{model}/infer", infer, methods=["POST"]),
        Route("/v2/health/ready", ready),
    ]
)
