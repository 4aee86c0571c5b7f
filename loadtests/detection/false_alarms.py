"""How often drift is claimed of columns in which nothing changes.

Each column has many references, since one reference shares its error with all of its windows. Rows
that resemble their neighbours come from one long stream, whose beginning is the reference.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import CLEAN, REFERENCE_ROWS, Change, Kind, Values, autoregressive
from loadtests.detection.product import monitored

ALPHAS = (0.01, 0.001)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn."""

    sizes: Sequence[int] = (200, 500, 2000)
    references: int = 60
    windows: int = 50
    """For each reference."""

    rhos: Sequence[float] = (0.5, 0.8)
    seed: int = 2


@dataclass(frozen=True, slots=True)
class Rate:
    """Alarms on clean windows of one column."""

    column: str
    rows: int
    windows: int
    alarms: tuple[int, ...]
    """At each of ALPHAS."""


def wilson(count: int, total: int, deviations: float = 1.96) -> tuple[float, float]:
    """Return the interval of a rate (Wilson 1927, J. Am. Stat. Assoc. 22), 95 % by default."""
    if total == 0:
        return 0.0, 1.0
    square = deviations * deviations
    middle = (count + square / 2.0) / (total + square)
    share = count / total
    half = deviations * math.sqrt(share * (1.0 - share) * total + square / 4.0) / (total + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def measure(plan: Plan) -> Iterator[Rate]:
    """Yield the rate of each column and window size."""
    for change in CLEAN:
        for rows in plan.sizes:
            rng = np.random.default_rng([plan.seed, rows, zlib.crc32(change.name.encode())])
            p = [
                value
                for _ in range(plan.references)
                for value in _independent(change, rows, plan.windows, rng)
            ]
            yield _rate(change.name, rows, p)
    for rho in plan.rhos:
        for rows in plan.sizes:
            rng = np.random.default_rng([plan.seed, rows, int(100 * rho)])
            length = REFERENCE_ROWS + rows * plan.windows
            streams = autoregressive(rng, rho, plan.references, length)
            p = [value for stream in streams for value in _dependent(stream, rows)]
            yield _rate(f"AR({rho})", rows, p)


def _independent(change: Change, rows: int, windows: int, rng: np.random.Generator) -> list[float]:
    column = monitored(change.before(rng, REFERENCE_ROWS), change.kind)
    drawn = (change.before(rng, rows) for _ in range(windows))
    return [column.verdict(column.count(window)).p for window in drawn]


def _dependent(stream: Values, rows: int) -> list[float]:
    column = monitored(stream[:REFERENCE_ROWS], Kind.NUMBER)
    windows = stream[REFERENCE_ROWS:].reshape(-1, rows)
    return [column.verdict(column.count(window)).p for window in windows]


def _rate(name: str, rows: int, p: list[float]) -> Rate:
    found = np.array(p)
    return Rate(name, rows, len(p), tuple(int(np.sum(found < alpha)) for alpha in ALPHAS))


def table(rates: Sequence[Rate]) -> str:
    """Return the rates as a Markdown table."""
    lines = ["| column | rows | windows | alarms at 1 % | 95 % interval | alarms at 0.1 % |"]
    lines.append("|---|---|---|---|---|---|")
    for rate in rates:
        low, high = wilson(rate.alarms[0], rate.windows)
        share, rarer = (alarms / rate.windows for alarms in rate.alarms)
        lines.append(
            f"| {rate.column} | {rate.rows} | {rate.windows} | {share:.2%} | "
            f"{low:.2%} to {high:.2%} | {rarer:.3%} |"
        )
    return "\n".join(lines)
