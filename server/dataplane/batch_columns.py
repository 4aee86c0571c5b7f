"""The batches of one flush as columns: times and sizes in, counts and record columns out. Pure."""

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.engine.batching import Closed
from server.wire.record import BATCH_COLUMNS
from server.wire.tally import BatchSize, Tally

OK = "ok"

_CLOSED = list(Closed)
CLOSED_CODES = {reason: code for code, reason in enumerate(_CLOSED)}

COLUMNS = 11
"""started, run_started, run_finished, answered (seconds of one clock), rows, requests, closed code,
whether every request was answered `ok`, whether the run failed, group of equal tensor shapes, rows
that were answered."""


class Columns:
    """Batches of one version, in order, column by column.

    `batches` holds COLUMNS numbers a batch, one batch after the other; `arrived` the arrival of
    each request, batch by batch; `wall_offset` is what to add to the clock of the batches to get
    seconds since 1970.
    """

    def __init__(self, batches: "array[float]", arrived: list[float], wall_offset: float) -> None:
        table = np.array(batches).reshape(-1, COLUMNS)
        self.started, self.run_started, self.run_finished, self.answered = table.T[:4]
        self.rows, self.requests, self.closed = table.T[4:7].astype(np.int64)
        self.all_ok, self.failed = table.T[7:9].astype(bool)
        self.group, self.answered_rows = table.T[9:11].astype(np.int64)
        self.arrived = np.array(arrived)
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
        for code, number in enumerate(np.bincount(self.closed)):
            if number:
                counts.closed[_CLOSED[code].value] += int(number)
        for rows in np.unique(self.rows[~self.failed]):
            chosen = (self.rows == rows) & ~self.failed
            counts.sizes.setdefault(int(rows), BatchSize()).add(self._size(chosen))
        last = int((self.answered.max() + self.wall_offset) * 1000)
        counts.last_milliseconds = max(counts.last_milliseconds, last)

    def _size(self, chosen: NDArray[np.bool_]) -> BatchSize:
        return BatchSize(
            int(chosen.sum()),
            float((self.run_started - self.started)[chosen].sum()),
            float((self.run_finished - self.run_started)[chosen].sum()),
            float((self.answered - self.run_finished)[chosen].sum()),
        )

    def of_group(self, group: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Return the river's batch and wait columns of the good batches of one group."""
        chosen = (self.group == group) & ~self.failed
        run_seconds = self.run_finished - self.run_started
        table = np.zeros(int(chosen.sum()), BATCH_COLUMNS)
        table["started_ns"] = ((self.started[chosen] + self.wall_offset) * 1e9).astype(np.int64)
        table["run_ns"] = (run_seconds[chosen] * 1e9).astype(np.int64)
        table["rows"] = self.answered_rows[chosen]
        table["requests"] = self.requests[chosen]
        table["closed"] = self.closed[chosen]
        return table, self.waits[np.repeat(chosen, self.requests)].astype(np.float32)
