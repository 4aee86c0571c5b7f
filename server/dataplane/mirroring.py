"""Which batches with large rows are sent whole, because a candidate is run on them.

Small rows go up the river anyway. Large ones are reduced, and of these a share is sent as it is, as
long as the bytes of all versions together stay within a rate: copying them may not hold up the
event loop. What was drawn and does not go is counted with the reason, because evidence from which
much is missing is worth less.

Decides by a number that it is given and by the time that it is told. Pure.

Concurrency: event loop only.
Lifetime: the budget is the worker's, a mirror that of a version's telemetry.
"""

from collections import Counter

BYTES_PER_SECOND = 32 << 20
"""Of one worker, on average. It copies a byte three times, at some gigabytes a second: 2 % of a
core."""
MAX_BYTES = 8 << 20
"""Of one batch: sending a larger one would hold up the event loop for too long."""

SIZE, BUDGET, RIVER = "size", "budget", "river"
"""Why a batch that was drawn was not sent: too large itself, too many, or the socket was full."""


class ByteBudget:
    """What may still be sent: a second's worth at most, or less than nothing after a large one."""

    def __init__(self) -> None:
        self._left = float(BYTES_PER_SECOND)
        self._since = 0.0

    def take(self, size: int, now: float) -> bool:
        """Take a batch's bytes, if anything is left; `now` is in seconds of any one clock."""
        earned = max(0.0, now - self._since) * BYTES_PER_SECOND
        self._left = min(float(BYTES_PER_SECOND), self._left + earned)
        self._since = now
        if self._left <= 0.0:
            return False
        self._left -= size
        return True


class Mirror:
    """The share of one version's large batches that is sent whole."""

    def __init__(self, budget: ByteBudget) -> None:
        self.share_bp = 0
        """In basis points; 0 while no candidate is run on its batches."""
        self.dropped: Counter[str] = Counter()
        """Batches that were drawn and not sent, by reason, since they were last taken."""
        self._budget = budget

    def takes(self, size: int, draw_bp: int, now: float) -> bool:
        """Say whether a batch of `size` bytes is sent whole; `draw_bp` is below 10,000."""
        if draw_bp >= self.share_bp:
            return False
        if size > MAX_BYTES:
            self.dropped[SIZE] += 1
            return False
        if not self._budget.take(size, now):
            self.dropped[BUDGET] += 1
            return False
        return True
