# mypy: disable-error-code="import-not-found,import-untyped,misc,untyped-decorator"
"""PyTriton: Triton's own HTTP server and dynamic batcher before a Python function.

https://triton-inference-server.github.io/pytriton/latest/binding_configuration for the batcher,
with Triton's default of no delay; …/binding_models for an instance of the function for each worker.
"""

import os
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from loadtests.peers.programs.model import MAX_BATCH, NAME, PORT, WORKERS, Arrays, Model


def tensors(signature: dict[str, tuple[type[Any], list[int]]]) -> list[Tensor]:
    """Return how PyTriton names inputs or outputs, without rows: Triton wants one size beside."""
    return [
        Tensor(
            name=name, dtype=np.bytes_ if dtype is np.object_ else dtype, shape=tuple(shape) or (1,)
        )
        for name, (dtype, shape) in signature.items()
    ]


def for_triton(rows: np.ndarray) -> np.ndarray:
    """Return an output with a size beside its rows, and texts as bytes."""
    if rows.dtype == np.object_:
        rows = np.char.encode(rows.astype(np.str_), "utf-8")
    return rows.reshape(len(rows), -1) if rows.ndim == 1 else rows


class Onnx:
    """One model by onnxruntime."""

    def __init__(self) -> None:
        self.model = Model()

    @batch
    def __call__(self, **inputs: np.ndarray) -> Arrays:
        """Answer a batch that Triton has put together."""
        feeds = {
            name: rows.astype(np.object_) if rows.dtype.kind == "S" else rows
            for name, rows in inputs.items()
        }
        return {name: for_triton(rows) for name, rows in self.model.run(feeds).items()}


if __name__ == "__main__":
    instances = [Onnx() for _ in range(WORKERS)]
    ports = TritonConfig(
        http_address="127.0.0.1",
        http_port=PORT,
        grpc_address="127.0.0.1",
        grpc_port=int(os.environ["PEER_SPARE_PORT"]),
        allow_metrics=False,
    )
    with Triton(config=ports) as triton:
        triton.bind(
            model_name=NAME,
            infer_func=instances,
            inputs=tensors(instances[0].model.inputs),
            outputs=tensors(instances[0].model.outputs),
            config=ModelConfig(
                max_batch_size=MAX_BATCH, batcher=DynamicBatcher(max_queue_delay_microseconds=0)
            ),
        )
        triton.serve()
