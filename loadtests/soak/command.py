"""The soak: mixed traffic, a reload and a release each minute, and what the processes hold.

Decides the order of it all, and what is printed. Nine requests of ten are good and must be answered
right, one is bad and must be refused; each minute a version is promoted or rolled back, and another
model unloaded and loaded again.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from loadtests import targets
from loadtests.control import Control, expect
from loadtests.soak.samples import Sample, Trend, take, trends
from loadtests.soak.traffic import Ledger, Traffic, every
from loadtests.switches import MANUAL, adder, audit_of, put_adders

SAMPLE_SECONDS = 5.0
CHANGE_SECONDS = 60.0
WARM_UP = 1 / 3
"""Share of the run that is not looked at, as far as it is no more than MAX_WARM_UP_SECONDS."""
MAX_WARM_UP_SECONDS = 600.0
MAX_SLOPE_MIB_PER_HOUR = 1.0


@dataclass
class Run:
    """What was seen."""

    seconds: float
    ledger: Ledger
    changes: int = 0
    samples: list[Sample] = field(default_factory=list)
    audit: str = ""

    @property
    def warm_up_seconds(self) -> float:
        """How long nothing was made of what was sampled."""
        return min(self.seconds * WARM_UP, MAX_WARM_UP_SECONDS)

    def trends(self) -> list[Trend]:
        """Return what became of each process after the warm-up."""
        return trends(self.samples, self.warm_up_seconds)


def add_options(tested: argparse.ArgumentParser) -> None:
    """Add what may be said of a run."""
    tested.add_argument("--minutes", type=float, default=3.0)
    tested.add_argument("--rate", type=float, default=200.0, help="requests per second")
    tested.add_argument("--workers", type=int, default=2)
    tested.add_argument("--json", action="store_true", help="print JSON for programs")


def run(options: argparse.Namespace) -> None:
    """Measure and print; what the store logs when it is looked at goes elsewhere."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    seen = measure(options.minutes * 60.0, options.rate, options.workers)
    print(json.dumps(to_json(seen), indent=2) if options.json else table(seen))


def measure(seconds: float, rate: float, workers: int) -> Run:
    """Run a gateway under mixed traffic for so long."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put_adders(scratch / "models", MANUAL)
        other = scratch / "models" / "other" / "1"
        other.mkdir(parents=True)
        (other / "model.onnx").write_bytes(adder(3.0))
        control = Control(targets.free_port())
        # So few that the warm-up has them: five million answers would be kept for their labels,
        # a hundred megabytes, and it takes days until there are as many.
        flags = ("--control-port", str(control.port), "--feedback-max-rows", "20000")
        with targets.tidegate(scratch, scratch / "models", workers, "tidegate", *flags) as target:
            if control.first_live("adder") != "1":
                expect(control.promote("adder", "1"))
            seen = _soak(target, control, seconds, rate)
        seen.audit = audit_of(scratch / "state-tidegate")
    return seen


def _soak(target: targets.Target, control: Control, seconds: float, rate: float) -> Run:
    started = time.monotonic()
    until = started + seconds
    with Traffic(target.port, rate) as traffic:
        seen = Run(seconds, traffic.ledger)

        def change(number: int) -> None:
            expect(control.rollback("adder") if number % 2 else control.promote("adder", "2"))
            expect(control.post("/v2/repository/models/other/unload", {}))
            expect(control.load("other", {}))
            seen.changes += 1

        changing = threading.Thread(target=every, args=(CHANGE_SECONDS, until, change))
        changing.start()
        every(
            SAMPLE_SECONDS,
            until,
            lambda _: seen.samples.extend(take(target.pid, time.monotonic() - started)),
        )
        changing.join()
    return seen


def to_json(seen: Run) -> dict[str, Any]:
    """Return everything as JSON values."""
    ledger = seen.ledger
    return {
        "seconds": seen.seconds,
        "warm_up_seconds": seen.warm_up_seconds,
        "good": ledger.good,
        "wrong": ledger.wrong,
        "bad": {f"{name}: {outcome}": count for (name, outcome), count in ledger.bad.items()},
        "accepted": ledger.accepted,
        "changes": seen.changes,
        "audit": seen.audit,
        "processes": [asdict(one) for one in seen.trends()],
        "samples": [asdict(one) for one in seen.samples],
    }


def table(seen: Run) -> str:
    """Return what was seen as text."""
    ledger = seen.ledger
    lines = [
        f"{seen.seconds / 60:g} minutes: {ledger.good:,} good requests, {len(ledger.wrong)} not "
        f"answered right {ledger.wrong[:3]}; {ledger.bad.total():,} bad ones, "
        f"{len(ledger.accepted)} not refused {ledger.accepted[:3]}; {seen.changes} reloads and "
        f"releases; {seen.audit}",
        f"after a warm-up of {seen.warm_up_seconds:g} s:",
        "",
        "| process | PSS MiB | slope MiB/h | ± | RSS slope | descriptors | threads | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(one) for one in seen.trends()]
    return "\n".join(lines)


def _row(one: Trend) -> str:
    grows = one.pss_slope_mib_per_hour - 2 * one.pss_error_mib_per_hour > MAX_SLOPE_MIB_PER_HOUR
    words = [
        *(["memory grows"] if grows else []),
        *(["more descriptors"] if one.open_files[1] > one.open_files[0] else []),
        *(["more threads"] if one.threads[1] > one.threads[0] else []),
    ]
    figures = (
        f"{one.role} {one.pid}",
        f"{one.pss_mib:g}",
        f"{one.pss_slope_mib_per_hour:+g}",
        f"{one.pss_error_mib_per_hour:g}",
        f"{one.rss_slope_mib_per_hour:+g}",
        f"{one.open_files[0]} to {one.open_files[1]}",
        f"{one.threads[0]} to {one.threads[1]}",
        ", ".join(words) or "steady",
    )
    return f"| {' | '.join(figures)} |"
