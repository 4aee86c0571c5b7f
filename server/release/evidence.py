"""What was seen of a candidate beside the live version: counts, and nothing but counts.

Decides what is counted and how counts add up: over batches, over replicas, over restarts. The unit
is a pair: one row, drawn at random, of each request, because rows of one request resemble each
other. Does not know how a pair is judged (`shadow/comparison.py`) nor what follows from the counts
(`gates.py`). Pure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SCORE_BINS = 200

DIFFERENCE_BOUNDS = tuple(float(f"1e{power}") for power in range(-6, 7))
"""Upper bounds of how far two scores of a pair are apart; one open bin follows."""


class Kind(StrEnum):
    """How a candidate's answer to a row relates to the live one; the worst that applies."""

    SAME = "same"
    WITHIN_TOLERANCE = "within_tolerance"
    OUT_OF_TOLERANCE = "out_of_tolerance"
    RANK_FLIP = "rank_flip"
    """The order of the best classes differs, the best one does not."""
    NEAR_BOUNDARY = "near_boundary"
    """The label differs, but the live version itself was all but undecided."""
    LABEL_FLIP = "label_flip"
    SHAPE = "shape"
    """Another datatype or shape."""
    NAN = "nan"
    """Not a number, where the live answer is one."""
    ERROR = "error"
    """The candidate failed."""
    TIMEOUT = "timeout"


AGREEING = frozenset({Kind.SAME, Kind.WITHIN_TOLERANCE, Kind.NEAR_BOUNDARY})
"""Kinds that are no disagreement; all others are."""

FAILING = frozenset({Kind.SHAPE, Kind.NAN, Kind.ERROR, Kind.TIMEOUT})
"""Kinds that are errors of the candidate, whatever the live answer was."""


@dataclass(slots=True)
class ShadowEvidence:
    """Counts of one candidate in one epoch. Adds up."""

    pairs: Counter[str] = field(default_factory=Counter)
    """One row of each compared request, by Kind."""
    rows: Counter[str] = field(default_factory=Counter)
    """Every compared row, by Kind."""
    noise: Counter[str] = field(default_factory=Counter)
    """The live version run again, in other batches, against its own answers: pairs by Kind."""
    segments: dict[str, Counter[str]] = field(default_factory=dict)
    """Pairs by "feature=value" of declared segments, by Kind."""
    candidate_only_slow: int = 0
    """Judged batches in which only the candidate took more CPU time a row than the threshold."""
    live_only_slow: int = 0
    judged_batches: int = 0
    """Timed batches that were held to a threshold, which takes some to be learned."""
    timed_batches: int = 0
    candidate_cpu_seconds: float = 0.0
    live_cpu_seconds: float = 0.0
    """The live version run again beside the candidate, on the same rows and the same core."""
    timed_rows: int = 0
    candidate_scores: list[int] = field(default_factory=lambda: [0] * SCORE_BINS)
    """Pairs by score, in equal bins between `score_low` and `score_high`."""
    live_scores: list[int] = field(default_factory=lambda: [0] * SCORE_BINS)
    score_low: float = 0.0
    score_high: float = 1.0
    """What lies outside is in the first or last bin."""
    score_differences: list[int] = field(default_factory=lambda: [0] * (len(DIFFERENCE_BOUNDS) + 1))
    """Pairs by how far the candidate's score is from the live one."""
    score_difference: float = 0.0
    """Of all these pairs together."""
    findings: Counter[str] = field(default_factory=Counter)
    """What happened to the process that ran it: crash, hang, memory, load."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Sampled batches that were not compared, by reason."""
    sampled_batches: int = 0
    """Batches that were drawn for comparison, dropped ones included."""

    def add(self, other: "ShadowEvidence") -> None:
        """Add the counts of other evidence of the same candidate and epoch."""
        if not any(self.live_scores):
            self.score_low, self.score_high = other.score_low, other.score_high
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for segment, counts in other.segments.items():
            self.segments.setdefault(segment, Counter()).update(counts)
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("candidate_scores", "live_scores", "score_differences"):
            both = zip(getattr(self, name), getattr(other, name), strict=True)
            setattr(self, name, [one + two for one, two in both])

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            name: getattr(self, name)
            for name in ShadowEvidence.__slots__  # In the order of the fields.
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ShadowEvidence":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not such a value.

        """
        counters = {name: Counter(value[name]) for name in _COUNTERS}
        segments = {name: Counter(counts) for name, counts in value["segments"].items()}
        return cls(**{**value, **counters, "segments": segments})


def usual_difference(differences: Sequence[int], share: float) -> float | None:
    """Return within what bound a share of the pairs lie; None without any, or beyond all bounds."""
    needed, seen = share * sum(differences), 0
    for bound, count in zip(DIFFERENCE_BOUNDS, differences, strict=False):
        seen += count
        if seen and seen >= needed:
            return bound
    return None


_COUNTERS = ("pairs", "rows", "noise", "findings", "dropped")
_NUMBERS = (
    "candidate_only_slow",
    "live_only_slow",
    "judged_batches",
    "timed_batches",
    "candidate_cpu_seconds",
    "live_cpu_seconds",
    "timed_rows",
    "score_difference",
    "sampled_batches",
)
