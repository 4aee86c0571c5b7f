"""Counts of what a worker did for one version of a model since it last told control.

Decides which facts about serving are counted, in which buckets, and how counts travel. A worker
adds to a tally, sends it and starts an empty one; control adds what arrives to its own. A tally is
kept until it is sent, so a restart of control or a full socket loses none, and a restart of a
worker needs no care: control never sees totals, only what to add. A worker that is killed takes
with it what it had not sent, a quarter of a second's counts while control is there (up to a second
and a half's with many versions or workers), and never counts the requests that it was answering: a
version that kills workers shows in their restarts.

Does not know Prometheus or the statistics extension; both are written from these counts.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

DURATION_BUCKETS = (
    0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds in seconds. A small model answers in 0.2 ms and runs for a tenth of that."""

_BOUNDS = np.array(DURATION_BUCKETS)


@dataclass(slots=True)
class DurationHistogram:
    """Durations counted into DURATION_BUCKETS and one open bucket, with their sum."""

    counts: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(DURATION_BUCKETS) + 1, np.int64)
    )
    seconds: float = 0.0

    def observe(self, durations: NDArray[np.float64]) -> None:
        """Count durations in seconds; a bucket holds those up to and including its bound."""
        bins = np.searchsorted(_BOUNDS, durations, side="left")
        self.counts += np.bincount(bins, minlength=len(self.counts))
        self.seconds += float(durations.sum())

    def add(self, other: "DurationHistogram") -> None:
        """Add the counts of another histogram."""
        self.counts += other.counts
        self.seconds += other.seconds

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return int(self.counts.sum())


@dataclass(slots=True)
class BatchSize:
    """All batches of one size: how many, and what they cost in seconds."""

    batches: int = 0
    input_seconds: float = 0.0
    compute_seconds: float = 0.0
    output_seconds: float = 0.0

    def add(self, other: "BatchSize") -> None:
        """Add the batches of another value for the same size."""
        self.batches += other.batches
        self.input_seconds += other.input_seconds
        self.compute_seconds += other.compute_seconds
        self.output_seconds += other.output_seconds


@dataclass(slots=True)
class Routed:
    """Requests that a split gave to this version, while a canary took a share of the live one's.

    The two versions are compared by these: they come from the same callers at the same time, and
    without a routing key in the shares that the weight says. What named its version is not among
    them.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    """Answered requests by outcome, as in a tally."""
    request: DurationHistogram = field(default_factory=DurationHistogram)
    """Their durations, for those that reached a batch."""
    keyed: int = 0
    """Those that had a routing key. They do not come in the weight's share: a key's requests all go
    one way, and some keys ask more often than others."""

    def add(self, other: "Routed") -> None:
        """Add other requests that the same version was given."""
        self.outcomes.update(other.outcomes)
        self.keyed += other.keyed
        self.request.add(other.request)


@dataclass(slots=True)
class Tally:
    """What happened for one version. Empty when made."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Answered requests by outcome: `ok`, `client_gone`, or the code of an error."""
    outcome_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Their durations, summed, for requests that reached a batch."""
    closed: Counter[str] = field(default_factory=Counter)
    """Batches by the reason for which they took no more requests."""
    request: DurationHistogram = field(default_factory=DurationHistogram)
    """From the last byte of a request to its answer, for requests that reached a batch."""
    queue: DurationHistogram = field(default_factory=DurationHistogram)
    """From the last byte of a request, or of its part, to the start of its batch."""
    compute: DurationHistogram = field(default_factory=DurationHistogram)
    """Run time of the model, once per batch."""
    sizes: dict[int, BatchSize] = field(default_factory=dict)
    """Batches that succeeded, by their rows."""
    broken: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Rows that broke a data check, by feature, what was broken, and the check's policy."""
    unmirrored: Counter[str] = field(default_factory=Counter)
    """Batches whose large rows should have been sent whole and were not, by reason."""
    routed: Routed = field(default_factory=Routed)
    """Those of the requests that came through a split; empty without a canary."""
    last_milliseconds: int = 0
    """When a batch last finished, in milliseconds since 1970."""

    def add(self, other: "Tally") -> None:
        """Add the counts of another tally of the same version."""
        self.outcomes.update(other.outcomes)
        for code, seconds in other.outcome_seconds.items():
            self.outcome_seconds[code] += seconds
        self.closed.update(other.closed)
        self.broken.update(other.broken)
        self.unmirrored.update(other.unmirrored)
        self.routed.add(other.routed)
        for mine, theirs in (
            (self.request, other.request),
            (self.queue, other.queue),
            (self.compute, other.compute),
        ):
            mine.add(theirs)
        for rows, size in other.sizes.items():
            self.sizes.setdefault(rows, BatchSize()).add(size)
        self.last_milliseconds = max(self.last_milliseconds, other.last_milliseconds)

    @property
    def rows(self) -> int:
        """Rows computed in batches that succeeded."""
        return sum(rows * size.batches for rows, size in self.sizes.items())

    @property
    def batches(self) -> int:
        """Batches that succeeded."""
        return sum(size.batches for size in self.sizes.values())


def _histogram_json(histogram: DurationHistogram) -> list[Any]:
    return [histogram.counts.tolist(), histogram.seconds]


def _histogram(value: Sequence[Any]) -> DurationHistogram:
    return DurationHistogram(np.array(value[0], np.int64), float(value[1]))


def _routed_json(routed: Routed) -> list[Any]:
    return [routed.outcomes, _histogram_json(routed.request), routed.keyed]


def _routed(value: Sequence[Any] | None) -> Routed:
    return Routed(Counter(value[0]), _histogram(value[1]), value[2]) if value else Routed()


def encode(model: str, version: str, tally: Tally) -> bytes:
    """Write a tally as one message."""
    return orjson.dumps(
        {
            "model": model,
            "version": version,
            "outcomes": tally.outcomes,
            "outcome_seconds": tally.outcome_seconds,
            "closed": tally.closed,
            "request": _histogram_json(tally.request),
            "queue": _histogram_json(tally.queue),
            "compute": _histogram_json(tally.compute),
            "sizes": {
                str(rows): [
                    size.batches,
                    size.input_seconds,
                    size.compute_seconds,
                    size.output_seconds,
                ]
                for rows, size in tally.sizes.items()
            },
            "broken": [[*key, rows] for key, rows in sorted(tally.broken.items())],
            "unmirrored": tally.unmirrored,
            "routed": _routed_json(tally.routed) if tally.routed.outcomes else None,
            "last": tally.last_milliseconds,
        }
    )


def decode(message: bytes | memoryview) -> tuple[str, str, Tally]:
    """Read a message of `encode`: model, version and tally."""
    value = orjson.loads(message)
    tally = Tally(
        outcomes=Counter(value["outcomes"]),
        outcome_seconds=defaultdict(float, value["outcome_seconds"]),
        closed=Counter(value["closed"]),
        request=_histogram(value["request"]),
        queue=_histogram(value["queue"]),
        compute=_histogram(value["compute"]),
        sizes={int(rows): BatchSize(*size) for rows, size in value["sizes"].items()},
        broken=Counter({(row[0], row[1], row[2]): row[3] for row in value["broken"]}),
        unmirrored=Counter(value["unmirrored"]),
        routed=_routed(value["routed"]),
        last_milliseconds=value["last"],
    )
    return value["model"], value["version"], tally
