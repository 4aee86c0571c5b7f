"""The release state of one model as a value: which versions have which part, and since when.

Decides what there is to know of a release and how it is written as JSON. How one state follows
another is in `transitions.py`. Does not know stores, workers or HTTP. Pure.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

ALL_BP = 10_000
"""Basis points in a whole: weights and sampling fractions are counted in them."""

DEFAULT_STEPS = (100, 500, 2500, 5000)
"""Weights of a canary, one step after another, in basis points."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that is run on copies of live batches; its answers go nowhere."""

    version: str
    digest: str
    """SHA-256 of its files: other files under the same number are another candidate."""
    sample_bp: int
    """Share of the live batches that it is run on, in basis points."""
    epoch: str
    """Under which its evidence is counted: a new one begins with every start."""
    since_seconds: float


@dataclass(frozen=True, slots=True)
class Canary:
    """A version that answers a share of the requests."""

    version: str
    digest: str
    steps: tuple[int, ...]
    """Weights in basis points, one step after another."""
    step: int
    """Position in `steps`."""
    step_since_seconds: float
    epoch: str
    """Under which its evidence is counted."""
    salt: str
    """Of the hash of routing keys: kept while the weight grows, so users move one way only."""
    needs_approval: bool = False
    """Whether a second person must agree before it may be promoted."""
    requested_by: str = ""
    approved_by: str = ""

    @property
    def weight_bp(self) -> int:
        """Share of the requests that it answers, in basis points."""
        return self.steps[self.step]


@dataclass(frozen=True, slots=True)
class ReleaseRoute:
    """The release state of one model: never changed, but replaced by one of a higher generation."""

    model: str
    generation: int = 0
    """Counts the changes of this model's release state."""
    live: str | None = None
    """The version that answers when a request names none."""
    live_digest: str = ""
    live_since_seconds: float = 0.0
    previous: str | None = None
    """What was live before; it stays loaded, so that a roll back takes no time."""
    previous_digest: str = ""
    canary: Canary | None = None
    shadows: tuple[Shadow, ...] = ()
    held: str = ""
    """Why nothing goes on by itself; empty if it may."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Digests of versions that do not become anything by themselves again, with the reason: they
    were rolled back or failed a gate. An operator may still choose them."""


def to_json(route: ReleaseRoute) -> dict[str, Any]:
    """Return a route as JSON values."""
    return asdict(route)


def from_json(value: Mapping[str, Any]) -> ReleaseRoute:
    """Read what `to_json` returned.

    Raises:
        KeyError, TypeError, ValueError: it is not such a value.

    """
    canary = value["canary"]
    return ReleaseRoute(
        **{
            **value,
            "canary": Canary(**{**canary, "steps": tuple(canary["steps"])}) if canary else None,
            "shadows": tuple(Shadow(**one) for one in value["shadows"]),
        }
    )
