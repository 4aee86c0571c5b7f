"""The tensors of a version's batches that wait for the river.

Decides what is kept of each batch: its rows as they are if they are small enough, else what
`reducing.py` makes of them, and of some batches the rows as well (`mirroring.py`). Decides too
which batches may lie behind each other in one record, because their tensors have the same shapes.
Does not know how records are sent.

Concurrency: event loop only.
Lifetime: that of a version's telemetry.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from server.dataplane.mirroring import ByteBudget, Mirror
from server.dataplane.reducing import Reducer, total_bytes
from server.engine.running import FinishedBatch
from server.release.route import ALL_BP
from server.tensors import Array, Signature, TensorSpec
from server.wire.record import Content, NamedTensor

Tensors = tuple[list[Array], list[Array]]
"""Inputs and outputs of one batch."""

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

    def __init__(
        self, signature: Signature, max_row_bytes: int, budget: ByteBudget, *, is_batched: bool
    ) -> None:
        self.mirror = Mirror(budget)
        self.bytes = 0
        """Of all tensors that are kept."""
        self._signature = signature
        self._max_row_bytes = max_row_bytes
        self._row_bytes = _row_bytes(signature) if is_batched else None
        self._reducer = Reducer(signature, max_row_bytes)
        self._groups: dict[tuple[object, ...], int] = {}
        self._contents: dict[int, Content] = {}
        self._kept: dict[int, list[Tensors]] = {}
        self._whole: dict[int, list[Tensors]] = {}

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
        if size > self._max_row_bytes * batch.rows:
            return self._keep_large(batch, size)
        group = self._group(Content.ROWS, shapes)
        self._kept[group].append((batch.inputs, batch.outputs))
        self.bytes += size
        return group

    def _keep_large(self, batch: FinishedBatch, size: int) -> int:
        """Keep what can be made of large rows, and perhaps a reference to the rows themselves."""
        draw_bp = random.randrange(ALL_BP)  # noqa: S311 - a share of batches, and no secret
        is_mirrored = self.mirror.takes(size, draw_bp, batch.run_finished)
        inputs, outputs = self._reducer.reduce(batch)
        if not (inputs or outputs or is_mirrored):
            return NO_TENSORS
        shapes = tuple((array.dtype.names, array.shape[1:]) for array in (*inputs, *outputs))
        whole = [array.shape[1:] for array in (*batch.inputs, *batch.outputs) if is_mirrored]
        group = self._group(Content.REDUCED, (bool(inputs), shapes, *whole))
        self._kept[group].append((inputs, outputs))
        self.bytes += total_bytes((*inputs, *outputs))
        if is_mirrored:
            self._whole.setdefault(group, []).append((batch.inputs, batch.outputs))
            self.bytes += size
        return group

    def _group(self, content: Content, shapes: tuple[object, ...]) -> int:
        """Return the group of such batches."""
        group = self._groups.setdefault((content, *shapes), len(self._groups) + 1)
        if group not in self._kept:
            self._kept[group] = []
            self._contents[group] = content
        return group

    def groups(self) -> Iterator[int]:
        """Yield every group that batches may be of."""
        yield NO_TENSORS
        yield from self._kept

    def of_group(self, group: int) -> list[Kept]:
        """Return the tensors of a group: what monitoring reads, and behind it a mirror, if any.

        Raises:
            ValueError: they cannot be joined. ONNX Runtime lets a model answer in other shapes than
                it declares, and from one batch to the next in others again.

        """
        content = self._contents.get(group, Content.REDUCED)
        found = [self._joined(content, self._kept.get(group, []))]
        if group in self._whole:
            found.append(self._joined(Content.MIRROR, self._whole[group]))
        return found

    def _joined(self, content: Content, kept: list[Tensors]) -> Kept:
        return Kept(
            content,
            _joined(self._signature.inputs, [inputs for inputs, _ in kept]),
            _joined(self._signature.outputs, [outputs for _, outputs in kept]),
        )

    def take_unmirrored(self) -> Counter[str]:
        """Return how many batches should have been mirrored since the last time, by reason."""
        dropped, self.mirror.dropped = self.mirror.dropped, Counter()
        return dropped

    def clear(self) -> None:
        """Let go of everything."""
        self.bytes = 0
        self._groups.clear()
        self._contents.clear()
        self._kept.clear()
        self._whole.clear()


def only_answered(batch: FinishedBatch, rows: list[int], answered_rows: list[int]) -> FinishedBatch:
    """Return a batch with the answered rows; with none, if its tensors have no such rows.

    `rows` are those of each member, `answered_rows` the same or 0.
    """
    if any(array.shape[:1] != (batch.rows,) for array in (*batch.inputs, *batch.outputs)):
        return replace(batch, rows=0)
    is_answered = np.repeat(np.array(answered_rows) > 0, rows)
    return replace(
        batch,
        rows=sum(answered_rows),
        inputs=[array[is_answered] for array in batch.inputs],
        outputs=[array[is_answered] for array in batch.outputs],
    )


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
