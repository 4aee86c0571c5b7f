"""What monitoring costs: processor time of requests and of values, memory, scrapes.

The gateway runs twice, with monitoring on and off, and both are measured in turns. The rest is
measured in this process, on the same functions that control calls.
"""

import contextlib
import json
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from loadtests import bench_models, footprint, targets, throughput, wrk
from loadtests.wrk import Run
from server.statistics.bins import reference_bins
from server.statistics.histogram import Fold, Slab

FEATURES, MODELS, VERSIONS = 500, 3, 2
LEARNED_ROWS = 600
SCRAPES = 10


def measure(rounds: int, seconds: int) -> str:
    """Return all tables."""
    runs = in_turns(rounds, seconds, "monitor", ("off", "on"))
    lines = [throughput.table(runs), "", "| what | figure |", "|---|---|"]
    lines += [f"| a value counted, {n} columns | {_fold_ns(n):.1f} ns |" for n in (30, FEATURES)]
    return "\n".join([*lines, *_wide()])


def in_turns(
    rounds: int, seconds: int, setting: str, values: tuple[str, str]
) -> dict[str, list[Run]]:
    """Run gateways with either value of a setting, and measure both in turns."""
    workload = bench_models.workloads()["tabular-json-1"]
    runs: dict[str, list[Run]] = {}
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        repository = scratch / "models"
        bench_models.write_repository(repository)
        running = [
            stack.enter_context(
                targets.tidegate(
                    scratch,
                    repository,
                    1,
                    f"{setting}-{value}",
                    f"--{setting.replace('_', '-')}",
                    value,
                )
            )
            for value in values
        ]
        for target in running:
            wrk.run(target, workload, 64, throughput.WARM_SECONDS, scratch)
        for number in range(rounds):
            # Whoever is second finds a warmer machine: each is first as often as the other.
            for target in running if number % 2 else running[::-1]:
                run = wrk.run(target, workload, 64, seconds, scratch)
                runs.setdefault(target.name, []).append(run)
    return {name: runs[name] for name in sorted(runs)}


def _fold_ns(columns: int) -> float:
    """Return a core's nanoseconds for a value that is taken in and counted: the least of tries.

    Rows come in blocks of 64, and are counted in four full slabs.
    """
    rng = np.random.default_rng(1)
    reference = rng.standard_normal((20_000, columns)).astype(np.float32)
    fold = Fold([reference_bins(column, "float32") for column in reference.T])
    rows = rng.standard_normal((4 * fold.slab_rows, columns)).astype(np.float32)
    blocks = np.split(rows, range(64, len(rows), 64))
    slab, best = Slab(fold), float("inf")
    for _ in range(20):
        started = time.process_time()
        for block in blocks:
            slab.add(block)
        slab.take()
        best = min(best, time.process_time() - started)
    return best / rows.size * 1e9


def _wide() -> list[str]:
    """Return rows of the table about models with many features."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        repository, port = scratch / "models", targets.free_port()
        _write_wide(repository)
        flags = ["--control-port", str(port), "--monitor-self-reference-rows", str(LEARNED_ROWS)]
        target = stack.enter_context(targets.tidegate(scratch, repository, 1, "wide", *flags))
        before = footprint.memory(target.pid)["control"]
        control = f"http://127.0.0.1:{port}"
        _until_watched(target.port, control)
        _ask_wide(target.port, 5)
        time.sleep(15)  # One judgement and one flush at least.
        cpu = footprint.control_seconds(target.pid)
        _ask_wide(target.port, 20)
        cpu = footprint.control_seconds(target.pid) - cpu
        held = _held_bytes(control)
        seconds, size = footprint.scrape(port, SCRAPES)
        after = footprint.memory(target.pid)["control"]
    name = f"{FEATURES} features x {MODELS} models x {VERSIONS} versions"
    return [
        f"| /metrics, {name} | {seconds * 1e3:.0f} ms, {size:,} bytes |",
        f"| counts of each version, as it says itself | {held / 2**20:.1f} MiB |",
        f"| control's memory for all of them | {(after - before) / 2**20:.0f} MiB |",
        f"| control's processor time for 2,000 rows of each | {cpu:.2f} s |",
    ]


def _write_wide(repository: Path) -> None:
    def described(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", FEATURES])

    for number in range(MODELS):
        folder = repository / f"wide-{number}"
        for version in range(1, VERSIONS + 1):
            scale = helper.make_tensor("scale", TensorProto.FLOAT, [1], [float(version)])
            graph = helper.make_graph(
                [
                    helper.make_node("Mul", ["x", "scale"], ["scaled"]),
                    helper.make_node("ReduceMean", ["scaled"], ["y"], axes=[1], keepdims=1),
                ],
                "wide",
                [described("x")],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
                [scale],
            )
            opset = [helper.make_opsetid("", 17)]
            model = helper.make_model(graph, opset_imports=opset, ir_version=8)
            (folder / str(version)).mkdir(parents=True)
            (folder / str(version) / "model.onnx").write_bytes(model.SerializeToString())
        names = json.dumps([f"feature_{place:03d}" for place in range(FEATURES)])
        settings = f'version_policy = "all"\n\n[inputs.x]\nfeatures = {names}\n'
        (folder / "model.toml").write_text(settings)


def _ask_wide(port: int, requests: int) -> None:
    """Send every version so many requests of 100 random rows."""
    rng = np.random.default_rng(2)
    head = {
        "inputs": [
            {
                "name": "x",
                "datatype": "FP32",
                "shape": [100, FEATURES],
                "parameters": {"binary_data_size": 400 * FEATURES},
            }
        ]
    }
    text = json.dumps(head).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    for _ in range(requests):
        for number in range(MODELS):
            for version in range(1, VERSIONS + 1):
                rows = rng.standard_normal((100, FEATURES)).astype(np.float32)
                path = f"/v2/models/wide-{number}/versions/{version}/infer"
                url = f"http://127.0.0.1:{port}{path}"
                request = urllib.request.Request(url, text + rows.tobytes(), headers)
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answer.read()


def _until_watched(port: int, control: str) -> None:
    """Send rows until every version has learned what is usual."""
    deadline = time.monotonic() + 120.0
    while "tidegate_monitor_held_bytes{" not in _page(control) or _learning(control):
        if time.monotonic() > deadline:
            raise SystemExit("the wide models have not been learned")
        _ask_wide(port, 1)


def _learning(control: str) -> bool:
    return any(
        line.endswith(" 1.0")
        for line in _page(control).splitlines()
        if line.startswith("tidegate_monitor_learning{")
    )


def _held_bytes(control: str) -> float:
    lines = _page(control).splitlines()
    held = [line for line in lines if line.startswith("tidegate_monitor_held_bytes{")]
    return statistics.mean(float(line.rsplit(" ", 1)[1]) for line in held)


def _page(control: str) -> str:
    with urllib.request.urlopen(f"{control}/metrics", timeout=30) as answer:
        return str(answer.read(), "utf-8")
