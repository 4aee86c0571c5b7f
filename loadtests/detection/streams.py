"""How soon a change is seen in a stream, and how often one is claimed before it.

Each stream has clean rows, then changed ones. Ours has learned a reference before, as a deployed
model has one, and looks once per sub-window at windows of several lengths and at the cumulated
location; River's detectors learn from the stream itself, row by row. A delay is counted in rows
from the onset to the first claim after it.
"""

import math
import statistics
import zlib
from collections.abc import Callable, Iterator, Sequence
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

    streams: int = 30
    slow_streams: int = 4
    """For a detector that takes half a millisecond a row."""

    policies: Sequence[Policy] = (Policy(), Policy(50), Policy(50, 1e5))
    """The default sub-windows, a faster look, and one with a budget ten times as large."""

    rhos: Sequence[float] = (0.5, 0.8)
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
        watched(reference, kind, policy).alarms({"x": stream}, CLEAN_ROWS)
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


def measure(plan: Plan, river: Claims | None) -> Iterator[Found]:
    """Yield what every detector says of every change, and of rows that are like neighbours."""
    for change in stream_changes():
        references, streams = drawn(change.name, change.before, change.after, plan, plan.streams)
        yield from _of_all(change.name, change.kind, references, streams, plan, river)
    for rho in plan.rhos:
        rng = np.random.default_rng([plan.seed, int(100 * rho)])
        length = REFERENCE_ROWS + CLEAN_ROWS
        rows = autoregressive(rng, rho, plan.streams, length)
        parts = rows[:, :REFERENCE_ROWS], rows[:, REFERENCE_ROWS:]
        yield from _of_all(f"none, AR({rho})", Kind.NUMBER, *parts, plan, river)


def _of_all(
    name: str, kind: Kind, references: Values, streams: Values, plan: Plan, river: Claims | None
) -> Iterator[Found]:
    for policy in plan.policies:
        claims = ours(references, streams, kind, policy)
        rare = f"{policy.rows_per_false_alarm:.0e}".replace("e+0", "e")
        yield summary(name, f"tidegate, {policy.sub_window_rows}, {rare}", claims)
    if river is None or kind is Kind.CATEGORY:
        return
    for detector in ("ADWIN", "PageHinkley", "KSWIN"):
        some = streams[: plan.slow_streams] if detector == "KSWIN" else streams
        yield summary(name, detector, river(detector, some))


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
