"""What is paid for each version, however few its requests: measured in this process.

The functions are those that worker and control call. Figures are the least of many tries, so that
other programs on the machine count little.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from loadtests.scale import taking
from server.dataplane.telemetry import Telemetry
from server.engine.batching import Closed
from server.engine.running import FinishedBatch
from server.tensors import DATATYPES, Array, Signature, TensorSpec
from server.wire import record, status, tally
from server.wire.frames import Kind
from server.wire.status import Gauges, Status
from server.wire.tally import Tally

SIGNATURE = Signature(
    (TensorSpec("X", DATATYPES["FP32"], (-1, 30)),),
    (
        TensorSpec("label", DATATYPES["INT64"], (-1,)),
        TensorSpec("probabilities", DATATYPES["FP32"], (-1, 2)),
    ),
)
TRIES = 300
MODELS = 200
BATCHES = 25
"""Of one row each, in a message that is not small."""

FLUSH = f"a worker's flush of {BATCHES} batches of one row"
BYTES = f"(bytes of the message, {BATCHES} batches of one row)"
STATUS = f"control reads a worker's state, {MODELS} models"
ROW, MESSAGE, COUNTING = taking.ROW, taking.MESSAGE, taking.COUNTING
HEAD_BYTES = 400
"""Of a message, without its rows."""


class _Request:
    """A member of a batch, as telemetry sees it."""

    arrived, rows, marks, first_row = 0.0, 1, 0, 0

    def prediction_id(self, tag: str) -> str:
        return tag


def figures() -> dict[str, float]:
    """Return microseconds of processor time, and bytes of messages, by what they are for."""
    return asyncio.run(_figures()) | taking.figures(SIGNATURE)


async def _figures() -> dict[str, float]:
    found: dict[str, float] = {}
    for batches in (1, BATCHES):
        words = f"{batches} batches of one row" if batches > 1 else "one row"
        flushed, message, counts = _flushed(batches)
        found[f"a worker's flush of {words}"] = flushed
        found[f"control reads it, {words}"] = _least(_timed(record.decode, memoryview(message)))
        found[f"control adds its tally, {words}"] = _least(_timed(_added, counts))
        found[f"(bytes of the message, {words})"] = float(len(message))
    said = status.encode_status(_status())
    of_worker = _timed(status.encode_status, _status())
    found[f"a worker says its state, {MODELS} models"] = _least(of_worker)
    found[STATUS] = _least(_timed(status.decode_status, said))
    return found


def _flushed(batches: int) -> tuple[float, bytes, bytes]:
    """Return what the flush of some batches takes, and the record and the tally that it sends."""
    sent: dict[Kind, bytes] = {}

    def send(kind: Kind, parts: Sequence[bytes | memoryview]) -> bool:
        sent[kind] = b"".join(parts)
        return True

    telemetry = Telemetry(0, send, 16 << 10)
    version = telemetry.of_version("model-000", "1", "d" * 64, SIGNATURE, is_batched=True)

    def flush() -> float:
        for number in range(batches):
            version.batch(_batch(), 0.002, number, all_ok=True)
        return _timed(telemetry.flush)()

    return _least(flush), sent[Kind.RECORDS], sent[Kind.TALLY]


def _added(counts: bytes) -> None:
    Tally().add(tally.decode(counts)[2])


def _batch() -> FinishedBatch:
    inputs: list[Array] = [np.zeros((1, 30), np.float32)]
    outputs: list[Array] = [np.zeros(1, np.int64), np.zeros((1, 2), np.float32)]
    entries: list[Any] = [_Request()]
    return FinishedBatch(entries, 1, inputs, outputs, None, Closed.EMPTY, 0.0, 0.0, 0.001)


def _status() -> Status:
    def of_models(value: Any) -> dict[str, Any]:
        return {f"model-{number:03d}": value for number in range(MODELS)}

    gauges = Gauges(queued_rows=of_models({"1": 0}))
    return Status(
        7,
        of_models({"1": "d" * 64}),
        of_models("1"),
        {},
        of_models({"1": 0.01}),
        gauges,
        released=of_models(1),
    )


def _timed(work: Callable[..., object], *arguments: object) -> Callable[[], float]:
    def run() -> float:
        started = time.process_time()
        work(*arguments)
        return time.process_time() - started

    return run


def _least(seconds: Callable[[], float]) -> float:
    return round(min(seconds() for _ in range(TRIES)) * 1e6, 1)


def table(found: dict[str, float]) -> str:
    """Return the figures as Markdown."""
    lines = ["| what, in processor time | µs |", "|---|---|"]
    return "\n".join(lines + [f"| {what} | {figure:,} |" for what, figure in found.items()])
