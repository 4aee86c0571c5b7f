"""What feedback costs: processor time of requests, bytes of a kept answer, labels a second.

The gateway runs twice, with answers kept and not, and both are measured in turns. Labels are joined
in this process, by the functions that control calls, on a store of their own.
"""

import asyncio
import tempfile
import time
from pathlib import Path

import numpy as np

from loadtests import monitoring, throughput
from server.controlplane.feedback_work import BlockCache, Order, work_of_joining
from server.monitoring.kept_answers import AnswerPlan, AnswerReader, LabelKind
from server.monitoring.label_items import Item
from server.monitoring.locating import Version
from server.monitoring.prediction_blocks import (
    REQUEST_COLUMNS,
    PredictionBlock,
    PredictionId,
    encode,
)
from server.monitoring.realised import Task
from server.store.database import Store

ROWS = 100_000
CALL = 10_000
CLASSES = 10
OF = Version("m", "1", "d")


def measure(rounds: int, seconds: int) -> str:
    """Return all tables."""
    runs = monitoring.in_turns(rounds, seconds, "feedback_sample_bp", ("0", "10000"))
    lines = [throughput.table(runs), "", "| what | figure |", "|---|---|"]
    for words, block in (("two classes", _block(2)), (f"{CLASSES} classes", _block(CLASSES))):
        lines.append(f"| a kept answer of {words} | {len(encode(block)) / ROWS:.1f} bytes |")
    lines.append(f"| a label joined, {CALL:,} a call | {asyncio.run(_label_us()):.1f} µs |")
    return "\n".join(lines)


def _block(classes: int) -> PredictionBlock:
    """Return answers to requests of one row, of two workers in turns."""
    task = Task.BINARY if classes == 2 else Task.MULTICLASS
    reader = AnswerReader(AnswerPlan(task, LabelKind.INTEGER, "p", classes=classes))
    scores = np.random.default_rng(1).dirichlet(np.ones(classes), ROWS).astype(np.float32)
    answers = reader.take({"p": scores})
    assert answers is not None, "they are finite and of one kind"
    numbers = np.arange(ROWS)
    columns = {name: np.zeros(ROWS, dtype) for name, dtype in REQUEST_COLUMNS.items()}
    columns["at_us"] += int(time.time() * 1e6) + numbers
    columns["tag"] += (numbers % 2).astype(np.uint32)
    columns["rows"] += 1
    return PredictionBlock(reader.plan, reader.names, (), columns, answers)


async def _label_us() -> float:
    """Return the wall time of one label in a call of many, its commit to the disk included."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as scratch:
        store, cache, block = Store(Path(scratch)), BlockCache(), _block(2)

        async def join(blocks: list[PredictionBlock], first: int) -> None:
            items = [
                Item(PredictionId(int(block.requests["at_us"][at]), at % 2), 0, at % 2)
                for at in range(first, min(ROWS, first + CALL))
            ]
            some = [(OF, one) for one in blocks]
            order = Order(some, items, {}, {}, time.time(), 1e6, 10 * ROWS)
            await store.run(work_of_joining(order, cache), is_durable=True)

        await join([block], ROWS)
        started = time.perf_counter()
        for first in range(0, ROWS, CALL):
            await join([], first)
        spent = time.perf_counter() - started
        await store.close()
    return spent / ROWS * 1e6
