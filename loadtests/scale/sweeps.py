"""The scenario `scale`: what a request costs against rows, features, models, connections, workers.

Each sweep has one gateway, or one for each number of workers, and asks it at every point in turn,
round after round; figures are medians over rounds. Through the medians goes the straight line of
`growth.py`.
"""

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from loadtests import bench_models
from loadtests.bench_models import Workload
from loadtests.scale import gateways, growth
from loadtests.scale.gateways import Gateway, Measured

ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
FEATURES = (10, 30, 100, 300, 1000)
MODELS = (1, 5, 20, 50, 100, 200)
CONNECTIONS = (1, 4, 16, 64, 256, 1000)
WORKERS = (1, 2, 4)
WARM_SECONDS = 1


@dataclass(frozen=True)
class Point:
    """One place of a sweep: whom to ask what."""

    x: int
    running: Gateway
    workload: Workload
    connections: int
    models: Sequence[str]


@dataclass(frozen=True)
class Sweep:
    """What is varied, and how a cost is expected to grow with it."""

    name: str
    points: Callable[[contextlib.ExitStack, Path], Iterator[Point]]
    form: str
    """The line, in words."""
    scaled: Callable[[float], float] = field(default=float)
    """What the line is straight in."""


def _rows(stack: contextlib.ExitStack, scratch: Path) -> Iterator[Point]:
    names = gateways.write_copies(scratch / "models", bench_models.tabular(), 1)
    running = _learned(stack, scratch, gateways.tabular_workload(), names)
    for count in ROWS:
        yield Point(count, running, gateways.tabular_workload(count), 16, names)


def _features(stack: contextlib.ExitStack, scratch: Path) -> Iterator[Point]:
    workloads = []
    for count in FEATURES:
        folder = scratch / "models" / f"linear-{count}" / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(bench_models.dense((count, 1)))
        rows = np.random.default_rng(count).standard_normal((1, count)).round(6)
        inputs = {"input": rows.astype(np.float32)}
        workloads.append(Workload(f"{count} features", f"linear-{count}", inputs, is_binary=False))
    running = stack.enter_context(gateways.gateway(scratch, scratch / "models"))
    for workload in workloads:
        gateways.check(running, workload, scratch / "models", [workload.model])
        gateways.learn(running, workload, [workload.model])
    for count, workload in zip(FEATURES, workloads, strict=True):
        yield Point(count, running, workload, 64, [workload.model])


def _models(stack: contextlib.ExitStack, scratch: Path) -> Iterator[Point]:
    names = gateways.write_copies(scratch / "models", bench_models.tabular(), max(MODELS))
    workload = gateways.tabular_workload()
    running = _learned(stack, scratch, workload, names)
    for count in MODELS:
        yield Point(count, running, workload, 64, names[:count])


def _connections(stack: contextlib.ExitStack, scratch: Path) -> Iterator[Point]:
    names = gateways.write_copies(scratch / "models", bench_models.tabular(), 1)
    workload = gateways.tabular_workload()
    running = _learned(stack, scratch, workload, names)
    for count in CONNECTIONS:
        yield Point(count, running, workload, count, names)


def _workers(stack: contextlib.ExitStack, scratch: Path) -> Iterator[Point]:
    names = gateways.write_copies(scratch / "models", bench_models.tabular(), 1)
    workload = gateways.tabular_workload()
    for count in WORKERS:
        running = _learned(stack, scratch, workload, names, count)
        yield Point(count, running, workload, 64, names)


def _learned(
    stack: contextlib.ExitStack,
    scratch: Path,
    workload: Workload,
    names: Sequence[str],
    workers: int = 1,
) -> Gateway:
    """Start a gateway whose models give the right numbers and have learned what is usual."""
    repository = scratch / "models"
    running = stack.enter_context(
        gateways.gateway(scratch, repository, workers, f"workers-{workers}")
    )
    gateways.check(running, workload, repository, names)
    gateways.learn(running, workload, names)
    return running


SWEEPS = {
    one.name: one
    for one in (
        Sweep("rows", _rows, "a + b x rows of a request"),
        Sweep("features", _features, "a + b x features of a row"),
        Sweep("models", _models, "a + b x models that are asked in turn"),
        Sweep("connections", _connections, "a + b / connections", lambda count: 1.0 / count),
        Sweep("workers", _workers, "a + b x workers"),
    )
}


def measure(names: Sequence[str], rounds: int, seconds: int) -> dict[str, Any]:
    """Measure sweeps; return their points and lines, costs in microseconds."""
    return {name: _measure(SWEEPS[name], rounds, seconds) for name in names}


def _measure(sweep: Sweep, rounds: int, seconds: int) -> dict[str, Any]:
    runs: dict[int, list[Measured]] = {}
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        points = list(sweep.points(stack, scratch))
        for point in points:
            _run(point, WARM_SECONDS)
        for _ in range(rounds):
            for point in points:
                runs.setdefault(point.x, []).append(_run(point, seconds))
        for point in points:
            gateways.check(point.running, point.workload, scratch / "models", point.models)
    found = [figures(x, each) for x, each in runs.items()]
    xs = [sweep.scaled(one["x"]) for one in found]
    line = growth.fitted(xs, [one["cpu_us"] for one in found])
    return {"form": sweep.form, "points": found, "line": asdict(line), "control": _control(found)}


def _control(points: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return what a row and a message cost control, in microseconds, as far as these points tell.

    Where rows and messages grow in the same way, they do not.
    """
    amounts = [(one["rows"], one["messages"]) for one in points]
    row, message = growth.shared([one["control_seconds"] for one in points], amounts)
    return {"row_us": round(row * 1e6, 2), "message_us": round(message * 1e6, 1)}


def _run(point: Point, seconds: int) -> Measured:
    return gateways.measured(
        point.running, point.workload, point.connections, seconds, point.models
    )


def figures(x: int, runs: Sequence[Measured]) -> dict[str, Any]:
    """Return the medians of the good runs at a point.

    Raises:
        SystemExit: no run was good.

    """
    good = [one for one in runs if one.run.is_valid]
    if not good:
        raise SystemExit(f"errors in every run at {x}: {runs[0].run.errors} in the first")

    def median(value: Callable[[Measured], float], digits: int = 1) -> float:
        return round(statistics.median(map(value, good)), digits)

    return {
        "x": x,
        "requests_per_second": median(lambda one: one.run.requests_per_second, 0),
        "p50_us": median(lambda one: one.run.p50_seconds * 1e6, 0),
        "p99_us": median(lambda one: one.run.p99_seconds * 1e6, 0),
        "cpu_us": median(lambda one: one.cost() * 1e6),
        "least_us": round(min(one.cost() for one in good) * 1e6, 1),
        "most_us": round(max(one.cost() for one in good) * 1e6, 1),
        "worker_us": median(lambda one: one.cost("worker") * 1e6),
        "control_us": median(lambda one: one.cost("control") * 1e6),
        "messages": median(lambda one: one.river["records"], 0),
        "messages_lost": median(lambda one: one.river["records_dropped"], 0),
        "rows": median(lambda one: one.river["rows"], 0),
        "control_seconds": median(lambda one: one.spent["control"], 3),
        "invalid_runs": len(runs) - len(good),
    }


_COLUMNS = {
    "requests_per_second": "req/s",
    "p50_us": "p50 µs",
    "p99_us": "p99 µs",
    "cpu_us": "CPU µs/req",
    "least_us": "least",
    "most_us": "most",
    "worker_us": "of it worker",
    "control_us": "control",
    "messages": "messages",
    "messages_lost": "lost",
    "invalid_runs": "invalid",
}


def table(sweeps: dict[str, Any]) -> str:
    """Return the sweeps as Markdown."""
    lines: list[str] = []
    for name, sweep in sweeps.items():
        lines += [f"| {name} | {' | '.join(_COLUMNS.values())} |", "|---" * 12 + "|"]
        for point in sweep["points"]:
            cells = [f"{point[column]:,}" for column in _COLUMNS]
            lines.append(f"| {point['x']:,} | {' | '.join(cells)} |")
        line = sweep["line"]
        lines += [
            "",
            f"CPU µs/req = {sweep['form']}: a = {line['base']:.1f}, b = {line['slope']:.3f}; "
            f"residual {line['residual']:.1f} µs, at most {line['worst']:.0%} of a point",
            f"control: {sweep['control']['row_us']} µs a row and "
            f"{sweep['control']['message_us']} µs a message",
            "",
        ]
    return "\n".join(lines)
