"""The command `overload`: more requests than a model can take, and a flood beside a quiet model.

The model takes about 2 ms a row, whatever the batch, so that a client on the same two cores can
offer ten times what it takes and leave it a core; `--steps` makes it quicker or slower. Its
capacity is measured first; all rates are multiples of it.
"""

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
import uvloop
from onnx import TensorProto, helper, numpy_helper

from loadtests import targets
from loadtests.control import Control
from loadtests.overload.offering import ClosedLoop, Ledger, Offer, post
from loadtests.switches import adder

FACTORS = (1, 2, 5, 10)
SETTLED_SHARE = 0.5
"""Of the capacity: the load before and after, by which normal is known."""
_WIDTH = 40_000
_QUIET_SECONDS = 0.6
"""More than the time between two tallies of a worker."""
MAX_ROWS = 16
QUIET_RATE = 200.0


def work(steps: int) -> bytes:
    """Return a model that takes so many sines of 40,000 numbers for a row, of 0.13 ms each."""
    nodes = [helper.make_node("Mul", ["x", "ones"], ["s0"])]
    nodes += [helper.make_node("Sin", [f"s{step}"], [f"s{step + 1}"]) for step in range(steps)]
    nodes += [
        helper.make_node("ReduceMean", [f"s{steps}"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sines",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [
            numpy_helper.from_array(np.ones((1, _WIDTH), np.float32), "ones"),
            numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _body(width: int) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, width], "data": [1.5] * width}
    return orjson.dumps({"inputs": [tensor]})


WORK = post("/v2/models/sines/infer", _body(1))
QUIET = post("/v2/models/adder/infer", _body(3))


@dataclass(frozen=True)
class Gateway:
    """The gateway under load."""

    port: int
    control: Control

    def offer(self, rate: float, seconds: float, connections: int) -> Ledger:
        """Offer work alone."""
        return uvloop.run(Offer(WORK, rate, seconds, connections).run(self.port))

    def outcomes(self, model: str) -> Counter[str]:
        """Return what the gateway has counted, by outcome."""
        found: Counter[str] = Counter()
        for name, value in self.control.metrics().items():
            if name.startswith("tidegate_requests_total{") and f'model="{model}"' in name:
                found[name.split('outcome="')[1].split('"')[0]] += int(value)
        return found

    def settled_outcomes(self, model: str) -> Counter[str]:
        """Return the same, when no more tallies come."""
        last, found = None, self.outcomes(model)
        while last != found:
            time.sleep(_QUIET_SECONDS)
            last, found = found, self.outcomes(model)
        return found


@contextlib.contextmanager
def _gateway(steps: int) -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        for name, content in (("sines", work(steps)), ("adder", adder(1.0))):
            path = scratch / "models" / name / "1"
            path.mkdir(parents=True)
            (path / "model.onnx").write_bytes(content)
        # A batch of 128 rows would take a quarter of a second: nobody would serve it like that.
        (scratch / "models" / "sines" / "model.toml").write_text(f"max_rows = {MAX_ROWS}\n")
        control = Control(targets.free_port())
        flags = ("--control-port", str(control.port))
        with targets.tidegate(scratch, scratch / "models", 1, "tidegate", *flags) as target:
            yield Gateway(target.port, control)


def measure(seconds: int, connections: int, rounds: int, steps: int) -> dict[str, Any]:
    """Measure every factor and the flood; return the figures."""
    with _gateway(steps) as gateway:
        gateway.offer(50, 2, connections)  # The first batches show where and how fast it runs.
        capacity = _capacity(gateway, seconds)
        figures: dict[str, Any] = {"capacity_per_second": round(capacity)}
        calm = gateway.offer(capacity * SETTLED_SHARE, seconds, connections)
        figures["p99_ms_at_half"] = _ms(calm, 0.99)
        runs: dict[int, list[dict[str, Any]]] = {factor: [] for factor in FACTORS}
        for _ in range(rounds):
            for factor in FACTORS:
                runs[factor].append(_at(gateway, capacity, factor, seconds, connections))
        figures["factors"] = {f"{factor}x": _median_round(runs[factor]) for factor in FACTORS}
        figures["settled_after_seconds"] = _settled(gateway, capacity, calm, seconds, connections)
        figures["flood"] = _flood(gateway, capacity, seconds, connections)
    _compare(figures["factors"])
    return figures


def _capacity(gateway: Gateway, seconds: int) -> float:
    """Return the answers a second when full batches follow each other and nobody is refused."""
    ledger = uvloop.run(ClosedLoop(WORK, seconds, 3 * MAX_ROWS).run(gateway.port))
    ends = [due + took for due, took, one in _rows(ledger) if one == "ok"]
    return len(ends) / max(ends)


def _rows(ledger: Ledger) -> Iterator[tuple[float, float, str]]:
    return zip(ledger.due, ledger.seconds, ledger.outcomes, strict=True)


def _at(
    gateway: Gateway, capacity: float, factor: int, seconds: int, connections: int
) -> dict[str, Any]:
    before = gateway.settled_outcomes("sines")
    ledger = gateway.offer(capacity * factor, seconds, connections)
    counts = ledger.counts()
    difference = _difference(gateway.settled_outcomes("sines") - before, counts)
    ends = [due + took for due, took, one in _rows(ledger) if one == "ok"]
    refused = ledger.seconds_of(ok=False)
    late = np.array(ledger.sent_late)
    return {
        "offered_per_second": round(len(ledger.outcomes) / seconds),
        "goodput_per_second": round(len(ends) / max(ends, default=1.0)),
        "accepted_p50_ms": _ms(ledger, 0.5),
        "accepted_p99_ms": _ms(ledger, 0.99),
        "refused_p50_ms": _quantile_ms(refused, 0.5),
        "refused_p99_ms": _quantile_ms(refused, 0.99),
        "sent_late_p99_ms": _quantile_ms(late, 0.99),
        "outcomes": dict(sorted(counts.items())),
        "ledger_difference": difference,
    }


def _difference(counted: Counter[str], seen: Counter[str]) -> int:
    """Return by how many requests two ledgers differ, outcome by outcome."""
    return sum(abs(counted[one] - seen[one]) for one in {*counted, *seen})


def _ms(ledger: Ledger, share: float) -> float:
    return _quantile_ms(ledger.seconds_of(ok=True), share)


def _quantile_ms(seconds: Any, share: float) -> float:
    return round(float(np.quantile(seconds, share)) * 1e3, 1) if len(seconds) else float("nan")


def _median_round(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the round of the median goodput; every ledger must be right, so the worst one's is."""
    rounds.sort(key=lambda one: one["goodput_per_second"])
    worst = max(one["ledger_difference"] for one in rounds)
    return {**rounds[len(rounds) // 2], "ledger_difference": worst}


def _settled(
    gateway: Gateway, capacity: float, calm: Ledger, seconds: int, connections: int
) -> float:
    """Flood, then offer half of the capacity; return after how long all is as it was before.

    That is: nothing more is refused, and the answers due in each tenth of a second have a median
    of at most one and a half times the p99 of before.
    """
    limit = 1.5 * float(np.quantile(calm.seconds_of(ok=True), 0.99))
    gateway.offer(capacity * FACTORS[-1], 3, connections)
    after = gateway.offer(capacity * SETTLED_SHARE, seconds, connections)
    settled = 0.0
    for tenth in range(seconds * 10):
        here = [
            took if one == "ok" else np.inf
            for due, took, one in _rows(after)
            if tenth <= due * 10 < tenth + 1
        ]
        if here and float(np.median(here)) > limit:
            settled = (tenth + 1) / 10
    return settled


def _flood(gateway: Gateway, capacity: float, seconds: int, connections: int) -> dict[str, Any]:
    """Ask a quick model at a fixed rate, alone and beside a flood of the slow one."""

    async def beside() -> tuple[Ledger, Ledger]:
        quiet = Offer(QUIET, QUIET_RATE, seconds, 16).run(gateway.port)
        flood = Offer(WORK, capacity * 5, seconds, connections).run(gateway.port)
        return await asyncio.gather(quiet, flood)

    alone = uvloop.run(Offer(QUIET, QUIET_RATE, seconds, 16).run(gateway.port))
    quiet, flood = uvloop.run(beside())
    return {
        "quiet_p99_ms_alone": _ms(alone, 0.99),
        "quiet_p99_ms_beside": _ms(quiet, 0.99),
        "quiet_p50_ms_beside": _ms(quiet, 0.5),
        "quiet_outcomes": dict(quiet.counts()),
        "flood_goodput_per_second": round(flood.counts()["ok"] / seconds),
        "flood_outcomes": dict(sorted(flood.counts().items())),
    }


def _compare(factors: dict[str, dict[str, Any]]) -> None:
    """Add to each factor what it is of the peak, and of what 1x was."""
    peak = max(one["goodput_per_second"] for one in factors.values())
    base = factors["1x"]["accepted_p99_ms"]
    for one in factors.values():
        one["goodput_of_peak"] = round(one["goodput_per_second"] / peak, 3)
        one["p99_of_1x"] = round(one["accepted_p99_ms"] / base, 2)


COLUMNS = (
    "offered_per_second",
    "goodput_per_second",
    "goodput_of_peak",
    "accepted_p50_ms",
    "accepted_p99_ms",
    "p99_of_1x",
    "refused_p50_ms",
    "refused_p99_ms",
    "sent_late_p99_ms",
    "ledger_difference",
    "outcomes",
)


def table(figures: dict[str, Any]) -> str:
    """Return the figures as tables."""
    names = [name.replace("_", " ") for name in COLUMNS]
    lines = [
        f"capacity {figures['capacity_per_second']:,} a second; "
        f"p99 at half of it {figures['p99_ms_at_half']} ms; "
        f"as before {figures['settled_after_seconds']} s after the flood",
        "",
        f"| load | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for factor, one in figures["factors"].items():
        lines.append(f"| {factor} | {' | '.join(str(one[name]) for name in COLUMNS)} |")
    lines += ["", "| a quiet model beside a flood of another | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in figures["flood"].items()]
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--seconds", type=int, default=10, help="of each load")
    parser.add_argument("--rounds", type=int, default=3, help="of each factor; the median counts")
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--steps", type=int, default=16, help="how slow a row is, in 0.13 ms")
    parser.add_argument("--json", action="store_true", help="print JSON, and no table")


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    figures = measure(options.seconds, options.connections, options.rounds, options.steps)
    print(json.dumps(figures) if options.json else table(figures))
