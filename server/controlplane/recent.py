"""The traffic of the last quarter of an hour, for the console's lines.

Decides how finely and for how long it is kept: 180 steps of 5 seconds for each version that was
asked for something, in whole numbers of four bytes; a quantile of any stretch follows from the
counts of its buckets. Prometheus keeps the rest. Beyond MAX_SERIES versions, further ones have no
lines, and the console says so by showing none.

Concurrency: event loop only.
Lifetime: `run` is one task for the life of control; what is kept goes with it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from server.console.traffic import Traffic
from server.controlplane.routed_counts import FAILURES
from server.controlplane.totals import Totals
from server.wire.tally import DURATION_BUCKETS, Tally

STEP_SECONDS = 5.0
STEPS = 180
MAX_SERIES = 400
"""Versions; each takes 16 KiB."""

_COUNTS = 4
"""Requests, failures, rows, batches; durations by bucket follow."""
_WIDTH = _COUNTS + len(DURATION_BUCKETS) + 1

Key = tuple[str, str]


class Recent:
    """What came lately, by model and version."""

    def __init__(self, totals: Totals, clock: Callable[[], float] = time.time) -> None:
        self._totals = totals
        self._clock = clock
        self.began_seconds = clock()
        """Since when control counts; nothing is known of the time before."""
        self._ticked = self.began_seconds
        self._turn = 0
        """Steps so far; step `i` lies at `i % STEPS`."""
        self._ends = np.zeros(STEPS)
        self._spans = np.zeros(STEPS)
        self._sums: dict[Key, NDArray[np.int64]] = {}
        """What workers had counted at the last step."""
        self._steps: dict[Key, NDArray[np.uint32]] = {}

    @property
    def held_bytes(self) -> int:
        """How much memory the counts take."""
        return sum(one.nbytes for one in self._steps.values())

    async def run(self) -> None:
        """Take a step every few seconds, for ever."""
        while True:
            await asyncio.sleep(STEP_SECONDS)
            self.tick(self._clock())

    def tick(self, now: float) -> None:
        """Close a step: what was counted since the last one lies in it."""
        at = self._turn % STEPS
        # A clock that is set back makes a step without a length, of which no rate is known.
        self._ends[at], self._spans[at] = now, max(0.0, now - self._ticked)
        self._ticked, self._turn = now, self._turn + 1
        versions = self._totals.versions
        for key in self._steps.keys() - versions.keys():
            del self._steps[key], self._sums[key]
        for key, tally in versions.items():
            steps = self._steps.get(key)
            if steps is None:
                if len(self._steps) >= MAX_SERIES:
                    continue
                steps = self._steps[key] = np.zeros((STEPS, _WIDTH), np.uint32)
                self._sums[key] = np.zeros(_WIDTH, np.int64)
            sums = _vector(tally)
            news = sums - self._sums[key]
            # A model that went and came back between two steps is counted from zero again.
            steps[at] = sums if (news < 0).any() else news
            self._sums[key] = sums

    def versions(self, model: str) -> dict[str, Traffic]:
        """Return the traffic of each version of a model that was asked for something."""
        return {
            version: self._traffic((name, version))
            for name, version in sorted(self._steps)
            if name == model
        }

    def by_model(self) -> dict[str, list[Traffic]]:
        """Return the traffic of the versions of each model."""
        found: dict[str, list[Traffic]] = {}
        for key in self._steps:
            found.setdefault(key[0], []).append(self._traffic(key))
        return found

    def silence(self) -> Traffic:
        """Return the steps there were, with nothing in them: the model was not asked."""
        order = list(self._order())
        empty = np.zeros(len(order), np.int64)
        durations = np.zeros((len(order), len(DURATION_BUCKETS) + 1), np.int64)
        return Traffic(self._ends[order], self._spans[order], empty, empty, empty, empty, durations)

    def _order(self) -> Iterable[int]:
        return (turn % STEPS for turn in range(max(0, self._turn - STEPS), self._turn))

    def _traffic(self, key: Key) -> Traffic:
        order = list(self._order())
        steps = self._steps[key][order].astype(np.int64)
        requests, failures, rows, batches = steps[:, :_COUNTS].T
        durations = steps[:, _COUNTS:]
        return Traffic(
            self._ends[order], self._spans[order], requests, failures, rows, batches, durations
        )


def _vector(tally: Tally) -> NDArray[np.int64]:
    vector = np.empty(_WIDTH, np.int64)
    outcomes = tally.outcomes
    failures = sum(outcomes[code] for code in FAILURES & outcomes.keys())
    vector[:_COUNTS] = (outcomes.total(), failures, tally.rows, tally.batches)
    vector[_COUNTS:] = tally.request.counts
    return vector
