"""What was seen of a canary beside the live version: requests, failures and slow ones, by step.

Decides what is counted of the requests that the split sent to either version. Counts are kept
apart by step, because the canary's share of the requests is another one in each. Counts add up.
Does not know what makes a request fail or slow (`controlplane/evidence_book.py`), nor what follows
from the counts (`canary_gates.py`). Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Requests:
    """Requests that one version answered."""

    total: int = 0
    failures: int = 0
    timed: int = 0
    """Those that ran, while it was known what is slow."""
    slow: int = 0
    """Of these, the ones that took longer."""
    unkeyed: int = 0
    """Those without a routing key. A key's requests all go one way, so that a few busy keys make
    the shares of requests differ from the weight, and nothing is wrong."""

    def add(self, other: "Requests") -> None:
        """Add other requests that the same version answered."""
        self.total += other.total
        self.failures += other.failures
        self.timed += other.timed
        self.slow += other.slow
        self.unkeyed += other.unkeyed


@dataclass(slots=True)
class StepCounts:
    """Both versions while the weight was the same."""

    weight_bp: int
    """Share of the requests that the canary was to have, in basis points."""
    canary: Requests = field(default_factory=Requests)
    live: Requests = field(default_factory=Requests)


@dataclass(slots=True)
class CanaryEvidence:
    """Counts of one canary in one epoch."""

    slow_seconds: float = 0.0
    """Requests that took longer were slow; the same for all of the epoch. 0: not known yet."""
    steps: dict[int, StepCounts] = field(default_factory=dict)
    """By the position of the step."""
    lost_workers: int = 0
    """Workers that had to be replaced meanwhile. What they were answering is in no counts."""

    def add(self, step: int, weight_bp: int, canary: Requests, live: Requests) -> None:
        """Add requests that came during a step."""
        counts = self.steps.setdefault(step, StepCounts(weight_bp))
        counts.canary.add(canary)
        counts.live.add(live)

    @property
    def canary(self) -> Requests:
        """All requests that the canary answered."""
        return _sum(counts.canary for counts in self.steps.values())

    def requests_in(self, step: int) -> int:
        """Return how many requests the canary answered during a step."""
        return self.steps[step].canary.total if step in self.steps else 0

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        steps = {str(step): asdict(counts) for step, counts in self.steps.items()}
        return {
            "slow_seconds": self.slow_seconds,
            "steps": steps,
            "lost_workers": self.lost_workers,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "CanaryEvidence":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not such a value.

        """
        steps = {
            int(step): StepCounts(
                one["weight_bp"], Requests(**one["canary"]), Requests(**one["live"])
            )
            for step, one in value["steps"].items()
        }
        return cls(value["slow_seconds"], steps, value["lost_workers"])


def _sum(parts: Iterable[Requests]) -> Requests:
    whole = Requests()
    for part in parts:
        whole.add(part)
    return whole
