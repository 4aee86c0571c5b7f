"""Sums of floats without any rounding, so that what was added can be taken away again.

A sum is its expansion: the float nearest to it, the float nearest to what is left, and so on until
nothing is left (Shewchuk 1997, Discrete Comput. Geom. 18; Python's `fsum` finds each of them). Two
sums that are equal have the same parts, in whatever order their terms came; most have one to three.

Values only; does not know what is summed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import fsum

LARGEST = 1e150
"""Terms beyond it, whose squares float64 does not hold, are for the caller to keep away."""


@dataclass(frozen=True, slots=True)
class ExactSum:
    """The sum of some finite floats."""

    parts: tuple[float, ...] = ()
    """The largest first; none for 0."""

    @property
    def value(self) -> float:
        """The float nearest to the sum."""
        return self.parts[0] if self.parts else 0.0

    def plus(self, terms: Iterable[float]) -> "ExactSum":
        """Return the sum with more terms; a sum's own parts are terms too."""
        return ExactSum(_parts([*self.parts, *terms]))

    def minus(self, terms: Iterable[float]) -> "ExactSum":
        """Return the sum without some of its terms."""
        return self.plus(-term for term in terms)


def _parts(terms: Sequence[float]) -> tuple[float, ...]:
    parts: list[float] = []
    while rest := fsum(chain(terms, (-part for part in parts))):
        parts.append(rest)
    return tuple(parts)
