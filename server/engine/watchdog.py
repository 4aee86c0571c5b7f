"""Break off a model that keeps the event loop.

A model that is run on the loop was quick so far. If it hangs on some input, the loop cannot look
after it, so a thread beside it does: it wakes up four times a second and compares a number. Time
is counted in its own wake-ups, so a process that was frozen finds nothing late.

Concurrency: `begin` and `end` are called on the event loop, around each run, and write; the thread
reads. There is no lock, which would cost each batch more than all of this: the interpreter does not
change threads within the few microseconds between a look and what follows from it. If it did, a
batch after one that took a second would be broken off too, and its callers told.
Lifetime: from `start` until the process ends.
"""

import threading
from collections.abc import Callable

from server.engine.hanging import Step, next_step
from server.engine.session import RunHandle

TICK_SECONDS = 0.25


class Watchdog:
    """Looks after whatever runs on the event loop."""

    def __init__(self, on_stuck: Callable[[str], None]) -> None:
        """Hold `on_stuck`, which is told on the thread which model does not let go of the loop."""
        self._on_stuck = on_stuck
        self._number = 0
        self._handle: RunHandle | None = None
        self._limit_seconds = 0.0
        # What the thread remembers of the run that it saw last.
        self._seen = 0
        self._ticks = 0
        self._terminated_at = 0

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def begin(self, handle: RunHandle, limit_seconds: float) -> None:
        """Hear that a run begins on the loop, which may take so long."""
        self._number += 1
        self._limit_seconds = limit_seconds
        self._handle = handle

    def end(self) -> None:
        """Hear that it came back."""
        self._handle = None

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(TICK_SECONDS)
            self.tick()

    def tick(self) -> None:
        """Look at what runs: called every TICK_SECONDS."""
        handle = self._handle
        if handle is None or self._number != self._seen:
            self._seen, self._ticks = self._number, 0
            return
        self._ticks += 1
        since = (self._ticks - self._terminated_at) * TICK_SECONDS
        step = next_step(
            self._ticks * TICK_SECONDS,
            self._limit_seconds,
            is_wanted=True,
            terminated_seconds=since if handle.is_terminated else None,
        )
        if step is Step.TERMINATE and self._number == self._seen:
            self._terminated_at = self._ticks
            handle.terminate()
        elif step is Step.GIVE_UP:
            self._on_stuck(handle.label)
