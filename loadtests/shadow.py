"""What shadows do to predictions: candidates as costly as the live version, and bad ones.

Two workers answer at half of what they could. The same gateway is measured without a shadow and
with one, in turns; the shadow is run on all batches and costs what the live version costs. Then
come candidates that never end, take all memory, answer NaN, or whose process is killed.
"""

import contextlib
import os
import re
import signal
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
from onnx import TensorProto, helper, numpy_helper

from loadtests import open_loop, targets
from loadtests.control import Control
from loadtests.open_loop import Answers
from loadtests.processes import tree

SIZE, STEPS = 64, 24
PEAK_RATE = 20_000.0
SETTLE_SECONDS = 2.0
START_SECONDS = 60.0
MODEL = "steady"
CANDIDATES = {"2": "as costly", "3": "never ends", "4": "takes all memory", "5": "NaN"}


def _graph(nodes: list[onnx.NodeProto], weights: dict[str, Any]) -> bytes:
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(
        nodes,
        "steady",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        constants,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(proto.SerializeToString())


def steady(factor: float = 1.0) -> bytes:
    """Return a model whose cost grows with its rows: about half a millisecond each.

    A factor other than 1 makes it another version, with other answers, at the same cost.
    """
    nodes = [
        helper.make_node("Unsqueeze", ["x", "last"], ["column"]),
        helper.make_node("Mul", ["column", "weight"], ["m0"]),
        *(
            helper.make_node("MatMul", [f"m{step}", "weight"], [f"m{step + 1}"])
            for step in range(STEPS)
        ),
        helper.make_node("ReduceMean", [f"m{STEPS}"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "factor"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "first"], ["y"]),
    ]
    weights = {
        "weight": np.eye(SIZE, dtype=np.float32),
        "factor": np.float32(factor).reshape(1),
        "last": np.array([2], np.int64),
        "first": np.array([1], np.int64),
    }
    return _graph(nodes, weights)


def _with_mean(nodes: list[onnx.NodeProto], weights: dict[str, Any]) -> bytes:
    """Return a model that answers the mean, plus what `nodes` make of it under the name `more`."""
    return _graph(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
            *nodes,
            helper.make_node("Add", ["mean", "more"], ["y"]),
        ],
        weights,
    )


def endless() -> bytes:
    """Return a model that goes on for ever, unless it is only tried with small numbers."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Mul", ["kept", "half"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1]),
        ],
    )
    return _with_mean(
        [*_huge("turns"), helper.make_node("Loop", ["turns", "", "one"], ["more"], body=body)],
        {"one": np.ones(1, np.float32), "half": np.float32(0.5).reshape(1), **_BOUND},
    )


def hoarding() -> bytes:
    """Return a model that fills gigabytes, unless it is only tried with small numbers."""
    return _with_mean(
        [
            *_huge("size"),
            helper.make_node("Reshape", ["size", "shape"], ["sizes"]),
            helper.make_node("ConstantOfShape", ["sizes"], ["filled"]),
            helper.make_node("ReduceMax", ["filled"], ["more"], keepdims=0),
        ],
        {"shape": np.ones(1, np.int64), **_BOUND},
    )


_BOUND = {"bound": np.float32(1000.0), "huge": np.int64(2**31)}
"""Sums above the bound come from the requests of this measurement only."""


def _huge(name: str) -> Iterator[onnx.NodeProto]:
    """Yield nodes that make a huge number of large inputs, and 0 of others."""
    yield helper.make_node("Greater", ["total", "bound"], ["is_large"])
    yield helper.make_node("Cast", ["is_large"], ["large"], to=TensorProto.INT64)
    yield helper.make_node("Mul", ["large", "huge"], [name])


def lost() -> bytes:
    """Return a model that answers NaN."""
    nodes = [helper.make_node("Mul", ["mean", "nan"], ["more"])]
    return _with_mean(nodes, {"nan": np.full(1, np.nan, np.float32)})


@dataclass(frozen=True)
class Bench:
    """A running gateway, and how it is asked."""

    pid: int
    url: str
    control: Control
    body: bytes
    expected: bytes

    def ask(self, rate: float, seconds: float) -> Answers:
        """Send requests at a rate."""
        return open_loop.run(self.url, self.body, self.expected, rate, seconds)

    def shadow(self, version: str, *, is_on: bool) -> None:
        """Begin or end a shadow."""
        members: dict[str, Any] = {"version": version, "actor": "measured", "reason": "measured"}
        members |= {"sample_bp": 10_000} if is_on else {"stop": True}
        status, answer = self.control.post(f"/v1/models/{MODEL}/release/shadow", members)
        if status != 200:
            raise SystemExit(f"shadow {version}: {answer}")

    def until_seen(self, version: str, rate: float) -> None:
        """Ask until a shadow has been run on something."""
        before = self.counts("pairs", version)
        deadline = time.monotonic() + START_SECONDS
        while self.counts("pairs", version) == before:
            if time.monotonic() > deadline:
                raise SystemExit(f"shadow {version} is not run")
            self.ask(rate, 0.5)

    def counts(self, family: str, version: str) -> dict[str, float]:
        """Return counts of a shadow by their label, without those that are 0."""
        found = {}
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control.port}/metrics") as answer:
            text = answer.read().decode()
        for line in re.findall(rf"^tidegate_shadow_{family}_total{{(.*)$", text, re.MULTILINE):
            labels, value = line.split("} ")
            named = dict(re.findall(r'(\w+)="(.*?)"', labels))
            if named.pop("version") == version and float(value):
                found[" ".join(word for key, word in named.items() if key != "model")] = float(
                    value
                )
        return found


@contextlib.contextmanager
def _bench() -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        versions = {"1": steady(), "2": steady(1.001), "3": endless(), "4": hoarding(), "5": lost()}
        for version, content in versions.items():
            folder = scratch / "models" / MODEL / version
            folder.mkdir(parents=True)
            (folder / "model.onnx").write_bytes(content)
        settings = 'release = "manual"\nversion_policy = "specific:1"\n'
        (scratch / "models" / MODEL / "model.toml").write_text(settings)
        port = targets.free_port()
        target = stack.enter_context(
            targets.tidegate(
                scratch, scratch / "models", 2, "tidegate", "--control-port", str(port)
            )
        )
        row = np.full((1, SIZE), 64.0, np.float32)
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, SIZE], "data": row[0].tolist()}
        url = f"http://127.0.0.1:{target.port}/v2/models/{MODEL}/infer"
        control = Control(port)
        control.first_live(MODEL)
        yield Bench(target.pid, url, control, orjson.dumps({"inputs": [tensor]}), b'"data":[1.0]')


def measure(rounds: int, seconds: int) -> str:
    """Return both tables."""
    with _bench() as bench:
        # More than it can answer, for a moment: what is answered each second is the peak.
        peak = max(_peak(bench) for _ in range(3))
        rate = peak / 2
        lines = [f"peak {peak:,.0f} requests/s, asked {rate:,.0f}", ""]
        lines += _costly(bench, rate, rounds, seconds)
        lines += ["", *_bad(bench, rate, rounds, seconds)]
    return "\n".join(lines)


def _peak(bench: Bench) -> float:
    started = time.perf_counter()
    answers = bench.ask(PEAK_RATE, 0.2)
    if answers.failures:
        raise SystemExit(f"failed under peak load: {answers.failures[:3]}")
    return len(answers.latencies) / (time.perf_counter() - started)


def _costly(bench: Bench, rate: float, rounds: int, seconds: int) -> list[str]:
    """Measure a candidate that costs what the live version does, and no candidate, in turns."""
    seen: dict[bool, list[Answers]] = {False: [], True: []}
    for number in range(rounds):
        for is_on in (False, True) if number % 2 else (True, False):
            seen[is_on].append(_one(bench, rate, seconds, "2" if is_on else ""))
    lines = ["| shadow | requests | failed | p50 ms | p99 ms |", "|---|---|---|---|---|"]
    for is_on, runs in seen.items():
        lines.append(
            f"| {'100 %' if is_on else 'none'} | {sum(len(one.latencies) for one in runs):,} | "
            f"{sum(len(one.failures) for one in runs)} | {_median(runs, 0.5):.2f} | "
            f"{_median(runs, 0.99):.2f} |"
        )
    ratio = _ratio(seen[True], seen[False])
    lines += ["", f"p99 with it over p99 without, median of {rounds} pairs: {ratio:.3f}"]
    sampled = bench.counts("sampled_batches", "2").get("", 0.0)
    dropped = bench.counts("dropped_batches", "2")
    lines.append(f"batches drawn {sampled:,.0f}, dropped {dropped}")
    return lines


def _median(runs: list[Answers], share: float) -> float:
    return 1e3 * statistics.median(one.quantile(share) for one in runs)


def _ratio(runs: list[Answers], others: list[Answers]) -> float:
    pairs = zip(runs, others, strict=True)
    return statistics.median(one.quantile(0.99) / two.quantile(0.99) for one, two in pairs)


def _one(
    bench: Bench,
    rate: float,
    seconds: int,
    version: str,
    disturb: Callable[[Bench, threading.Event], None] | None = None,
) -> Answers:
    """Measure once, with a shadow unless `version` is empty."""
    if version:
        bench.shadow(version, is_on=True)
        bench.until_seen(version, rate)
    bench.ask(rate, SETTLE_SECONDS)
    over = threading.Event()
    disturber = threading.Thread(target=disturb, args=(bench, over)) if disturb else None
    if disturber is not None:
        disturber.start()
    answers = bench.ask(rate, seconds)
    over.set()
    if disturber is not None:
        disturber.join()
    if version:
        bench.shadow(version, is_on=False)
        time.sleep(SETTLE_SECONDS)
    return answers


def _kill_again_and_again(bench: Bench, over: threading.Event) -> None:
    """Kill the shadow process each second, as if its candidate ended it."""
    while not over.wait(1.0):
        for pid in tree(bench.pid):
            with contextlib.suppress(OSError):
                if b"server.shadow.start" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)


def _bad(bench: Bench, rate: float, rounds: int, seconds: int) -> list[str]:
    """Measure each bad candidate and no candidate, in turns."""
    lines = ["| candidate | requests | failed | p99 ms | p99 ratio | findings | pairs |"]
    lines.append("|---|---|---|---|---|---|---|")
    for version, name in {**CANDIDATES, "2 ": "is killed each second"}.items():
        if version == "2":
            continue
        disturb = _kill_again_and_again if version == "2 " else None
        with_it, without = [], []
        for _ in range(rounds):
            with_it.append(_one(bench, rate, seconds, version.strip(), disturb))
            without.append(_one(bench, rate, seconds, ""))
        lines.append(
            f"| {name} | {sum(len(one.latencies) for one in with_it):,} | "
            f"{sum(len(one.failures) for one in with_it)} | {_median(with_it, 0.99):.2f} | "
            f"{_ratio(with_it, without):.3f} | {bench.counts('findings', version.strip())} | "
            f"{bench.counts('pairs', version.strip())} |"
        )
    return lines
