"""The batches of one flush as columns: times and sizes in, counts and record columns out. Pure."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from server.engine.batching import Closed
from server.wire.record import BATCH_COLUMNS, OwnId
from server.wire.tally import BatchSize, Routed, Tally

OK = "ok"

# What is special about a request, as bits. Plain integers: an Enum costs a microsecond a request.
PINNED: Final = 1
"""It named its version."""
SPLIT: Final = 2
"""It named none, while a canary takes a share of such requests: it counts for one of the two."""
OWN_ID: Final = 4
"""Its prediction id is not that of its number."""
KEYED: Final = 8
"""Its routing key said which of the two."""

_CLOSED = list(Closed)
CLOSED_CODES = {reason: code for code, reason in enumerate(_CLOSED)}

COLUMNS = 11
"""started, run_started, run_finished, answered (seconds of one clock), rows, requests, closed code,
whether every request was answered `ok`, whether the run failed, group of equal tensor shapes,
number of the first request's prediction id (microseconds since 1970 are whole in a float64)."""


class Noted:
    """What the hot path notes of batches: it only appends numbers.

    Arrays, because NumPy takes each number of a list by itself, and an array as it is.
    """

    __slots__ = ("arrived", "batches", "marks", "own_ids", "rows")

    def __init__(self) -> None:
        self.batches = array("d")
        """COLUMNS numbers a batch, one batch after the other."""
        self.arrived = array("d")
        """The arrival of each request, batch by batch."""
        self.rows = array("i")
        """The rows of each request that were answered."""
        self.marks = bytearray()
        """What is special about each request."""
        self.own_ids: list[OwnId] = []
        """By position among all requests."""


@dataclass(frozen=True, slots=True)
class RiverColumns:
    """Some batches as the river has them: see `BatchRecords`."""

    batches: NDArray[Any]
    waits: NDArray[np.float32]
    request_rows: NDArray[np.int32]
    is_pinned: NDArray[np.bool_]
    own_ids: list[OwnId]


class Columns:
    """Batches of one version, in order, column by column.

    `wall_offset` is what to add to the clock of the batches to get seconds since 1970.
    """

    def __init__(self, noted: Noted, wall_offset: float) -> None:
        table = np.array(noted.batches).reshape(-1, COLUMNS)
        self.started, self.run_started, self.run_finished, self.answered = table.T[:4]
        self.rows, self.requests, self.closed = table.T[4:7].astype(np.int64)
        self.all_ok, self.failed = table.T[7:9].astype(bool)
        self.group, self.first_id = table.T[9:11].astype(np.int64)
        self.arrived = np.array(noted.arrived)
        self.request_rows = np.array(noted.rows, np.int32)
        self.marks = np.frombuffer(bytes(noted.marks), np.uint8)
        self.own_ids: Sequence[OwnId] = noted.own_ids
        self.waits = np.maximum(np.repeat(self.started, self.requests) - self.arrived, 0.0)
        self.wall_offset = wall_offset

    def count_into(self, counts: Tally) -> None:
        """Add these batches to a tally."""
        counts.queue.observe(self.waits)
        counts.compute.observe(self.run_finished - self.run_started)
        spans = (np.repeat(self.answered, self.requests) - self.arrived)[
            np.repeat(self.all_ok, self.requests)
        ]
        if len(spans):
            counts.request.observe(spans)
            counts.outcomes[OK] += len(spans)
            counts.outcome_seconds[OK] += float(spans.sum())
            self._count_routed(spans, counts.routed)
        for code, number in enumerate(np.bincount(self.closed)):
            if number:
                counts.closed[_CLOSED[code].value] += int(number)
        for rows in np.unique(self.rows[~self.failed]):
            chosen = (self.rows == rows) & ~self.failed
            counts.sizes.setdefault(int(rows), BatchSize()).add(self._size(chosen))
        last = int((self.answered.max() + self.wall_offset) * 1000)
        counts.last_milliseconds = max(counts.last_milliseconds, last)

    def _count_routed(self, spans: NDArray[np.float64], routed: Routed) -> None:
        """Count those of the good requests that came through a split."""
        marks = self.marks[np.repeat(self.all_ok, self.requests)]
        is_routed = (marks & SPLIT) > 0
        if is_routed.any():
            chosen = spans[is_routed]
            routed.request.observe(chosen)
            routed.outcomes[OK] += len(chosen)
            routed.keyed += int(np.count_nonzero(marks[is_routed] & KEYED))

    def _size(self, chosen: NDArray[np.bool_]) -> BatchSize:
        return BatchSize(
            int(chosen.sum()),
            float((self.run_started - self.started)[chosen].sum()),
            float((self.run_finished - self.run_started)[chosen].sum()),
            float((self.answered - self.run_finished)[chosen].sum()),
        )

    def of_group(self, group: int) -> RiverColumns:
        """Return the good batches of one group as the river has them."""
        chosen = (self.group == group) & ~self.failed
        asked = np.repeat(chosen, self.requests)
        request_rows = self.request_rows[asked]
        requests = self.requests[chosen]
        run_seconds = self.run_finished - self.run_started
        table = np.zeros(len(requests), BATCH_COLUMNS)
        table["started_ns"] = ((self.started[chosen] + self.wall_offset) * 1e9).astype(np.int64)
        table["run_ns"] = (run_seconds[chosen] * 1e9).astype(np.int64)
        table["rows"] = _sums(request_rows, requests)
        table["requests"] = requests
        table["closed"] = self.closed[chosen]
        table["first_id"] = self.first_id[chosen]
        return RiverColumns(
            table,
            self.waits[asked].astype(np.float32),
            request_rows,
            (self.marks[asked] & PINNED).astype(bool),
            self._own_ids(asked),
        )

    def _own_ids(self, asked: NDArray[np.bool_]) -> list[OwnId]:
        """Return the ids of chosen requests, by their position among these."""
        if not self.own_ids:
            return []
        position = np.cumsum(asked) - 1
        return [
            own._replace(request=int(position[own.request]))
            for own in self.own_ids
            if asked[own.request]
        ]


def _sums(values: NDArray[np.int32], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of each run of values, where `sizes` says how long the runs are."""
    sums: NDArray[np.int64] = np.concatenate(([0], np.cumsum(values, dtype=np.int64)))
    ends = np.cumsum(sizes)
    each: NDArray[np.int64] = sums[ends] - sums[ends - sizes]
    return each
