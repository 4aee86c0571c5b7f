"""Send mutated requests to a real gateway, and hold every answer to a second opinion.

`oracle.py` cuts the same bytes into requests by the strictest reading. The gateway may refuse more;
it may not answer more, and never a request that hides in another's body. No answer may be a 5xx,
except those that a good client could get: a value that makes the model answer infinity, say. After
each thousand, health is 200 and a known good answer is bit-exact.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from loadtests import processes, targets
from loadtests.hostile import oracle
from loadtests.hostile.lane import Answer, Lane
from loadtests.hostile.models import affine, put
from loadtests.hostile.mutations import GOOD, MODEL, SMUGGLED, mutated, request

LANES = 32
PARTS = 10
HEALTH = request(b"/v2/health/ready", method=b"GET")
PATIENCE_SECONDS = 60.0
"""How long an answer may take: on a busy machine, nobody may be let run for many seconds."""
REQUESTS_PER_CONNECTION = 20
EXPECTED_5XX = {"non_finite_output", "queue_full", "deadline_queue", "deadline_run"}
"""What a good client may get too: from numbers that overflow, or with a deadline of nothing."""
MAX_TROUBLES = 20


@dataclass
class Found:
    """What was seen."""

    streams: int = 0
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    silent: int = 0
    """Streams after which answers that were due did not come."""
    checks: int = 0
    troubles: list[str] = field(default_factory=list)

    def trouble(self, seed: int, what: str, data: bytes = b"") -> None:
        """Note what must not be."""
        self.troubles.append(f"seed {seed}: {what}: {data[:300]!r}")


def measure(requests: int, seed: int) -> dict[str, Any]:
    """Send that many mutated requests; what is wrong is named with the seed that makes it again."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", MODEL, affine())
        with targets.tidegate(scratch, scratch / "models") as target:
            worker = processes.worker(target.pid)
            found, started = Found(), time.perf_counter()
            memory = []
            for part in range(PARTS):
                uvloop.run(_run(target.port, requests // PARTS, seed + part * requests, found))
                memory.append(processes.resident_bytes(worker) / (1 << 20))
            seconds = time.perf_counter() - started
            same = processes.worker(target.pid) == worker
        log = (scratch / "tidegate.log").read_text()
    if not same:
        found.trouble(seed, "the worker was replaced")
    if "Traceback" in log:
        found.trouble(seed, "an exception in the log", log[log.index("Traceback") :].encode())
    return {
        "requests": found.requests,
        "streams": found.streams,
        "seed": seed,
        "seconds": round(seconds, 1),
        "statuses": {str(key): count for key, count in sorted(found.statuses.items())},
        "checks of health and of a good answer": found.checks,
        "streams without a due answer": found.silent,
        "memory of the worker after each tenth, MiB": [round(one, 2) for one in memory],
        "MiB more in the last half": round(memory[-1] - memory[PARTS // 2 - 1], 2),
        "troubles": found.troubles,
    }


async def _run(port: int, requests: int, seed: int, found: Found) -> None:
    end = found.requests + requests
    seeds = iter(range(seed, seed + requests))
    good = await _known_good(port)
    checking = asyncio.Lock()

    async def lane() -> None:
        connection: Lane | None = None
        for one in seeds:
            if found.requests >= end or len(found.troubles) >= MAX_TROUBLES:
                break
            connection = await _one(port, one, connection, found)
            if found.requests // 1000 > found.checks and not checking.locked():
                async with checking:
                    found.checks = found.requests // 1000
                    await _check(port, good, one, found)
        if connection is not None:
            connection.transport.abort()

    await asyncio.gather(*(lane() for _ in range(LANES)))


async def _one(port: int, seed: int, connection: Lane | None, found: Found) -> Lane | None:
    """Send one stream and judge its answers; return the connection if it may be used again."""
    rng = random.Random(seed)
    data = mutated(rng)
    expected = list(oracle.requests(data))
    found.streams += 1
    found.requests += max(1, len(expected))
    if connection is None or connection.is_closed:
        connection = await Lane.open(port)
    connection.answers.clear()
    connection.methods.clear()
    connection.methods.extend(one.method for one in expected)
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3))))
    for start, stop in zip([0, *places], [*places, len(data)], strict=True):
        connection.send(data[start:stop])
        if stop < len(data):
            await asyncio.sleep(0)
    if not await connection.wait(len(expected), PATIENCE_SECONDS):
        found.silent += 1
        found.trouble(seed, f"{len(expected)} answers due, {len(connection.answers)} came", data)
    _judge(seed, data, expected, connection, found)
    # Only what was read to its end leaves the connection where both sides think it is.
    is_clean = bool(expected) and expected[-1].end == len(data)
    if is_clean and not connection.is_closed and rng.randrange(REQUESTS_PER_CONNECTION):
        return connection
    connection.transport.abort()
    return None


def _judge(
    seed: int, data: bytes, expected: list[oracle.Found], connection: Lane, found: Found
) -> None:
    answers = list(connection.answers)
    for answer in answers:
        found.statuses[answer.status] += 1
        if answer.status >= 500 and answer.code not in EXPECTED_5XX:
            found.trouble(seed, f"{answer.status} {answer.body[:200]!r}", data)
        if SMUGGLED in answer.body and not any(SMUGGLED in one.target for one in expected):
            found.trouble(seed, "a smuggled request was answered", data)
    if connection.garbage:
        found.trouble(seed, f"no answer at all: {connection.garbage[:100]!r}", data)
    more = answers[len(expected) :]
    if len(more) > 1 or any(answer.status < 400 for answer in more):
        found.trouble(seed, f"{len(answers)} answers to {len(expected)} requests", data)


async def _known_good(port: int) -> bytes:
    answer = None
    for _ in range(1000):
        answer = await _fresh(port, GOOD)
        if answer is not None and answer.status == 200:
            return answer.body
        await asyncio.sleep(0.05)
    raise SystemExit(f"the good request is answered with {answer}")


async def _check(port: int, good: bytes, seed: int, found: Found) -> None:
    health = await _fresh(port, HEALTH)
    if health is None or health.status != 200:
        found.trouble(seed, f"health is {health}")
    answer = await _fresh(port, GOOD)
    if answer is None or answer.body != good:
        found.trouble(seed, f"the good answer is {answer}")


async def _fresh(port: int, data: bytes) -> Answer | None:
    connection = await Lane.open(port)
    try:
        return await connection.ask(data)
    finally:
        connection.transport.abort()
