"""How soon a change is seen in a stream, and how often one is claimed before it.

Each stream has clean rows, then changed ones. Ours has learned a reference before, as a deployed
model has one, and looks once per sub-window at windows of several lengths and at the cumulated
location; River's detectors learn from the stream itself, row by row. A delay is counted in rows
from the onset to the first claim after it.
"""

import math
import statistics
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import (
    REFERENCE_ROWS,
    Draw,
    Kind,
    Values,
    autoregressive,
    stream_changes,
)
from loadtests.detection.watch import Policy, watched

CLEAN_ROWS = CHANGED_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn."""

    streams: int = 60
    slow_streams: int = 8
    """For a detector that takes half a millisecond a row."""

    seed: int = 3


@dataclass(frozen=True, slots=True)
class Found:
    """What one detector said of the streams of one change."""

    change: str
    detector: str
    false_alarms: float
    """Per 10,000 clean rows."""

    median_delay: float
    """In rows; inf when half of the streams or more were missed."""

    late_delay: float
    """Which one in ten exceeds."""

    missed: float
    """Share of streams."""


def drawn(name: str, before: Draw, after: Draw, plan: Plan, streams: int) -> tuple[Values, Values]:
    """Return references, shape (streams, REFERENCE_ROWS), and streams, clean rows first."""
    rng = np.random.default_rng([plan.seed, zlib.crc32(name.encode())])
    references = np.stack([before(rng, REFERENCE_ROWS) for _ in range(streams)])
    rows = [np.concatenate([before(rng, CLEAN_ROWS), after(rng, CHANGED_ROWS)]) for _ in references]
    return references, np.stack(rows)


def ours(references: Values, streams: Values, kind: Kind, policy: Policy) -> list[list[int]]:
    """Return the rows at which alarms are raised, for each stream."""
    return [
        watched(reference, kind, policy).alarms(stream)
        for reference, stream in zip(references, streams, strict=True)
    ]


def summary(change: str, detector: str, claims: Sequence[Sequence[int]]) -> Found:
    """Put claims by row, one list for each stream, into figures."""
    early = sum(row < CLEAN_ROWS for rows in claims for row in rows)
    delays = [
        min((row - CLEAN_ROWS + 1 for row in rows if row >= CLEAN_ROWS), default=math.inf)
        for rows in claims
    ]
    return Found(
        change,
        detector,
        early / len(claims) / (CLEAN_ROWS / 10_000),
        statistics.median(delays),
        float(np.quantile(delays, 0.9, method="higher")),
        sum(map(math.isinf, delays)) / len(delays),
    )


Claims = Callable[[str, Values], list[list[int]]]
"""A detector of River by its name, and streams, to the rows at which it claims drift."""


def measure(plan: Plan, policy: Policy, river: Claims | None) -> list[Found]:
    """Return what every detector says of every change."""
    found = []
    for change in stream_changes():
        references, streams = drawn(change.name, change.before, change.after, plan, plan.streams)
        claims = ours(references, streams, change.kind, policy)
        found.append(summary(change.name, "tidegate", claims))
        if river is None or change.kind is Kind.CATEGORY:
            continue
        for name in ("ADWIN", "PageHinkley", "KSWIN"):
            some = streams[: plan.slow_streams] if name == "KSWIN" else streams
            found.append(summary(change.name, name, river(name, some)))
    return found


def measure_dependent(plan: Plan, policy: Policy, river: Claims | None, rho: float) -> list[Found]:
    """Return false alarms on streams whose rows resemble their neighbours; nothing changes."""
    rng = np.random.default_rng([plan.seed, int(100 * rho)])
    rows = autoregressive(rng, rho, plan.streams, REFERENCE_ROWS + CLEAN_ROWS)
    references, streams = rows[:, :REFERENCE_ROWS], rows[:, REFERENCE_ROWS:]
    name = f"AR({rho}), no change"
    found = [summary(name, "tidegate", ours(references, streams, Kind.NUMBER, policy))]
    for detector in ("ADWIN", "PageHinkley", "KSWIN") if river else ():
        assert river is not None
        some = streams[: plan.slow_streams] if detector == "KSWIN" else streams
        found.append(summary(name, detector, river(detector, some)))
    return found


def table(found: Sequence[Found]) -> str:
    """Return a Markdown table: median delay, late delay, false alarms, share missed."""
    lines = [
        "| change | detector | median delay, rows | 9 of 10 within | missed | "
        "false alarms per 10,000 rows |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        median, late = (
            "-" if math.isinf(delay) else f"{delay:,.0f}"
            for delay in (one.median_delay, one.late_delay)
        )
        lines.append(
            f"| {one.change} | {one.detector} | {median} | {late} | {one.missed:.0%} | "
            f"{one.false_alarms:.2f} |"
        )
    return "\n".join(lines)
