"""A canary beside the live version, second by second, with failures that come and go.

Decides how many requests come and how many fail. Base rates change: an incident hits both versions
alike. With keys, a few busy users make the canary's share of the requests another than its weight.
Counts and verdicts are the product's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server.release.canary_evidence import CanaryEvidence, Requests
from server.release.canary_gates import judge_canary
from server.release.gate_settings import GateSettings
from server.release.gates import Report
from server.release.route import ALL_BP, DEFAULT_STEPS

LOOK_SECONDS = 10
USERS = 300


@dataclass(frozen=True, slots=True)
class CanaryTrial:
    """How a canary differs from the live version, and what comes."""

    ratio: float = 1.0
    """Of its rate of failures to that of the live version."""
    base_rate: float = 0.01
    incident: float = 20.0
    """How many times as often both fail during a sixth of the time, in the middle."""
    per_second: float = 50.0
    step_seconds: int = 900
    has_keys: bool = False
    settings: GateSettings = field(default_factory=GateSettings)

    def __call__(self, generator: np.random.Generator) -> Iterator[tuple[int, Report]]:
        """Run once: yield the seconds that have passed, and what the gates say."""
        for second, evidence in self.looks(generator):
            yield second, judge_canary(evidence, self.settings)

    def looks(self, generator: np.random.Generator) -> Iterator[tuple[int, CanaryEvidence]]:
        """Yield the seconds that have passed, and all that was counted."""
        evidence = CanaryEvidence()
        users = _users(generator) if self.has_keys else None
        whole = self.step_seconds * len(DEFAULT_STEPS)
        for second in range(0, whole, LOOK_SECONDS):
            step = second // self.step_seconds
            weight = DEFAULT_STEPS[step] / ALL_BP
            share = weight if users is None else float(users[0][users[1] < weight].sum())
            is_incident = 5 / 12 <= second / whole < 7 / 12
            rate = min(0.4, self.base_rate * (self.incident if is_incident else 1.0))
            counts = [
                self._requests(generator, part * self.per_second * LOOK_SECONDS, one)
                for part, one in ((share, min(1.0, rate * self.ratio)), (1.0 - share, rate))
            ]
            evidence.add(step, DEFAULT_STEPS[step], *counts)
            yield second + LOOK_SECONDS, evidence

    def _requests(self, generator: np.random.Generator, mean: float, rate: float) -> Requests:
        total = int(generator.poisson(mean))
        failures = int(generator.binomial(total, rate))
        return Requests(total, failures, unkeyed=0 if self.has_keys else total)


def _users(generator: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of the requests that each user makes, and where its key stands."""
    activity = generator.pareto(1.1, USERS) + 1.0
    return activity / activity.sum(), generator.random(USERS)
