# mypy: disable-error-code="import-not-found,import-untyped,misc"
"""MLServer's custom runtime, which is its way to serve ONNX.

https://docs.seldon.ai/mlserver/user-guide/custom; batching, which is off unless sizes are given, as
of https://docs.seldon.ai/mlserver/user-guide/adaptive-batching, and one process for each worker
beside the one that speaks HTTP, as of
https://docs.seldon.ai/mlserver/user-guide/parallel-inference. The settings come as MLSERVER_…
variables from `catalogue.py`.
"""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from loadtests.peers.programs.model import Model


class Onnx(MLModel):
    """One model by onnxruntime."""

    async def load(self) -> bool:
        """Open it, in each of the processes that run it."""
        self._model = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request, or a batch that MLServer has put together."""
        feeds = {}
        for one in payload.inputs:
            if one.datatype == "BYTES":
                texts = StringCodec.decode_input(one)
                feeds[one.name] = np.array(texts, np.object_).reshape(one.shape)
            else:
                feeds[one.name] = NumpyCodec.decode_input(one)
        outputs = [
            (StringCodec if array.dtype == np.object_ else NumpyCodec).encode_output(name, array)
            for name, array in self._model.run(feeds).items()
        ]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
