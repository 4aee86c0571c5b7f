"""Requests of canary and live version, from the counts of workers.

Decides which outcomes are failures of the version, how long a slow request takes, and what is new
since the last look. Workers' counts are sums since control started; a restart of control begins
with what comes then.

Failures are the outcomes that have a status of 500 or more: what a caller did wrong is not the
version's fault. A request is slow if it takes half as long again as nearly all requests of the live
version took before. Durations come in buckets, so that is rounded up to the bound of one.

Concurrency: event loop only.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.errors import TidegateError
from server.protocol.errors import STATUS
from server.release.canary_evidence import Requests
from server.wire.tally import DURATION_BUCKETS, DurationHistogram, Routed

FAILURES = frozenset({TidegateError.code}) | {
    error.code for error, status in STATUS.items() if status >= 500
}

SLOW_QUANTILE = 0.99
SLOW_FACTOR = 1.5
"""Room above it: without it, a version that takes a tenth longer would be slow every time."""
LEAST_REQUESTS = 1000
"""Of the live version, from which it is known what is slow."""

Key = tuple[str, str]
"""Model and version."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Sums at the last look."""

    outcomes: Counter[str]
    durations: NDArray[np.int64]
    keyed: int


class RoutedCounts:
    """What was seen at the last look, to tell what is new."""

    def __init__(self) -> None:
        self._seen: dict[Key, _Seen] = {}

    def news(self, key: Key, sums: Routed, slow_seconds: float) -> Requests:
        """Return the requests since the last look at these sums; none at the first one.

        Nothing is timed if `slow_seconds`, the bound of a bucket, is 0.
        """
        now = _Seen(Counter(sums.outcomes), sums.request.counts.copy(), sums.keyed)
        seen = self._seen.get(key)
        self._seen[key] = now
        if seen is None or (now.durations < seen.durations).any():
            return Requests()  # The first look, or the sums began anew.
        new, durations = now.outcomes - seen.outcomes, now.durations - seen.durations
        total, keyed = new.total(), now.keyed - seen.keyed
        failures = sum(new[code] for code in FAILURES & new.keys())
        requests = Requests(total, failures, unkeyed=max(0, total - keyed))
        if slow_seconds > 0.0:
            above = DURATION_BUCKETS.index(slow_seconds) + 1
            requests.timed = int(durations.sum())
            requests.slow = int(durations[above:].sum())
        return requests

    def keep_only(self, keys: set[Key]) -> None:
        """Forget all others: their next look is a first one."""
        for key in self._seen.keys() - keys:
            del self._seen[key]


def slow_seconds(live: DurationHistogram) -> float:
    """Return the bound of a bucket above which a request is slow; 0 if that cannot be said."""
    total = live.total
    if total < LEAST_REQUESTS:
        return 0.0
    below = np.cumsum(live.counts)
    place = int(np.searchsorted(below, SLOW_QUANTILE * total))
    if place >= len(DURATION_BUCKETS):
        return 0.0
    low = DURATION_BUCKETS[place - 1] if place else 0.0
    before = int(below[place - 1]) if place else 0
    share = (SLOW_QUANTILE * total - before) / int(live.counts[place])
    wanted = SLOW_FACTOR * (low + share * (DURATION_BUCKETS[place] - low))
    return next((bound for bound in DURATION_BUCKETS if bound >= wanted), 0.0)
