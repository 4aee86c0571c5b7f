"""Slow clients beside good ones: what they cost the good ones, and when they are gone.

Good clients send at a rate of their own, first alone and then beside 500 clients whose headers and
500 whose bodies never end, in turns. After that, 200 clients ask for a megabyte each and read a
byte now and then. All slow ones must be closed soon after their time-out; descriptors and memory of
the worker come back.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson

from loadtests import open_loop, processes, targets
from loadtests.hostile.models import affine, put, wide

HEADER_SECONDS, BODY_SECONDS, WRITE_SECONDS = 10, 30, 30
SLACK_SECONDS = 1.0
READER_SLACK_SECONDS = 10.0
"""For readers, whose system goes on taking something of their answers for some seconds."""
RATE = 300.0
BODY = orjson.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
)
EXPECTED = b"[3.0,5.0,7.0]"


def measure(slow: int, readers: int, rounds: int, seconds: int) -> dict[str, Any]:
    """Measure good clients without and with so many slow ones of each kind, in turns."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", "affine", affine())
        put(scratch / "models", "wide", wide())
        flags = ("--max-connections", str(4 * slow + 4 * readers + 200))
        with targets.tidegate(scratch, scratch / "models", 1, "tidegate", *flags) as target:
            return _measure(target, slow, readers, rounds, seconds)


def _measure(
    target: targets.Target, slow: int, readers: int, rounds: int, seconds: int
) -> dict[str, Any]:
    worker = processes.worker(target.pid)
    good = _good(target.port, 5)
    time.sleep(1.0)
    descriptors = processes.open_files(worker)
    alone: list[float] = []
    beside: list[float] = []
    closed: dict[str, list[float]] = {"header": [], "body": [], "reader": []}
    failures: list[str] = list(good.failures)
    for _ in range(rounds):
        answers = _good(target.port, seconds)
        alone.append(answers.quantile(0.99))
        failures += answers.failures
        crowds = {kind: _crowd(kind, target.port, slow) for kind in ("header", "body")}
        answers = _good(target.port, seconds)
        beside.append(answers.quantile(0.99))
        failures += answers.failures
        for kind, crowd in crowds.items():
            closed[kind] += _end(crowd)
    after = _settled(worker, descriptors)
    before_bytes = processes.resident_bytes(worker)
    crowd = _crowd("reader", target.port, readers)
    time.sleep(5.0)
    peak_bytes = processes.resident_bytes(worker)
    closed["reader"] += _end(crowd)
    return {
        "good p99 ms alone": [round(value * 1000, 2) for value in alone],
        "good p99 ms beside slow ones": [round(value * 1000, 2) for value in beside],
        "ratio of medians": round(statistics.median(beside) / statistics.median(alone), 2),
        "good requests that failed": failures[:5],
        "slow headers closed after s": _ends(closed["header"], HEADER_SECONDS + SLACK_SECONDS),
        "slow bodies closed after s": _ends(closed["body"], BODY_SECONDS + SLACK_SECONDS),
        "slow readers closed after s": _ends(
            closed["reader"], WRITE_SECONDS + READER_SLACK_SECONDS
        ),
        "descriptors before, after slow senders, at the end": [
            descriptors,
            after,
            _settled(worker, descriptors),
        ],
        "MiB more with slow readers": round((peak_bytes - before_bytes) / (1 << 20), 1),
    }


def _good(port: int, seconds: float) -> open_loop.Answers:
    url = f"http://127.0.0.1:{port}/v2/models/affine/infer"
    return open_loop.run(url, BODY, EXPECTED, RATE, seconds)


def _crowd(kind: str, port: int, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "loadtests.hostile.crowd", kind, str(port), str(count)]
    crowd = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert crowd.stdout is not None, "it is a pipe"
    assert crowd.stdout.readline() == "connected\n", "the crowd could not connect"
    return crowd


def _end(crowd: "subprocess.Popen[str]") -> list[float]:
    output, _ = crowd.communicate()
    seconds: list[float] = json.loads(output)
    return seconds


def _ends(seconds: list[float], limit: float) -> str:
    late = sum(one > limit for one in seconds)
    return f"{min(seconds):.1f} to {max(seconds):.1f}, {late} of {len(seconds)} late"


def _settled(worker: int, expected: int) -> int:
    """Return the open descriptors of the worker, when they have come down or after a while."""
    for _ in range(50):
        if processes.open_files(worker) <= expected:
            break
        time.sleep(0.1)
    return processes.open_files(worker)
