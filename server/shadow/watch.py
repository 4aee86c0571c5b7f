"""Whether what runs now takes too long, or the process too much memory.

Decides what counts as a hang: more time than it may have, without the time in which it wanted to
run and nobody let it, because this process runs when no other wants to. A model that waits or
sleeps hangs as much as one that computes.

Concurrency: event loop only; reads what the system says of the thread that runs models.
Lifetime: that of the process.
"""

from enum import StrEnum
from time import monotonic as _now

from server.machine import resident_bytes, waited_seconds


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
        return _now() - waited_seconds(self._thread)
