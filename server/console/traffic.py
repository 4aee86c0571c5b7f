"""The requests of the last minutes, and the figures that are shown of them. Pure.

Decides what a rate, an error ratio and a quantile are when little or nothing was seen: without a
request there is no ratio and no latency, and before control began to count there is no rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.wire.tally import DURATION_BUCKETS

NOW_SLOTS = 12
"""Steps that "now" means: at five seconds each, the last minute."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """What came in each of some steps of time, oldest first; `n` steps."""

    ends: NDArray[np.float64]
    """When each step ended, in seconds since 1970, shape (n,)."""
    spans: NDArray[np.float64]
    """How long each took, in seconds, shape (n,)."""
    requests: NDArray[np.int64]
    """Answered requests, shape (n,)."""
    failures: NDArray[np.int64]
    """Those of them that the server is to blame for (a status of 500 or more), shape (n,)."""
    rows: NDArray[np.int64]
    """Rows of batches that succeeded, shape (n,)."""
    batches: NDArray[np.int64]
    """These batches, shape (n,)."""
    durations: NDArray[np.int64]
    """Requests by duration, shape (n, buckets of `DURATION_BUCKETS` and an open one)."""

    def joined(self, other: "Traffic") -> "Traffic":
        """Return both together; they are of the same steps."""
        return Traffic(
            self.ends,
            self.spans,
            self.requests + other.requests,
            self.failures + other.failures,
            self.rows + other.rows,
            self.batches + other.batches,
            self.durations + other.durations,
        )

    def last(self, steps: int) -> "Traffic":
        """Return the newest steps only."""
        return Traffic(*(getattr(self, name)[-steps:] for name in Traffic.__slots__))


@dataclass(frozen=True, slots=True)
class Figures:
    """What is said of some stretch of time; None is what cannot be said."""

    requests_per_second: float | None = None
    rows_per_second: float | None = None
    error_ratio: float | None = None
    p50_seconds: float | None = None
    p99_seconds: float | None = None
    rows_per_batch: float | None = None


def figures(traffic: Traffic | None) -> Figures:
    """Return the figures of all steps together."""
    if traffic is None or not len(traffic.ends) or traffic.spans.sum() <= 0.0:
        return Figures()
    seconds = float(traffic.spans.sum())
    requests, batches = int(traffic.requests.sum()), int(traffic.batches.sum())
    durations = traffic.durations.sum(axis=0)
    return Figures(
        requests / seconds,
        float(traffic.rows.sum()) / seconds,
        float(traffic.failures.sum()) / requests if requests else None,
        quantile(durations, 0.5),
        quantile(durations, 0.99),
        float(traffic.rows.sum()) / batches if batches else None,
    )


def quantile(counts: NDArray[np.int64], at: float) -> float | None:
    """Return the duration in seconds below which a share `at` lies; None if there are none.

    Within a bucket durations are taken as spread evenly. What lies beyond the last bound is given
    as that bound: it is at least that.
    """
    total = int(counts.sum())
    if not total:
        return None
    below = np.cumsum(counts)
    place = int(np.searchsorted(below, at * total))
    if place >= len(DURATION_BUCKETS):
        return DURATION_BUCKETS[-1]
    low = DURATION_BUCKETS[place - 1] if place else 0.0
    before = int(below[place - 1]) if place else 0
    return low + (at * total - before) / int(counts[place]) * (DURATION_BUCKETS[place] - low)


def per_second(traffic: Traffic, counts: NDArray[np.int64]) -> list[float | None]:
    """Return counts of each step as rates; None for a step without a length."""
    return [
        round(number / span, 3) if span > 0.0 else None
        for number, span in zip(counts.tolist(), traffic.spans.tolist(), strict=True)
    ]


def rates(traffic: Traffic, most: int) -> list[float | None]:
    """Return requests a second of neighbouring steps together, `most` points at most."""
    steps = len(traffic.ends)
    starts = np.arange(0, steps, -(-steps // most) or 1)
    if not len(starts):
        return []
    spans = np.add.reduceat(traffic.spans, starts)
    found = np.add.reduceat(traffic.requests, starts) / np.where(spans > 0.0, spans, np.nan)
    return [None if one != one else one for one in np.round(found, 3).tolist()]


def quantiles(traffic: Traffic, at: float, merged: int = 3) -> list[float | None]:
    """Return a quantile for each step, in milliseconds, of it and those just before it.

    The 99th percentile of five seconds of a quiet model is one request; `merged` steps together
    make a line that can be read.
    """
    found: list[float | None] = []
    for end in range(1, len(traffic.ends) + 1):
        seconds = quantile(traffic.durations[max(0, end - merged) : end].sum(axis=0), at)
        found.append(None if seconds is None else round(seconds * 1e3, 4))
    return found


def together(values: Sequence[Traffic]) -> Traffic | None:
    """Return several versions' traffic together; None without any."""
    if not values:
        return None
    total = values[0]
    for one in values[1:]:
        total = total.joined(one)
    return total
