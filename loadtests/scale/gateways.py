"""Gateways of many models, what their processes spend, and what control says of the river."""

import contextlib
import http.client
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loadtests import bench_models, footprint, targets, throughput, wrk
from loadtests.bench_models import Workload
from loadtests.control import Control
from loadtests.processes import own_cpu_seconds, role, tree
from loadtests.targets import Target
from loadtests.wrk import Run

LEARNED_ROWS = 500
"""Rows from which a version learns its reference here: the least that can be set."""
REQUESTS_TO_LEARN_FROM = 5
LEARNING_SECONDS = 600.0
PARTS = ("worker", "control", "shadow", "other")


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    target: Target
    control: Control
    scratch: Path

    def memory(self) -> dict[str, int]:
        """Return the proportional memory of control and of a worker, in bytes."""
        return footprint.memory(self.target.pid)

    def spent(self) -> dict[str, float]:
        """Return the seconds of processor time of its processes so far, by what they are."""
        found = dict.fromkeys(PARTS, 0.0)
        for pid in tree(self.target.pid):
            found[role(pid)] += own_cpu_seconds(pid)
        return found

    def river(self) -> Counter[str]:
        """Return how many messages and rows control has read, and how many messages were lost."""
        found: Counter[str] = Counter()
        for name, value in self.control.metrics().items():
            if name.startswith("tidegate_river_"):
                what = name.removeprefix("tidegate_river_").split("{")[0].removesuffix("_total")
                found[what] += int(value)
        return found


@contextlib.contextmanager
def gateway(
    scratch: Path, repository: Path, workers: int = 1, name: str = "tidegate", *flags: str
) -> Iterator[Gateway]:
    """Run a gateway with everything on, whose models learn their references soon."""
    control = Control(targets.free_port())
    flags = (
        "--control-port", str(control.port), "--max-connections", "2000",
        "--monitor-self-reference-rows", str(LEARNED_ROWS), *flags,
    )  # fmt: skip
    with targets.tidegate(scratch, repository, workers, name, *flags) as target:
        yield Gateway(target, control, scratch)


def write_copies(repository: Path, model: bytes, count: int) -> list[str]:
    """Write a model under so many names; return the names."""
    names = [f"model-{number:03d}" for number in range(count)]
    for name in names:
        folder = repository / name / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(model)
    return names


def learn(running: Gateway, workload: Workload, models: Sequence[str]) -> None:
    """Send each model rows until monitoring has learned a reference of all of them."""
    (name,) = workload.inputs
    many = Workload("learn", workload.model, {name: _rows(workload)}, is_binary=True)
    body, headers = many.body()
    connection = http.client.HTTPConnection("127.0.0.1", running.target.port, timeout=30)
    for model in [*models] * REQUESTS_TO_LEARN_FROM:
        connection.request("POST", path(model), body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{model} answers {answer.status}: {content[:200]!r}")
    connection.close()
    deadline = time.monotonic() + LEARNING_SECONDS
    learning = 'tidegate_monitor_learning{model="%s",version="1"}'
    while not _is_zero(running.control.metrics(), [learning % one for one in models]):
        if time.monotonic() > deadline:
            raise SystemExit(f"not all of {len(models)} models have been learned")
        time.sleep(len(models) / 20)  # Learning takes a moment, and so does each look.


def _is_zero(samples: dict[str, float], names: Sequence[str]) -> bool:
    return all(samples.get(name) == 0.0 for name in names)


def _rows(workload: Workload) -> np.ndarray:
    """Return 128 rows around those of a workload: a reference of equal ones has no width."""
    noise = np.random.default_rng(0).standard_normal((128, workload.rows.shape[1]))
    return (workload.rows[:1] * (1.0 + 0.1 * noise)).astype(np.float32)


def path(model: str) -> str:
    """Return where a model is asked."""
    return f"/v2/models/{model}/infer"


@dataclass(frozen=True)
class Measured:
    """One run, and what the parts of the gateway did for it."""

    run: Run
    spent: dict[str, float]
    """Processor time in seconds, by what the processes are."""
    river: Counter[str]
    """Messages and rows."""

    def cost(self, part: str = "") -> float:
        """Return the processor time of a request in seconds: of all parts, or of one."""
        seconds = self.spent[part] if part else sum(self.spent.values())
        return seconds / max(1, self.run.requests)


def measured(
    running: Gateway, workload: Workload, connections: int, seconds: int, models: Sequence[str]
) -> Measured:
    """Ask models in turn for some seconds over some connections."""
    flowed = running.river()  # A scrape takes long: it must not lie between the other two.
    before = running.spent()
    paths = [path(model) for model in models]
    run = wrk.run(running.target, workload, connections, seconds, running.scratch, paths)
    spent = {part: now - before[part] for part, now in running.spent().items()}
    return Measured(run, spent, running.river() - flowed)


def check(running: Gateway, workload: Workload, repository: Path, models: Sequence[str]) -> None:
    """Make sure that every model gives the numbers that onnxruntime gives for its file."""
    expected: dict[int, float] = {}
    for model in models:
        one = replace(workload, model=model)
        content = hash((repository / model / "1" / "model.onnx").read_bytes())
        if content not in expected:
            expected[content], _ = throughput.expected_answer(repository, one)
        wrk.check_answer(running.target, one, expected[content])


def tabular_workload(rows: int = 1) -> Workload:
    """Return requests of different rows of 30 features as JSON."""
    pool = bench_models.pool("tabular-json-64")
    both = np.concatenate([one.rows for one in pool[:2]])
    return Workload(f"{rows} rows", "tabular", {"X": both[:rows]}, is_binary=False)
