"""Which requests may have killed a worker, and which of them did.

Decides from the requests that ran when a version crashed or hung. All of them are suspects: they
are run alone for a while. One that was alone the next time has done it twice, and is quarantined:
refused, until that is over. Bounded: beyond `MAX_SUSPECTS`, the oldest are forgotten. Told the
time; pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SUSPECT_SECONDS = 600.0
QUARANTINE_SECONDS = 600.0
MAX_SUSPECTS = 4096


@dataclass(frozen=True, slots=True)
class _Suspect:
    until: float
    is_quarantined: bool = False


class SuspectTable:
    """The suspects of all models."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Suspect] = {}

    def add(self, model: str, hashes: Sequence[str], now: float, *, was_alone: bool) -> list[str]:
        """Note who ran when a version failed; return who is quarantined for it now."""
        self.expire(now)
        guilty = []
        for one in hashes:
            key = (model, one)
            before = self._known.pop(key, None)
            if before is not None and (was_alone or before.is_quarantined):
                self._known[key] = _Suspect(now + QUARANTINE_SECONDS, is_quarantined=True)
                guilty.append(one)
            else:
                self._known[key] = _Suspect(now + SUSPECT_SECONDS)
        while len(self._known) > MAX_SUSPECTS:
            del self._known[next(iter(self._known))]
        return guilty

    def expire(self, now: float) -> bool:
        """Forget whose time is over; say whether there was anybody."""
        over = [key for key, one in self._known.items() if one.until <= now]
        for key in over:
            del self._known[key]
        return bool(over)

    def seconds_left(self, now: float) -> dict[str, dict[str, float]]:
        """Return, by model and hash, how long each is refused from now on; 0 for mere suspects."""
        found: dict[str, dict[str, float]] = {}
        for (model, one), suspect in self._known.items():
            left = max(suspect.until - now, 0.0) if suspect.is_quarantined else 0.0
            found.setdefault(model, {})[one] = left
        return found

    def counts(self) -> tuple[int, int]:
        """Return how many suspects there are, and how many of them are quarantined."""
        return len(self._known), sum(one.is_quarantined for one in self._known.values())
