"""The scenario `together`: a slow model and a fast one in the same worker.

The fast model gets requests at a fixed rate, whatever the answers take; the slow one as many as it
answers. Each is measured alone and beside the other, in turns: what a slow neighbour does to the
latency of a fast model, and what the fast one takes from the slow one.
"""

import contextlib
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from loadtests import bench_models, open_loop, wrk
from loadtests.bench_models import Workload
from loadtests.open_loop import Answers
from loadtests.scale import gateways
from loadtests.scale.gateways import Gateway
from loadtests.wrk import Run

SLOW_SIZES = (256, 4096, 4096, 10)
"""Some 18 million products a row: milliseconds on one core."""
SLOW_CONNECTIONS = 4
WARM_SECONDS = 2


def measure(rounds: int, seconds: int, rate: int) -> dict[str, Any]:
    """Measure both models alone and together; return the figures."""
    rows = np.random.default_rng(0).standard_normal((1, SLOW_SIZES[0])).astype(np.float32)
    fast = gateways.tabular_workload()
    slow = Workload("slow", "slow", {"input": rows}, is_binary=True)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        repository = scratch / "models"
        for name, content in (
            ("tabular", bench_models.tabular()),
            ("slow", bench_models.dense(SLOW_SIZES)),
        ):
            (repository / name / "1").mkdir(parents=True)
            (repository / name / "1" / "model.onnx").write_bytes(content)
        running = stack.enter_context(gateways.gateway(scratch, repository))
        threads = stack.enter_context(ThreadPoolExecutor(1))
        for workload in (fast, slow):
            gateways.check(running, workload, repository, [workload.model])
            gateways.learn(running, workload, [workload.model])
        wrk.run(running.target, slow, SLOW_CONNECTIONS, WARM_SECONDS, scratch)
        alone: list[Answers] = []
        beside: list[Answers] = []
        slow_alone: list[Run] = []
        slow_beside: list[Run] = []
        for _ in range(rounds):
            alone.append(_ask(running, fast, rate, seconds))
            slow_alone.append(wrk.run(running.target, slow, SLOW_CONNECTIONS, seconds, scratch))
            other = threads.submit(
                wrk.run, running.target, slow, SLOW_CONNECTIONS, seconds + 1, scratch
            )
            beside.append(_ask(running, fast, rate, seconds))
            slow_beside.append(other.result())
    return {
        "rate_per_second": rate,
        "fast": {"alone": _latency(alone), "beside the slow one": _latency(beside)},
        "slow": {"alone": _throughput(slow_alone), "beside the fast one": _throughput(slow_beside)},
    }


def _ask(running: Gateway, workload: Workload, rate: int, seconds: int) -> Answers:
    body, _ = workload.body()
    url = running.target.url(workload)
    return open_loop.run(url, body, b'"outputs"', rate, seconds)


def _latency(rounds: list[Answers]) -> dict[str, Any]:
    """Return the medians over rounds; a run with failures counts for nothing and is told."""
    good = [one for one in rounds if not one.failures]
    if not good:
        raise SystemExit(f"failures in every run: {rounds[0].failures[:2]}")
    return {
        f"{name}_ms": round(statistics.median(one.quantile(share) for one in good) * 1e3, 2)
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
    } | {"requests": sum(len(one.latencies) for one in good), "invalid": len(rounds) - len(good)}


def _throughput(rounds: list[Run]) -> dict[str, Any]:
    good = [one for one in rounds if one.is_valid]
    if not good:
        raise SystemExit(f"errors in every run: {rounds[0].errors} in the first")
    return {
        "requests_per_second": round(statistics.median(one.requests_per_second for one in good)),
        "p50_ms": round(statistics.median(one.p50_seconds for one in good) * 1e3, 2),
        "p99_ms": round(statistics.median(one.p99_seconds for one in good) * 1e3, 2),
        "invalid": len(rounds) - len(good),
    }


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    names = ("p50_ms", "p90_ms", "p99_ms", "p99.9_ms", "requests", "invalid")
    lines = [
        f"| the fast model, {found['rate_per_second']} requests a second | p50 ms | p90 ms | "
        "p99 ms | p99.9 ms | requests | invalid |",
        "|---" * 7 + "|",
    ]
    for what, one in found["fast"].items():
        lines.append(f"| {what} | {' | '.join(f'{one[name]:,}' for name in names)} |")
    columns = ("requests_per_second", "p50_ms", "p99_ms", "invalid")
    lines += ["", "| the slow model | req/s | p50 ms | p99 ms | invalid |", "|---" * 5 + "|"]
    for what, one in found["slow"].items():
        lines.append(f"| {what} | {' | '.join(f'{one[name]:,}' for name in columns)} |")
    return "\n".join(lines)
