"""One change of a release, with all that the audit keeps of it. A value; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from server.release.route import ReleaseRoute


@dataclass(frozen=True, slots=True)
class Change:
    """From one state to the next: who, when, why, and what it rests on."""

    action: str
    before: ReleaseRoute
    after: ReleaseRoute
    at_seconds: float
    actor: str
    """A name that somebody gave; "policy", "automatic" and "system" for what nobody asked for."""
    reason: str = ""
    request_id: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """JSON: gates as they were, candidates as they were, what was overridden."""
    must_follow: bool = True
    """Whether it is refused if the store holds another generation than that of `before`. A roll
    back is not: whatever has come in between, it is over."""

    @property
    def model(self) -> str:
        """Whose release it is."""
        return self.after.model
