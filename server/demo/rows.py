"""Real rows of the example models' data, as requests.

Decides which rows a request takes and how it is written. Knows no gateway.

Concurrency: a `Stream` belongs to whoever plays it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from server.tensors import Array

FILE = Path(__file__).parent / "files" / "rows.npz"
_DATATYPES = {"f4": "FP32", "f8": "FP64", "i8": "INT64"}


class Stream:
    """The rows of one model, in a shuffled order that begins anew when it ends."""

    def __init__(
        self, model: str, inputs: Mapping[str, Array], labels: Array, seed: int = 0
    ) -> None:
        self.model = model
        self._inputs = inputs
        self._labels = labels
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(labels))
        self._next = 0

    def take(self, rows: int) -> tuple[dict[str, Array], list[Any]]:
        """Return the inputs of the next rows, and their true labels."""
        if self._next + rows > len(self._order):
            self._order = self._random.permutation(len(self._order))
            self._next = 0
        chosen = self._order[self._next : self._next + rows]
        self._next += rows
        inputs = {name: array[chosen] for name, array in self._inputs.items()}
        return inputs, self._labels[chosen].tolist()


def streams(path: Path = FILE) -> list[Stream]:
    """Read the rows of all models.

    An input is kept as `model/input`, with its rows first, and the labels as `model:label`.
    """
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    models = sorted(name.partition(":")[0] for name in arrays if name.endswith(":label"))
    return [
        Stream(
            model,
            {
                name.partition("/")[2]: array
                for name, array in arrays.items()
                if name.startswith(f"{model}/")
            },
            arrays[f"{model}:label"],
        )
        for model in models
    ]


def request_body(inputs: Mapping[str, Array]) -> bytes:
    """Return an inference request of the V2 protocol in JSON."""
    return orjson.dumps(
        {
            "inputs": [
                {
                    "name": name,
                    "datatype": _DATATYPES.get(array.dtype.str[1:], "BYTES"),
                    "shape": array.shape,
                    "data": array.tolist(),
                }
                for name, array in inputs.items()
            ]
        }
    )
