"""How a client that does not keep up with its answers is judged. Pure: told the time.

Decides when it counts as slow, and when as stuck: it has read nothing for too long. Does not know
sockets.

Lifetime: the connection's.
"""

SLOW_SECONDS = 1.0
"""Time after which a client that has not caught up counts as slow."""


class SlowReader:
    """Since when a client has been behind, and when it last read something."""

    def __init__(self) -> None:
        self.since: float | None = None
        """When it fell behind; None while it keeps up."""
        self._read_at = 0.0
        self._unread = 0

    def begin(self, now: float) -> None:
        """It has fallen behind."""
        self.since = self._read_at = now

    def is_stuck(self, now: float, unread: int, limit_seconds: float) -> bool:
        """Whether it has read none of `unread` bytes for too long; begins if it had not."""
        if self.since is None:
            self.begin(now)
        elif unread != self._unread:
            self._read_at = now
        self._unread = unread
        return now - self._read_at > limit_seconds

    def is_slow(self, now: float) -> bool:
        """Whether it has been behind for longer than anybody who reads would be."""
        return self.since is not None and now - self.since >= SLOW_SECONDS
