"""Seconds since 1970 that nobody can set: what lasts for a time, or is kept for one, goes by these.

The clock of the machine is set now and then. What was begun an hour ago began an hour ago all the
same: so these count on from what the clock said when the process started. When something happened,
for people and other systems, the clock says, `time.time`.
"""

import time
from collections.abc import Callable


class SteadyClock:
    """A clock that begins with `wall` and goes on with `passing`, both in seconds."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        passing: Callable[[], float] = time.monotonic,
    ) -> None:
        self._passing = passing
        self._ahead = wall() - passing()

    def __call__(self) -> float:
        """Return the seconds since 1970."""
        return self._ahead + self._passing()


steady_seconds = SteadyClock()
"""The one of this process: all parts of it mean the same seconds."""
