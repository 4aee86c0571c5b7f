"""Many runs of one release each, looked at again and again until a gate decides.

Decides what is counted of runs. A run yields what the gates say at one look after another; the
first look at which they pass or fail ends it, as it would end a release.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from server.release.gates import Report, Verdict

Run = Callable[[np.random.Generator], Iterator[tuple[int, Report]]]
"""Yields how much was seen, and what the gates say of it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of all runs."""

    runs: int
    passed: int
    failed: int
    median: int
    """How much was seen when half of those that decided had; 0 if none has."""

    @property
    def undecided(self) -> int:
        """Runs that ended before any look decided."""
        return self.runs - self.passed - self.failed


def repeat(run: Run, runs: int, seed: int) -> Tally:
    """Repeat a run with a generator of its own each time."""
    verdicts: list[Verdict] = []
    seen: list[int] = []
    for number in range(runs):
        for amount, report in run(np.random.default_rng([seed, number])):
            if report.verdict in (Verdict.PASS, Verdict.FAIL):
                verdicts.append(report.verdict)
                seen.append(amount)
                break
    passed = verdicts.count(Verdict.PASS)
    return Tally(runs, passed, len(verdicts) - passed, int(np.median(seen)) if seen else 0)
