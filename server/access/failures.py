"""How often an address may fail to say who it is. Pure.

Decides when an address has failed too often: after ten failures at once, one a second is answered
with 401 and the others with 429. A good key is never refused for the failures of others at the
same address, which may be a proxy's. Is told the time.
"""

from server.access.addresses import group as group_of

BURST = 10
PER_SECOND = 1.0
MAX_ADDRESSES = 1024
"""Beyond it the address that failed first is forgotten."""


class Failures:
    """What each address has failed lately."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}
        """By address: how many failures it had left, and when that was."""

    def __len__(self) -> int:
        return len(self._left)

    def is_over(self, address: str, now_seconds: float) -> bool:
        """Whether another failure of this address would be one too many."""
        return self._have(group_of(address), now_seconds) < 1

    def note(self, address: str, now_seconds: float) -> bool:
        """Count a failure; return whether it is one too many."""
        group = group_of(address)
        have = self._have(group, now_seconds)
        is_over = have < 1
        self._left.pop(group, None)  # The last to fail stands last.
        self._left[group] = (have if is_over else have - 1, now_seconds)
        if len(self._left) > MAX_ADDRESSES:
            del self._left[next(iter(self._left))]
        return is_over

    def _have(self, group: str, now_seconds: float) -> float:
        have, since = self._left.get(group, (float(BURST), now_seconds))
        return min(float(BURST), have + max(0.0, now_seconds - since) * PER_SECOND)
