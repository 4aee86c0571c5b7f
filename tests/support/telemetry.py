"""A river that takes or refuses what a worker's telemetry sends, and batches to note."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from server.dataplane.telemetry import FLUSH_SECONDS, Telemetry, VersionTelemetry
from server.engine.batching import Closed
from server.engine.running import FinishedBatch
from server.errors import ModelFailed
from server.tensors import DATATYPES, Array, Signature, TensorSpec
from server.wire import record, tally
from server.wire.frames import Kind
from server.wire.record import BatchRecords
from server.wire.tally import Tally
from tests.support.batches import on_loop

FIXED = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, 3)),), (TensorSpec("y", DATATYPES["FP32"], (-1, 1)),)
)
OPEN = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, -1)),), (TensorSpec("y", DATATYPES["FP32"], (-1, 1)),)
)
TEXT = Signature(
    (TensorSpec("x", DATATYPES["BYTES"], (-1, 1)),), (TensorSpec("y", DATATYPES["FP32"], (-1, 1)),)
)


class River:
    """The way to control: takes messages, or refuses those of some kinds."""

    def __init__(self) -> None:
        self.refused: set[Kind] = set()
        self.refusals = 0
        self.records: list[BatchRecords] = []
        self.totals: dict[tuple[str, str], Tally] = {}
        self.tallies = 0

    def send(self, kind: Kind, parts: Sequence[bytes | memoryview]) -> bool:
        if kind in self.refused:
            self.refusals += 1
            return False
        message = memoryview(b"".join(parts))
        if kind is Kind.RECORDS:
            self.records.append(record.decode(message))
            return True
        assert kind is Kind.TALLY
        model, version, counts = tally.decode(message)
        self.totals.setdefault((model, version), Tally()).add(counts)
        self.tallies += 1
        return True


FIRST = 0x5F0000000
"""Number of the first request of a batch."""


@dataclass
class Asked:
    """A member of a batch."""

    arrived: float
    rows: int
    marks: int = 0
    first_row: int = 0
    number: int = 0

    def prediction_id(self, tag: str) -> str:
        return f"own-{self.number}-{tag}"


def batch(
    x: Array, *, requests: int = 1, error: ModelFailed | None = None, y: Array | None = None
) -> FinishedBatch:
    """Return a batch that started at 10.0, with each request half a second before."""
    inputs = [x]
    outputs = [] if error else [x[:, :1].astype(np.float32) if y is None else y]
    each = [len(x) // requests] * requests
    each[-1] += len(x) - sum(each)
    entries: list[Any] = [Asked(9.5, one) for one in each]
    return FinishedBatch(entries, len(x), inputs, outputs, error, Closed.EMPTY, 10.0, 10.125, 10.25)


def of_version(
    telemetry: Telemetry,
    signature: Signature = FIXED,
    *,
    is_batched: bool = True,
    version: str = "1",
) -> VersionTelemetry:
    return telemetry.of_version("m", version, "digest", signature, is_batched=is_batched)


def with_river(
    scenario: Callable[[River, Telemetry], Coroutine[Any, Any, None]], max_row_bytes: int = 1000
) -> None:
    """Run a scenario with a telemetry of worker 3, whose river is open."""

    async def run() -> None:
        river = River()
        telemetry = Telemetry(3, river.send, max_row_bytes)
        telemetry.generation = 7
        await scenario(river, telemetry)

    on_loop(run)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what happens here tells nobody
            await asyncio.sleep(FLUSH_SECONDS / 5)
