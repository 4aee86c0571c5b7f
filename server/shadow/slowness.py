"""Whether the candidate takes more processor time than the live version, batch by batch.

Decides what counts as slow: half as much processor time again, a row, as almost all of the live
version's own first batches of about that size took, measured here, on the same rows and the same
core. Time on the clock would tell how busy the machine is, because this process runs when nobody
else wants to. Pure: it is told times.

Concurrency: one thread.
Lifetime: that of a candidate in this process; thresholds are learned again after a restart.
"""

from server.release.evidence import ShadowEvidence

LEARNED_FROM = 64
"""Batches of a size whose slowest is the threshold: about the 99th in a hundred."""

FACTOR = 1.5
"""Room above that: without it, a version that takes a tenth longer would be slow every time."""


class Slowness:
    """The thresholds of one candidate's epoch."""

    def __init__(self) -> None:
        self._learning: dict[int, list[float]] = {}
        """Processor time a row of the live version, by size of the batch in powers of two."""
        self._thresholds: dict[int, float] = {}

    def note(
        self, evidence: ShadowEvidence, rows: int, candidate_seconds: float, live_seconds: float
    ) -> None:
        """Count a batch of `rows` rows that both versions have run on, and who was slow on it."""
        evidence.timed_batches += 1
        evidence.timed_rows += rows
        evidence.candidate_cpu_seconds += candidate_seconds
        evidence.live_cpu_seconds += live_seconds
        size = rows.bit_length()
        threshold = self._thresholds.get(size)
        if threshold is None:
            learned = self._learning.setdefault(size, [])
            learned.append(live_seconds / rows)
            if len(learned) >= LEARNED_FROM:
                self._thresholds[size] = FACTOR * max(self._learning.pop(size))
            return
        evidence.judged_batches += 1
        candidate_is_slow = candidate_seconds / rows > threshold
        live_is_slow = live_seconds / rows > threshold
        evidence.candidate_only_slow += candidate_is_slow and not live_is_slow
        evidence.live_only_slow += live_is_slow and not candidate_is_slow
