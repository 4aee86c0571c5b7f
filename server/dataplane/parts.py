"""Requests with more rows than a batch: run in parts, answered as one.

Decides how a request is cut and put together again. Its owner queues the parts.

Concurrency: event loop only.
"""

from collections.abc import Callable, Sequence

import numpy as np

from server.dataplane.batch_columns import OWN_ID
from server.dataplane.call import CLIENT_GONE, Call
from server.errors import TidegateError
from server.protocol.answers import BatchOutputs
from server.tensors import Array, Data

PARTIAL = ""
"""What a part answers when it is done: the request is counted with its last part."""


class Gathering:
    """A request with more rows than a batch: its parts, and what has come of them.

    Rows do not depend on their batch-mates (checked when the version was loaded), so running
    them in several batches gives the same answer as one.
    """

    def __init__(self, call: Call, on_closed: Callable[[Call, str], None]) -> None:
        self.call = call
        self.is_over = False
        self._on_closed = on_closed
        step = call.served.batcher.policy.max_rows
        self.parts = [
            Part(self, first, min(step, call.rows - first)) for first in range(0, call.rows, step)
        ]
        self._results: dict[int, list[Array]] = {}

    def done(self, part: "Part", arrays: list[Array]) -> None:
        """Keep a part's rows; answer when it was the last."""
        self._results[part.first_row] = arrays
        if len(self._results) < len(self.parts):
            return
        ordered = [self._results[part.first_row] for part in self.parts]
        outputs = [np.concatenate(arrays) for arrays in zip(*ordered, strict=True)]
        outcome = self.call.finish(BatchOutputs(outputs, self.call.rows), 0, self.call.number)
        self.is_over = True  # Only now: if any of this raises, `failed` must still answer.
        self._on_closed(self.call, outcome)

    def failed(self, error: TidegateError | None) -> None:
        """Give up the request for the first part that fails; the others are then not run."""
        if not self.is_over:
            self.is_over = True
            self._on_closed(self.call, self.call.fail(error))


class Part:
    """Some rows of a large request, as an entry of the queue."""

    __slots__ = (
        "arrived",
        "body_bytes",
        "deadline",
        "first_row",
        "gathering",
        "marks",
        "rows",
        "shape_key",
        "shapes",
        "tensors",
    )

    def __init__(self, gathering: Gathering, first: int, rows: int) -> None:
        call = gathering.call
        self.gathering = gathering
        self.body_bytes = 0  # The request's bytes are given back when the request is answered.
        self.first_row = first
        self.marks = call.marks | OWN_ID  # Its rows go by the id of the whole request.
        self.rows = rows
        self.arrived = call.arrived
        self.deadline = call.deadline
        self.shape_key = call.shape_key
        self.shapes = tuple((rows, *shape[1:]) for shape in call.shapes)
        self.tensors = [_rows_of(data, call.rows, first, rows) for data in call.tensors]

    is_plain = False
    """A part's rows go into the answer of the whole request, which is not written row by row."""

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits for these rows any more."""
        return self.gathering.call.is_gone or self.gathering.is_over

    def prediction_id(self, tag: str) -> str:
        """Return the id of the request that these rows belong to."""
        return self.gathering.call.prediction_id(tag)

    def finish(
        self, outputs: BatchOutputs, first: int, number: int, bodies: Sequence[bytes] | None = None
    ) -> str:
        """Hand these rows to the request they belong to."""
        del number, bodies
        if self.gathering.is_over:
            return CLIENT_GONE
        # Copies, because a slice would keep the whole batch in memory.
        rows = [array[first : first + self.rows].copy() for array in outputs.arrays]
        self.gathering.done(self, rows)
        return PARTIAL

    def fail(self, error: TidegateError | None) -> str:
        """Fail the request that these rows belong to."""
        self.gathering.failed(error)
        return PARTIAL


def _rows_of(data: Data, all_rows: int, first: int, rows: int) -> Data:
    """Return the elements of some rows; bytes and text alike are cut without copying numbers."""
    stride = len(data) // all_rows
    part = slice(first * stride, (first + rows) * stride)
    return data[part] if isinstance(data, list) else memoryview(data)[part]
