"""Make rows that are too large for the river small: summaries and projections of large tensors.

Decides what is sent of a batch whose rows are too large: small tensors as they are, large ones
reduced to what monitoring watches of them anyway (`monitoring/taking.py`), long texts as the words
that they are counted as, and nothing of a side that stays too large. Reducing may cost a twentieth
of what the model itself takes: of a model that is quick beside the size of its rows, some batches
go without their large side. Which ones depends on run times only, not on what is in the rows, so
those that go are a fair sample.

Concurrency: event loop only.
Lifetime: that of a version's telemetry.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from server.engine.running import FinishedBatch
from server.monitoring.columns import summaries_of
from server.monitoring.taking import flat_rows, reduced
from server.statistics.categories import shortened
from server.tensors import Array, Signature, TensorSpec

MAX_VALUES = 1 << 20
"""Of the large tensors of one batch: reducing more would hold up the event loop for too long."""

SHARE = 0.05
"""Of the model's run time that reducing may cost."""

SECONDS_PER_VALUE = 4e-9
_MAX_CREDIT_SECONDS = 0.1


class Reducer:
    """What a version's large batches send instead of themselves."""

    def __init__(self, signature: Signature, max_row_bytes: int) -> None:
        self._signature = signature
        self._max_row_bytes = max_row_bytes
        self._credit_seconds = 0.0

    def reduce(self, batch: FinishedBatch) -> tuple[list[Array], list[Array]]:
        """Return what to send of the inputs and of the outputs: nothing of what stays too large.

        Reduced tensors are structured arrays of shape (rows,) with a field for each summary.
        """
        run_seconds = batch.run_finished - batch.run_started
        self._credit_seconds = min(self._credit_seconds + SHARE * run_seconds, _MAX_CREDIT_SECONDS)
        return (
            self._side(self._signature.inputs, batch.inputs, batch.rows),
            self._side(self._signature.outputs, batch.outputs, batch.rows),
        )

    def _side(self, specs: Sequence[TensorSpec], arrays: Sequence[Array], rows: int) -> list[Array]:
        room = self._max_row_bytes * rows
        pairs = list(zip(specs, arrays, strict=True))
        large = [total_bytes([array]) > room for array in arrays]
        values = sum(array.size for array, is_large in zip(arrays, large, strict=True) if is_large)
        cost_seconds = values * SECONDS_PER_VALUE
        if values > MAX_VALUES or cost_seconds > self._credit_seconds:
            return []
        self._credit_seconds -= cost_seconds
        sent = [
            _reduced(spec, array) if is_large else array
            for (spec, array), is_large in zip(pairs, large, strict=True)
        ]
        return sent if total_bytes(sent) <= room else []


def _reduced(spec: TensorSpec, array: Array) -> Array:
    if spec.datatype.is_text:
        short = np.empty(array.size, object)
        short[:] = [shortened(text) for text in array.ravel().tolist()]
        return short.reshape(array.shape)
    return reduced(flat_rows(array, spec.datatype.name), summaries_of(spec))


def total_bytes(arrays: Iterable[Array]) -> int:
    """Return the bytes of all arrays, text counted by its characters."""
    return sum(
        sum(map(len, array.ravel().tolist())) if array.dtype == object else array.nbytes
        for array in arrays
    )
