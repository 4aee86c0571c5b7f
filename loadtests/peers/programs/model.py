"""The model that a peer's program serves, by onnxruntime with one thread, as in the gateway.

PEER_MODEL names the file, PEER_MODEL_NAME the model, PEER_PORT the port, PEER_WORKERS how many
processes run it.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

NAME = os.environ["PEER_MODEL_NAME"]
PORT = int(os.environ["PEER_PORT"])
WORKERS = int(os.environ["PEER_WORKERS"])

MAX_BATCH = 64
"""Of requests or rows, whichever a peer counts, where it batches."""

Arrays = dict[str, NDArray[Any]]

_DTYPES: dict[str, type[Any]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class Model:
    """An open model, and what goes in and comes out."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        self.inputs = _signature(self._session.get_inputs())
        self.outputs = _signature(self._session.get_outputs())
        self._output_names = list(self.outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return all outputs by name, in the model's order."""
        outputs = self._session.run(
            self._output_names, {name: _as_text(array) for name, array in feeds.items()}
        )
        return dict(zip(self._output_names, outputs, strict=True))

    def run_together(self, requests: list[Arrays]) -> list[Arrays]:
        """Run the rows of several requests at once, and return each request's own."""
        if len(requests) == 1:
            return [self.run(requests[0])]
        outputs = self.run(
            {name: np.concatenate([one[name] for one in requests]) for name in requests[0]}
        )
        answers, at = [], 0
        for one in requests:
            rows = slice(at, at + len(next(iter(one.values()))))
            answers.append({name: array[rows] for name, array in outputs.items()})
            at = rows.stop
        return answers


def _as_text(array: NDArray[Any]) -> NDArray[Any]:
    """Return texts as onnxruntime takes them, which come as bytes in binary tensors."""
    if array.dtype != np.object_ or not array.size or isinstance(array.flat[0], str):
        return array
    texts = [text.decode() for text in array.ravel().tolist()]
    return np.array(texts, np.object_).reshape(array.shape)


def _signature(tensors: Sequence[Any]) -> dict[str, tuple[type[Any], list[int]]]:
    """Return each tensor's dtype and the shape of one row, where -1 is any length."""
    return {
        one.name: (
            _DTYPES[one.type],
            [size if isinstance(size, int) else -1 for size in one.shape[1:]],
        )
        for one in tensors
    }
