"""`python -m loadtests shadow`: whether predictions notice a candidate that is run on copies.

Two workers answer at half of what they could. The load never stops; a shadow is begun and ended
under it, and windows with it and without it take turns. Then come candidates that never end, take
all memory, answer NaN, or whose process is killed.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.processes import tree
from loadtests.shadowing import bench, cores
from loadtests.shadowing.bench import Bench
from loadtests.shadowing.cores import Cores
from loadtests.shadowing.ratios import paired_ratio
from loadtests.shadowing.steady_load import SteadyLoad, Window

BAD_SECONDS = 12.0
"""Least of a window with a bad candidate: one that never ends is found out after some ten."""
SETTLE_SECONDS = 1.5
"""After a shadow has begun or ended."""
COSTLY = "2"
BAD = {"never ends": "3", "takes all memory": "4", "answers NaN": "5", "is killed each second": "2"}

FAMILIES = ("sampled_batches", "dropped_batches", "findings", "pairs")

Disturb = Callable[[Bench, threading.Event], None]


@dataclass
class Side:
    """Windows with a shadow, or without one."""

    windows: list[Window] = field(default_factory=list)
    cores: list[Cores] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {family: Counter() for family in FAMILIES}
    )
    """What /metrics has counted of the candidate within the windows, by family and label."""

    def p99(self) -> list[float]:
        """Return the p99 of each window in seconds."""
        return [one.quantile(0.99) for one in self.windows]

    def told(self, seconds: float) -> dict[str, Any]:
        """Return medians over the windows, and what all together have seen."""
        late = [float(np.quantile(one.sent_late, 0.99)) for one in self.windows]
        return {
            "requests": sum(len(one.seconds) for one in self.windows),
            "failed": sum(len(one.failures) for one in self.windows),
            "failures": [text for one in self.windows for text in one.failures][:3],
            "p50_ms": _ms([one.quantile(0.5) for one in self.windows]),
            "p99_ms": _ms(self.p99()),
            "sent_late_p99_ms": _ms(late),
            "cores": self._per_second("ran", seconds),
            "waits_per_second": self._per_second("waited", seconds),
        }

    def _per_second(self, name: str, seconds: float) -> dict[str, float]:
        """Return seconds a second by kind of process, the median over the windows."""
        counts = [getattr(one, name) for one in self.cores]
        kinds = sorted({kind for one in counts for kind in one})
        return {
            kind: round(statistics.median(one.get(kind, 0.0) for one in counts) / seconds, 4)
            for kind in kinds
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rounds", type=int, default=15, help="pairs of windows")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each window")
    parser.add_argument("--load", type=float, default=0.5, help="share of the peak")
    parser.add_argument("--bad-rounds", type=int, default=3, help="pairs for each bad candidate")
    parser.add_argument("--json", action="store_true", help="print JSON, and no table")


def run(options: argparse.Namespace) -> None:
    """Measure, and print what was found."""
    found = measure(options.rounds, options.seconds, options.load, options.bad_rounds)
    print(json.dumps(found) if options.json else "\n".join(_table(found)))


def measure(rounds: int, seconds: float, share: float, bad_rounds: int) -> dict[str, Any]:
    """Return what was found, by kind of candidate."""
    with bench.running() as one:
        # The first seconds teach workers what a batch costs.
        peak = statistics.median([one.peak() for _ in range(4)][1:])
        found: dict[str, Any] = {"peak": peak, "rate": peak * share, "candidates": {}}
        with one.load(peak * share) as load:
            load.window(SETTLE_SECONDS)
            costly = _compare(one, load, COSTLY, rounds, seconds)
            found["candidates"]["costs what the live version does"] = costly
            for name, version in BAD.items():
                if bad_rounds:
                    disturb = _kill_again_and_again if version == COSTLY else None
                    bad_seconds = max(seconds, BAD_SECONDS)
                    bad = _compare(one, load, version, bad_rounds, bad_seconds, disturb)
                    found["candidates"][name] = bad
    return found


def _compare(
    one: Bench,
    load: SteadyLoad,
    version: str,
    rounds: int,
    seconds: float,
    disturb: Disturb | None = None,
) -> dict[str, Any]:
    """Measure with a candidate and without, in turns: who is first alternates too."""
    sides = {False: Side(), True: Side()}
    for number in range(rounds):
        for is_on in (False, True) if number % 2 else (True, False):
            _look(one, load, sides[is_on], seconds, version if is_on else "", disturb)
    ratio = paired_ratio(sides[True].p99(), sides[False].p99())
    return {
        "with": sides[True].told(seconds),
        "without": sides[False].told(seconds),
        "p99_ratio": [ratio.middle, ratio.low, ratio.high],
        "counts": {family: dict(counts) for family, counts in sides[True].counts.items()},
    }


def _look(
    one: Bench, load: SteadyLoad, side: Side, seconds: float, version: str, disturb: Disturb | None
) -> None:
    """Measure one window, with a shadow unless `version` is empty."""
    if version:
        one.start(version)
    time.sleep(SETTLE_SECONDS)
    over = threading.Event()
    disturber = threading.Thread(target=disturb or _nothing, args=(one, over))
    if version:
        disturber.start()
    counts = {family: one.counts(family, version) for family in FAMILIES if version}
    before = cores.now(one.pid, load.native_id)
    side.windows.append(load.window(seconds))
    side.cores.append(cores.now(one.pid, load.native_id).since(before))
    over.set()
    if version:
        disturber.join()
        for family, was in counts.items():
            side.counts[family].update(one.counts(family, version))
            side.counts[family].subtract(was)
        one.stop(version)


def _nothing(one: Bench, over: threading.Event) -> None:
    del one, over


def _kill_again_and_again(one: Bench, over: threading.Event) -> None:
    """Kill the shadow process each second, as if its candidate ended it."""
    while not over.wait(1.0):
        for pid in tree(one.pid):
            with contextlib.suppress(OSError):
                if b"server.shadow.start" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)


def _ms(seconds: list[float]) -> float:
    return round(1e3 * statistics.median(seconds), 2)


def _table(found: dict[str, Any]) -> list[str]:
    lines = [
        f"peak {found['peak']:,.0f} requests/s, asked {found['rate']:,.0f}",
        "",
        "| candidate | requests | failed | p50 ms | p99 ms | without it | p99 ratio (95 %) "
        "| sent late p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found["candidates"].items():
        with_it, without = one["with"], one["without"]
        middle, low, high = one["p99_ratio"]
        lines.append(
            f"| {name} | {with_it['requests']:,} | {with_it['failed']} | {with_it['p50_ms']:.2f} "
            f"| {with_it['p99_ms']:.2f} | p50 {without['p50_ms']:.2f}, p99 {without['p99_ms']:.2f} "
            f"| {middle:.3f} ({low:.3f} to {high:.3f}) "
            f"| {with_it['sent_late_p99_ms']:.2f}, {without['sent_late_p99_ms']:.2f} |"
        )
    lines += [
        "",
        "| candidate | batches drawn | dropped | findings | pairs |",
        "|---|---|---|---|---|",
    ]
    for name, one in found["candidates"].items():
        drawn = one["counts"]["sampled_batches"].get("", 0)
        told = (_counts(one["counts"][family]) for family in FAMILIES[1:])
        lines.append(f"| {name} | {drawn:,} | " + " | ".join(told) + " |")
    lines += [
        "",
        "| cores used, ms a second that none was free | with it | without |",
        "|---|---|---|",
    ]
    costly = next(iter(found["candidates"].values()))
    for kind in costly["with"]["cores"]:
        sides = (
            f"{costly[side]['cores'].get(kind, 0.0):.2f}, "
            f"{1e3 * costly[side]['waits_per_second'].get(kind, 0.0):.0f}"
            for side in ("with", "without")
        )
        lines.append(f"| {kind} | " + " | ".join(sides) + " |")
    return lines


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "none"
