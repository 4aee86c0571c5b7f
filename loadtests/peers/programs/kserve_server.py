# mypy: disable-error-code="import-not-found,import-untyped,misc"

"""KServe's Python server with a model of one's own, which is its way to serve ONNX.

https://kserve.github.io/website/docs/model-serving/predictive-inference/frameworks/custom-predictor/custom-predictor:
`ModelServer` with as many processes as workers. Its batcher is a program of its own, which a
cluster puts before the server, so here each request is a run. Lines that it logs for each request
are off (`kserve_logging.json`); gRPC, which nobody asks, too.
"""

from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, ModelServer
from kserve import Model as KServeModel
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.utils import generate_uuid

from loadtests.peers.programs.model import NAME, PORT, WORKERS, Model


class Onnx(KServeModel):
    """One model by onnxruntime."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self._model = Model()
        self.ready = True

    def __reduce__(self) -> tuple[type["Onnx"], tuple[()]]:
        """Have each worker process open the model itself: a session cannot be sent."""
        return Onnx, ()

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """Answer one request."""
        outputs = []
        feeds = {one.name: one.as_numpy() for one in payload.inputs}
        for name, array in self._model.run(feeds).items():
            output = InferOutput(name, list(array.shape), from_np_dtype(array.dtype))
            output.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
            outputs.append(output)
        return InferResponse(
            response_id=payload.id or generate_uuid(),
            model_name=NAME,
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )


if __name__ == "__main__":
    ModelServer(
        http_port=PORT, workers=WORKERS, enable_grpc=False, enable_latency_logging=False
    ).start([Onnx()])
