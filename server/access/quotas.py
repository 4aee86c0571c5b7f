"""How often one caller may ask. Pure.

Decides whether a request is within its caller's quota: a bucket of tokens that fills at a rate and
holds a burst. Is told the time, in seconds of any clock that does not jump, and who calls.
"""

import math

from server.access.addresses import group
from server.access.principals import Principal

MAX_CALLERS = 10_000
"""Beyond it the caller that asked last the longest ago is forgotten, and begins anew."""


class Quotas:
    """What each caller has left."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._left: dict[str, tuple[float, float]] = {}
        """By caller: how many requests it had left, and when that was."""

    def __len__(self) -> int:
        return len(self._left)

    def take(self, caller: str, now: float) -> int:
        """Count a request; 0 if it is within the quota, else whole seconds until one is."""
        had, since = self._left.pop(caller, (self._burst, now))
        left = min(self._burst, had + max(0.0, now - since) * self._per_second)
        wait = 0 if left >= 1 else max(1, math.ceil((1 - left) / self._per_second))
        self._left[caller] = (left - (not wait), now)  # The last to ask stands last.
        if len(self._left) > MAX_CALLERS:
            del self._left[next(iter(self._left))]
        return wait


def caller_of(principal: Principal | None, address: str) -> str:
    """Return what stands for a caller: its key, or its address if it has none."""
    if principal is not None and principal.key_id:
        return f"key {principal.key_id}"
    return f"address {group(address)}"
