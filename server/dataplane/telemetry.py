"""What a worker tells control about its batches: tallies that arrive, records that may not.

Decides what is kept of each batch and when it is sent. The hot path only appends to lists; every
50 ms they become counts and records. Does not know sockets: it is given a `send` that takes a
message or refuses it.

Concurrency: event loop only.
Lifetime: a version's counts outlive the version until they have been sent.
"""

import asyncio
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from server.dataplane.batch_columns import CLOSED_CODES, Columns
from server.dataplane.reducing import Reducer, total_bytes
from server.engine.batcher import FinishedBatch
from server.tensors import Array, Signature, TensorSpec
from server.wire import record, tally
from server.wire.frames import Kind
from server.wire.record import BatchRecords, NamedTensor
from server.wire.tally import Tally

FLUSH_SECONDS = 0.05
TALLY_SECONDS = 0.25
FLUSH_BYTES = 512 << 10
"""Tensors of one version waiting for the river; beyond it they are sent at once."""

Send = Callable[[Kind, Sequence[bytes | memoryview]], bool]
"""Send a message; False if there is nobody to send to, or too much on its way already."""

UNKNOWN = "_unknown"
"""Label of requests that name no model we know: one, whatever names come in."""

_NO_TENSORS = 0


class VersionTelemetry:
    """The batches and refusals of one version since the last flush."""

    def __init__(
        self,
        owner: "Telemetry",
        model: str,
        version: str,
        digest: str = "",
        signature: Signature | None = None,
        *,
        is_batched: bool = False,
    ) -> None:
        self.model = model
        self.version = version
        self.tally = Tally()
        self._owner = owner
        self._digest = digest
        self._signature = signature or Signature((), ())
        self._row_bytes = _row_bytes(self._signature) if is_batched else None
        self._reducer = Reducer(self._signature, owner.max_row_bytes)
        self._arrived: list[float] = []
        self._spans: list[float] = []
        self._batches = array("d")
        self._groups: dict[tuple[object, ...], int] = {}
        self._kept: dict[int, list[tuple[list[Array], list[Array]]]] = {}
        self._kept_bytes = 0

    def refused(self, code: str) -> None:
        """Count a request that reached no batch."""
        self.tally.outcomes[code] += 1
        self._owner.note(self)

    def broken(self, rows: Mapping[tuple[str, str, str], int]) -> None:
        """Count rows that break data checks, by feature, what is broken and policy."""
        self.tally.broken.update(rows)
        self._owner.note(self)

    def request(self, code: str, seconds: float) -> None:
        """Count one request whose fate is not that of its batch."""
        self.tally.outcomes[code] += 1
        self.tally.outcome_seconds[code] += seconds
        self._spans.append(seconds)
        self._owner.note(self)

    def batch(
        self,
        batch: FinishedBatch,
        answered: float,
        *,
        all_ok: bool,
        is_answered: NDArray[np.bool_] | None = None,
    ) -> None:
        """Note a finished batch after its callers got their answers.

        `all_ok`: every member was a whole request and succeeded; if not, each is counted by
        `request`. `is_answered`, of shape (rows,), tells which rows are to be watched; None: all.
        """
        entries = batch.entries
        sent = batch if is_answered is None else _only(batch, is_answered)
        group = _NO_TENSORS if batch.error is not None or not sent.rows else self._keep(sent)
        self._arrived += [entry.arrived for entry in entries]
        self._batches.extend(
            (
                batch.started,
                batch.run_started,
                batch.run_finished,
                answered,
                batch.rows,
                len(entries),
                CLOSED_CODES[batch.closed],
                all_ok,
                batch.error is not None,
                group,
                sent.rows,
            )
        )
        self._owner.note(self)
        if self._kept_bytes > FLUSH_BYTES:
            self.flush()

    def _keep(self, batch: FinishedBatch) -> int:
        """Keep a batch's tensors for the river if they are small enough; return their group."""
        shapes: tuple[object, ...] = ()
        if self._row_bytes is not None:
            size = self._row_bytes * batch.rows
        else:
            arrays = [*batch.inputs, *batch.outputs]
            if any(array.shape[:1] != (batch.rows,) for array in arrays):
                return _NO_TENSORS
            size = total_bytes(arrays)
            shapes = tuple(array.shape[1:] for array in arrays)
        inputs, outputs = batch.inputs, batch.outputs
        if size > self._owner.max_row_bytes * batch.rows:
            inputs, outputs = self._reducer.reduce(batch)
            if not (inputs or outputs):
                return _NO_TENSORS
            size = total_bytes((*inputs, *outputs))
            shapes = tuple((array.dtype.names, array.shape[1:]) for array in (*inputs, *outputs))
            shapes = (bool(inputs), *shapes)
        group = self._groups.setdefault(shapes, len(self._groups) + 1)
        self._kept.setdefault(group, []).append((inputs, outputs))
        self._kept_bytes += size
        return group

    def flush(self) -> None:
        """Turn what was noted into counts, and send its records if they can be sent now."""
        if self._spans:
            self.tally.request.observe(np.array(self._spans))
            self._spans.clear()
        if self._batches:
            columns = Columns(self._batches, self._arrived, time.time() - time.perf_counter())
            columns.count_into(self.tally)
            for group in {_NO_TENSORS, *self._kept}:
                self._send_group(columns, group)
        self._batches = array("d")
        self._arrived.clear()
        self._groups.clear()
        self._kept.clear()
        self._kept_bytes = 0

    def _send_group(self, columns: Columns, group: int) -> None:
        batches, waits = columns.of_group(group)
        if not len(batches):
            return
        kept = self._kept.get(group, [])
        try:
            inputs = _joined(self._signature.inputs, [inputs for inputs, _ in kept])
            outputs = _joined(self._signature.outputs, [outputs for _, outputs in kept])
        except ValueError:
            # ONNX Runtime lets a model answer in other shapes than it declares, and from one batch
            # to the next in others again. That costs its record, never the counts of all versions.
            self._owner.records_dropped += 1
            return
        records = BatchRecords(
            self.model,
            self.version,
            self._digest,
            self._owner.worker,
            self._owner.generation,
            batches,
            waits,
            inputs,
            outputs,
        )
        self._owner.send_records(records)


def _only(batch: FinishedBatch, rows: NDArray[np.bool_]) -> FinishedBatch:
    """Return a batch with some of its rows; with none, if its tensors have no such rows."""
    if any(array.shape[:1] != rows.shape for array in (*batch.inputs, *batch.outputs)):
        return replace(batch, rows=0)
    return replace(
        batch,
        rows=int(rows.sum()),
        inputs=[array[rows] for array in batch.inputs],
        outputs=[array[rows] for array in batch.outputs],
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


class Telemetry:
    """All versions' telemetry, and the timer that sends it."""

    def __init__(self, worker: int, send: Send, max_row_bytes: int) -> None:
        self.worker = worker
        self.generation = 0
        self.max_row_bytes = max_row_bytes
        self.records_sent = 0
        self.records_dropped = 0
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._noted: dict[VersionTelemetry, None] = {}
        self._unsent: dict[VersionTelemetry, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tallies_due = 0.0
        self._refusals: dict[str, VersionTelemetry] = {}

    def of_version(
        self, model: str, version: str, digest: str, signature: Signature, *, is_batched: bool
    ) -> VersionTelemetry:
        """Make the telemetry of a version that is about to be served."""
        return VersionTelemetry(self, model, version, digest, signature, is_batched=is_batched)

    def refusals(self, model: str) -> VersionTelemetry:
        """Return where requests are counted that reached no version of a known model."""
        found = self._refusals.get(model)
        if found is None:
            found = self._refusals[model] = VersionTelemetry(self, model, "")
        return found

    def note(self, version: VersionTelemetry) -> None:
        """Make sure that a version's news is sent soon."""
        self._noted[version] = None
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._tick)

    def send_records(self, records: BatchRecords) -> None:
        """Send a record or count it as dropped."""
        if self._send(Kind.RECORDS, record.encode(records)):
            self.records_sent += 1
        else:
            self.records_dropped += 1

    def flush(self) -> None:
        """Send everything now, as far as it can be sent."""
        self._tallies_due = 0.0
        self._tick()

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for version in self._noted:
            version.flush()
        self._unsent |= self._noted
        self._noted = {}
        now = self._loop.time()
        if now >= self._tallies_due:
            self._tallies_due = now + TALLY_SECONDS
            self._send_tallies()
        if self._unsent:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._tick)

    def _send_tallies(self) -> None:
        for version in list(self._unsent):
            message = tally.encode(version.model, version.version, version.tally)
            if not self._send(Kind.TALLY, [message]):
                return  # Nothing is lost: the tally goes on counting until it can be sent.
            version.tally = Tally()
            del self._unsent[version]
