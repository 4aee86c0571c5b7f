"""Which of two versions answered a number nearer to the truth, row by row.

Decides what is nearer: errors that differ by no more than what is tolerated of the live answer are
as near as each other, and an answer that is no number is farther than any that is one. How much
nearer does not count: a sum of errors has no test that holds at all times unless somebody knows
how large an error can be, and a count has one.

Does not know where answers and labels come from, nor what follows from the counts. Pure.
"""

from dataclasses import dataclass
from math import inf, isfinite

from server.monitoring.realised import NumberPair
from server.release.shadow_rules import Tolerance


@dataclass(frozen=True, slots=True)
class NearnessCounts:
    """Rows that a live version and a candidate both answered, by who was nearer to the label."""

    live_nearer: int = 0
    candidate_nearer: int = 0
    as_near: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.live_nearer + self.candidate_nearer + self.as_near

    def plus(self, other: "NearnessCounts") -> "NearnessCounts":
        """Return the counts of both."""
        return NearnessCounts(
            self.live_nearer + other.live_nearer,
            self.candidate_nearer + other.candidate_nearer,
            self.as_near + other.as_near,
        )


def nearness(live: NumberPair, candidate: NumberPair, tolerance: Tolerance) -> NearnessCounts:
    """Return the counts of one row, which both answered and whose label is the same."""
    ours, theirs = _error(live), _error(candidate)
    is_close = abs(theirs - ours) <= tolerance.atol + tolerance.rtol * abs(live.answer)
    # Infinite errors have no difference, and the tolerance of an infinite answer would take any.
    if ours == theirs or (is_close and isfinite(ours)):
        return NearnessCounts(as_near=1)
    return NearnessCounts(live_nearer=1) if ours < theirs else NearnessCounts(candidate_nearer=1)


def _error(pair: NumberPair) -> float:
    error = abs(pair.answer - pair.label)
    return error if isfinite(error) else inf
