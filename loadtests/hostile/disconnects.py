"""Batches of which one member leaves: the others must be right, and nothing of it may stay.

Each batch is eight requests of one row on connections of their own. One member resets its
connection at a random time: with half of its request sent, right after it, or while the batch waits
or runs. The other seven must get the numbers of their own rows.
"""

import asyncio
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import uvloop

from loadtests import processes, targets
from loadtests.control import Control
from loadtests.hostile.lane import Lane
from loadtests.hostile.models import affine, put
from loadtests.hostile.mutations import request

MEMBERS = 8
GATHER_MS = 10
PATH = b"/v2/models/affine/infer"
SETTLE_SECONDS = 5.0


def measure(batches: int, seed: int) -> dict[str, Any]:
    """Run that many batches; every number is drawn from the seed."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        settings = f"max_rows = {MEMBERS}\nmax_delay_ms = {GATHER_MS}\n"
        put(scratch / "models", "affine", affine(), settings)
        control = Control(targets.free_port())
        flags = ("--control-port", str(control.port))
        with targets.tidegate(scratch, scratch / "models", 1, "tidegate", *flags) as target:
            worker = processes.worker(target.pid)
            outcome = uvloop.run(_run(target.port, batches, random.Random(seed), control, worker))
    return {"batches": batches, "seed": seed, **outcome}


async def _run(
    port: int, batches: int, rng: random.Random, control: Control, worker: int
) -> dict[str, Any]:
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    lanes = [await Lane.open(port) for _ in range(MEMBERS - 1)]
    await asyncio.sleep(1.0)
    before = processes.open_files(worker)
    for _ in range(batches):
        leaving = asyncio.create_task(_leave(port, rng, seen))
        rows = [[rng.randrange(1000) / 4 for _ in range(3)] for _ in lanes]
        pairs = zip(lanes, rows, strict=True)
        answers = await asyncio.gather(*(_ask(lane, row) for lane, row in pairs))
        for row, answer in zip(rows, answers, strict=True):
            if answer == [2 * value + 1 for value in row]:
                seen["right"] += 1
            else:
                wrong.append(f"{row}: {answer}")
        await leaving
    await asyncio.sleep(SETTLE_SECONDS)
    after = processes.open_files(worker)
    for lane in lanes:
        lane.transport.abort()
    metrics = await asyncio.to_thread(control.metrics)
    return {
        "others right": seen["right"],
        "others wrong": wrong[:5],
        "left": {key: count for key, count in seen.items() if key != "right"},
        "in flight after": metrics['tidegate_in_flight_requests{worker="0"}'],
        "queued rows after": metrics.get('tidegate_queued_rows{model="affine",version="1"}', 0.0),
        "descriptors more": after - before,
    }


def _bytes(row: list[float]) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": row}
    return request(PATH, orjson.dumps({"inputs": [tensor]}))


async def _ask(lane: Lane, row: list[float]) -> Any:
    answer = await lane.ask(_bytes(row))
    if answer is None or answer.status != 200:
        return answer
    return orjson.loads(answer.body)["outputs"][0]["data"]


async def _leave(port: int, rng: random.Random, seen: Counter[str]) -> None:
    """Be the eighth member, and reset the connection at a random time."""
    lane, data = await Lane.open(port), _bytes([1.0, 2.0, 3.0])
    how = rng.choice(["in its request", "at once", "while it waited", "when it was answered"])
    lane.send(data[: rng.randrange(len(data))] if how == "in its request" else data)
    if how == "while it waited":
        await asyncio.sleep(rng.random() * GATHER_MS / 1000)
    elif how == "when it was answered":
        await lane.wait(1, 10.0)
    seen[how] += 1
    lane.reset()
