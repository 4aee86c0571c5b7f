"""Throughput and cost: the gateway beside others, in alternating runs.

Each round measures every target once, so that whatever else the machine does meets all of them
alike; figures are medians over rounds.
"""

import contextlib
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from loadtests import bench_models, targets, wrk
from loadtests.bench_models import Workload
from loadtests.peers.catalogue import PEERS
from loadtests.processes import pin
from loadtests.targets import Target
from loadtests.wrk import Run

WARM_SECONDS = 2


def expected_answer(
    repository: Path, workload: Workload
) -> tuple[float, onnxruntime.InferenceSession]:
    """Return the first number of the last output, by onnxruntime alone, and its session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(repository / workload.model / "1" / "model.onnx"),
        options,
        providers=["CPUExecutionProvider"],
    )
    outputs = session.run(None, dict(workload.inputs))
    return float(outputs[-1].ravel()[0]), session


def bare_rows_per_second(
    session: onnxruntime.InferenceSession, workload: Workload, seconds: float
) -> float:
    """Return the rows a second of a loop around `session.run` alone, arrays ready."""
    feed = dict(workload.inputs)
    started, runs = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        session.run(None, feed)
        runs += 1
    return runs * len(workload.rows) / (time.perf_counter() - started)


@dataclass(frozen=True)
class Options:
    """What to measure."""

    targets: list[str]
    workload: str
    connections: int
    rounds: int
    seconds: int
    workers: int
    beside: list[str]
    """Other servers, as NAME=PORT=COMMAND."""
    pinned: bool


def compare(options: Options) -> dict[str, list[Run]]:
    """Measure targets in turn; return the runs of each."""
    workload = bench_models.workloads()[options.workload]
    runs: dict[str, list[Run]] = {}
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        repository = scratch / "models"
        bench_models.write_repository(repository)
        expected, session = expected_answer(repository, workload)
        running = _start(options, workload, scratch, repository, stack)
        for target in running:
            wrk.check_answer(target, workload, expected)
            if options.pinned:
                pin(target.pid, {0})
            wrk.run(target, workload, options.connections, WARM_SECONDS, scratch)
        if options.pinned:
            os.sched_setaffinity(0, {1})
        for _ in range(options.rounds):
            for target in running:
                run = wrk.run(target, workload, options.connections, options.seconds, scratch)
                runs.setdefault(target.name, []).append(run)
            if "bare" in options.targets:
                runs.setdefault("bare", []).append(_bare(session, workload, options.seconds))
    return runs


def _start(
    options: Options,
    workload: Workload,
    scratch: Path,
    repository: Path,
    stack: contextlib.ExitStack,
) -> list[Target]:
    running: list[Target] = []
    if "tidegate" in options.targets:
        running.append(stack.enter_context(targets.tidegate(scratch, repository, options.workers)))
    if "plain" in options.targets:
        running.append(stack.enter_context(PEERS["plain"].start(scratch, repository, workload, 1)))
    for one in options.beside:
        name, port, command = one.split("=", 2)
        running.append(stack.enter_context(targets.other(scratch, name, command, int(port))))
    return running


def _bare(session: onnxruntime.InferenceSession, workload: Workload, seconds: int) -> Run:
    """Measure the bare loop on the core that the pinned targets use."""
    os.sched_setaffinity(0, {0})
    rate = bare_rows_per_second(session, workload, seconds) / len(workload.rows)
    os.sched_setaffinity(0, {1})
    requests = int(rate * seconds)
    return Run("bare", workload.name, 0, requests, 0, rate, 1 / rate, 1 / rate, 1 / rate)


def table(runs: dict[str, list[Run]]) -> str:
    """Return medians as a Markdown table; ratios are to the first target."""
    lines = [
        "| target | req/s | p50 µs | p99 µs | CPU µs/req | rate ratio | CPU ratio | runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    medians = {
        name: tuple(
            statistics.median(getattr(run, field) for run in each if run.is_valid)
            for field in (
                "requests_per_second",
                "p50_seconds",
                "p99_seconds",
                "cpu_seconds_per_request",
            )
        )
        for name, each in runs.items()
        if any(run.is_valid for run in each)
    }
    for name, each in runs.items():
        bad = sum(not run.is_valid for run in each)
        if name not in medians:
            lines.append(f"| {name} | invalid: errors in every run | | | | | | {len(each)} |")
            continue
        rate, p50, p99, cpu = medians[name]
        first = medians[next(iter(medians))]
        lines.append(
            f"| {name} | {rate:,.0f} | {p50 * 1e6:,.0f} | {p99 * 1e6:,.0f} | {cpu * 1e6:.1f} | "
            f"{rate / first[0]:.2f} | {cpu / first[3]:.2f} | {len(each) - bad}"
            f"{f' ({bad} invalid)' if bad else ''} |"
        )
    return "\n".join(lines)
