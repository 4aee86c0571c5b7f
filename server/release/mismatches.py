"""Samples of rows to which a candidate answered differently: a few of each kind, drawn fairly.

Decides which are kept. Each such row is given a random number, and the rows with the smallest ones
are kept: so samples of two processes, or from before and after a restart, can be put together and
are still a fair sample of all. Does not know how a row is shown (`shadow/samples.py`). Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

MAX_KEPT = 20
"""Samples of one candidate and kind."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One row that a candidate answered differently."""

    draw: float
    """The random number that decides whether it is kept, from 0 to 1."""
    kind: str
    at_seconds: float
    """When the live version answered, in seconds since 1970."""
    prediction_id: str
    """Of the live answer; empty where it had none."""
    row: int
    """Position in its request."""
    inputs: Mapping[str, Any]
    live: Mapping[str, Any]
    candidate: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the sample as JSON values."""
        return asdict(self)


def kept(samples: Iterable[Mismatch]) -> list[Mismatch]:
    """Return the samples of each kind that are kept, those with the smallest draws first."""
    by_kind: dict[str, list[Mismatch]] = {}
    for one in sorted(samples, key=lambda one: (one.kind, one.draw)):
        of_kind = by_kind.setdefault(one.kind, [])
        if len(of_kind) < MAX_KEPT:
            of_kind.append(one)
    return [one for of_kind in by_kind.values() for one in of_kind]
