# mypy: disable-error-code="import-not-found,import-untyped,misc,untyped-decorator"
"""BentoML with adaptive batching on.

https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html: one array in, one array out,
so that the answer has the model's last output only; the page's own bound of a second; a process for
each worker: https://docs.bentoml.com/en/latest/build-with-bentoml/parallelize-requests.html. A log
line for each request is off: https://docs.bentoml.com/en/latest/build-with-bentoml/observability/logging.html.
"""

import bentoml
import numpy as np

from loadtests.peers.programs.model import MAX_BATCH, WORKERS, Model


@bentoml.service(workers=WORKERS, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Onnx:
    """One model by onnxruntime."""

    def __init__(self) -> None:
        self._model = Model()
        ((self._input, (self._dtype, _)),) = self._model.inputs.items()
        self._output = list(self._model.outputs)[-1]

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=MAX_BATCH, max_latency_ms=1000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Answer a batch that BentoML has put together."""
        return self._model.run({self._input: rows.astype(self._dtype, copy=False)})[self._output]
