"""Requests that make a whole run fail, among good ones in the same batches.

The model looks up a table, and an index out of range makes ONNX Runtime fail the run for all of its
rows. No good request may fail for a batch-mate's fault.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvloop

from loadtests import targets
from loadtests.hostile.lane import Lane
from loadtests.hostile.models import gather, put
from loadtests.hostile.mutations import request

LANES = 64
ROWS = 4
PATH = b"/v2/models/gather/infer"


def measure(requests: int, seed: int) -> dict[str, Any]:
    """Send that many requests without poison, and as many of which 1 % are poison."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", "gather", gather(ROWS))
        with targets.tidegate(scratch, scratch / "models") as target:
            rng = random.Random(seed)
            clean = uvloop.run(_run(target.port, requests, 0.0, rng))
            poisoned = uvloop.run(_run(target.port, requests, 0.01, rng))
    ratio = poisoned["good p99 ms"] / clean["good p99 ms"]
    return {"seed": seed, "clean": clean, "1 % poison": poisoned, "p99 ratio": round(ratio, 2)}


async def _run(port: int, requests: int, share: float, rng: random.Random) -> dict[str, Any]:
    kinds = iter([rng.random() < share for _ in range(requests)])
    latencies: list[float] = []
    outcomes: Counter[str] = Counter()
    failed: list[str] = []

    async def client() -> None:
        lane = await Lane.open(port)
        for is_poison in kinds:
            index = rng.randrange(ROWS)
            started = time.perf_counter()
            answer = await lane.ask(_bytes(99 if is_poison else index))
            took = time.perf_counter() - started
            if is_poison:
                outcomes[f"poison: {answer.status} {answer.code}" if answer else "none"] += 1
                continue
            latencies.append(took)
            is_ok = answer is not None and answer.status == 200
            data = orjson.loads(answer.body)["outputs"][0]["data"] if answer and is_ok else None
            if data == [2.0 * index, 2.0 * index + 1]:
                outcomes["good"] += 1
            else:
                failed.append(f"{index}: {answer}")
        lane.transport.abort()

    await asyncio.gather(*(client() for _ in range(LANES)))
    p99 = float(np.quantile(latencies, 0.99)) * 1000
    return {"outcomes": dict(outcomes), "failed": failed[:5], "good p99 ms": round(p99, 2)}


def _bytes(index: int) -> bytes:
    tensor = {"name": "index", "datatype": "INT64", "shape": [1], "data": [index]}
    return request(PATH, orjson.dumps({"inputs": [tensor]}))
