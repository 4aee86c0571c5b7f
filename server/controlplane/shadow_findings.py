"""When a candidate has failed so often that it is not run any more.

Decides that alone. A candidate that is started again as a shadow has a new epoch, and so a clean
slate. Pure: it is told the time.

Concurrency: one owner.
Lifetime: that of control; a new control gives every candidate another chance.
"""

from collections import deque
from collections.abc import Collection

from server.controlplane.shadow_plans import Key

MAX_FINDINGS = 5
WITHIN_SECONDS = 600.0


class Findings:
    """The latest findings of each candidate."""

    def __init__(self) -> None:
        self.suspended: set[Key] = set()
        self._times: dict[Key, deque[float]] = {}

    def note(self, key: Key, now: float) -> bool:
        """Take a finding into account; say whether it is the one that suspends the candidate."""
        times = self._times.setdefault(key, deque(maxlen=MAX_FINDINGS))
        times.append(now)
        is_often = len(times) == MAX_FINDINGS and now - times[0] <= WITHIN_SECONDS
        if not is_often or key in self.suspended:
            return False
        self.suspended.add(key)
        return True

    def keep_only(self, keys: Collection[Key]) -> None:
        """Forget candidates that are shadows no more."""
        self.suspended &= set(keys)
        self._times = {key: times for key, times in self._times.items() if key in keys}
