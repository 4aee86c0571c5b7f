"""Whether what runs now takes too long, or the process too much memory.

Decides what counts as a hang: more time than it may have, without the time in which it wanted to
run and nobody let it, because this process runs when no other wants to. The system counts such a
wait when it is over; a thread that wants to run, and has not run since the last look, waits still.
A model that waits for something else or sleeps hangs as much as one that computes.

Concurrency: event loop only; reads what the system says of the thread that runs models.
Lifetime: that of the process.
"""

from enum import StrEnum
from time import monotonic as _now

from server.machine import ThreadTimes, resident_bytes, thread_times


class Trouble(StrEnum):
    """What is wrong, in the words of findings."""

    HANG = "hang"
    MEMORY = "memory"


class Watch:
    """The bounds of one process."""

    def __init__(self, thread: int, memory_bytes: int) -> None:
        self._thread = thread
        """Native id of the thread that runs models."""
        self._max_resident_bytes = resident_bytes() + memory_bytes
        self._seen = ThreadTimes()
        self._seen_at = 0.0
        """When the thread was last seen to have run, or not to want to."""
        self._began = 0.0
        self._max_seconds = 0.0

    def begin(self, max_seconds: float) -> None:
        """Something begins to run that may take so long."""
        self._began = self._own_seconds()
        self._max_seconds = max_seconds

    def trouble(self) -> Trouble | None:
        """Return what is wrong now with what runs."""
        if resident_bytes() > self._max_resident_bytes:
            return Trouble.MEMORY
        if self._own_seconds() - self._began > self._max_seconds:
            return Trouble.HANG
        return None

    def _own_seconds(self) -> float:
        times = thread_times(self._thread)
        if times != self._seen or not times.wants_to_run:
            self._seen, self._seen_at = times, _now()
        return self._seen_at - times.waited_seconds
