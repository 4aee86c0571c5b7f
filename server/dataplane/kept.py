"""The tensors of a version's batches that wait for the river.

Decides what is kept of each batch: its rows as they are if they are small enough, else what
`reducing.py` makes of them; and which batches may lie behind each other in one record, because
their tensors have the same shapes. Does not know how records are sent.

Concurrency: event loop only.
Lifetime: that of a version's telemetry.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from server.dataplane.reducing import Reducer, total_bytes
from server.engine.batcher import FinishedBatch
from server.tensors import Array, Signature, TensorSpec
from server.wire.record import Content, NamedTensor

NO_TENSORS = 0
"""The group of batches that keep nothing but their numbers."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The tensors of one group of batches, rows behind each other."""

    content: Content
    inputs: list[NamedTensor]
    outputs: list[NamedTensor]


class KeptTensors:
    """What is kept of the batches since the last flush, group by group."""

    def __init__(self, signature: Signature, max_row_bytes: int, *, is_batched: bool) -> None:
        self.bytes = 0
        """Of all tensors that are kept."""
        self._signature = signature
        self._max_row_bytes = max_row_bytes
        self._row_bytes = _row_bytes(signature) if is_batched else None
        self._reducer = Reducer(signature, max_row_bytes)
        self._groups: dict[tuple[object, ...], int] = {}
        self._kept: dict[int, list[tuple[list[Array], list[Array]]]] = {}
        self._reduced = {NO_TENSORS}

    def keep(self, batch: FinishedBatch) -> int:
        """Keep what is to be kept of a batch's tensors; return their group."""
        shapes: tuple[object, ...] = ()
        if self._row_bytes is not None:
            size = self._row_bytes * batch.rows
        else:
            arrays = [*batch.inputs, *batch.outputs]
            if any(array.shape[:1] != (batch.rows,) for array in arrays):
                return NO_TENSORS
            size = total_bytes(arrays)
            shapes = tuple(array.shape[1:] for array in arrays)
        inputs, outputs = batch.inputs, batch.outputs
        is_large = size > self._max_row_bytes * batch.rows
        if is_large:
            inputs, outputs = self._reducer.reduce(batch)
            if not (inputs or outputs):
                return NO_TENSORS
            size = total_bytes((*inputs, *outputs))
            shapes = tuple((array.dtype.names, array.shape[1:]) for array in (*inputs, *outputs))
            shapes = (bool(inputs), *shapes)
        group = self._groups.setdefault((is_large, *shapes), len(self._groups) + 1)
        if is_large:
            self._reduced.add(group)
        self._kept.setdefault(group, []).append((inputs, outputs))
        self.bytes += size
        return group

    def groups(self) -> Iterator[int]:
        """Yield every group that batches may be of."""
        yield NO_TENSORS
        yield from self._kept

    def of_group(self, group: int) -> Kept:
        """Return the tensors of a group.

        Raises:
            ValueError: they cannot be joined. ONNX Runtime lets a model answer in other shapes than
                it declares, and from one batch to the next in others again.

        """
        kept = self._kept.get(group, [])
        return Kept(
            Content.REDUCED if group in self._reduced else Content.ROWS,
            _joined(self._signature.inputs, [inputs for inputs, _ in kept]),
            _joined(self._signature.outputs, [outputs for _, outputs in kept]),
        )

    def clear(self) -> None:
        """Let go of everything."""
        self.bytes = 0
        self._groups.clear()
        self._kept.clear()
        self._reduced = {NO_TENSORS}


def _row_bytes(signature: Signature) -> int | None:
    """Return the size of a row's tensors, None if it varies or rows have no meaning."""
    total = 0
    for spec in (*signature.inputs, *signature.outputs):
        if not spec.has_rows or spec.row_items is None or spec.datatype.is_text:
            return None
        total += spec.row_items * spec.datatype.item_bytes
    return total


def _joined(specs: tuple[TensorSpec, ...], batches: list[list[Array]]) -> list[NamedTensor]:
    if not any(batches):
        return []
    return [
        NamedTensor(
            spec.name,
            spec.datatype.name,
            arrays[0] if len(arrays) == 1 else np.concatenate(arrays),
        )
        for spec, arrays in zip(specs, zip(*batches, strict=True), strict=True)
    ]
