# mypy: disable-error-code="import-not-found,import-untyped,misc"
"""LitServe with batching on and its fast queue.

https://lightning.ai/docs/litserve/features/batching for `max_batch_size` and `batch_timeout`;
https://lightning.ai/docs/litserve/api-reference/litserver for a process for each worker, and
`fast_queue`, ZeroMQ instead of the queues of multiprocessing.
"""

from typing import Any

import litserve

from loadtests.peers.programs.model import MAX_BATCH, NAME, PORT, WORKERS, Arrays, Model
from loadtests.peers.programs.v2 import plain_answer, read_tensor


class Onnx(litserve.LitAPI):
    """One model by onnxruntime."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it by name
        """Open it, in each of the processes that run it."""
        self._model = Model()

    def decode_request(self, request: dict[str, Any]) -> Arrays:
        """Return the tensors of a request."""
        return {one["name"]: read_tensor(one) for one in request["inputs"]}

    def batch(self, inputs: list[Arrays]) -> list[Arrays]:
        """Leave requests apart: `predict` lays their rows together."""
        return inputs

    def predict(self, batch: list[Arrays]) -> list[Arrays]:
        """Return each request's own outputs."""
        return self._model.run_together(batch)

    def unbatch(self, output: list[Arrays]) -> list[Arrays]:
        """Return what `predict` has parted."""
        return output

    def encode_response(self, output: Arrays) -> dict[str, Any]:
        """Return what is written as JSON."""
        return plain_answer(NAME, output)


if __name__ == "__main__":
    litserve.LitServer(
        Onnx(max_batch_size=MAX_BATCH, batch_timeout=0.001),
        accelerator="cpu",
        workers_per_device=WORKERS,
        fast_queue=True,
    ).run(
        host="127.0.0.1",
        port=PORT,
        num_api_servers=WORKERS,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
