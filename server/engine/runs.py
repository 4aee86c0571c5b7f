"""What of one version runs on threads now, since when, and who still waits for it.

Carries out what `hanging.py` decides: tells those whose deadline passes while their batch runs,
breaks off what nobody waits for or what hangs, and says so. Does not know queues.

Concurrency: event loop only. What leaves it is a `RunHandle`, which may be used from any thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server.engine.hanging import Step, is_stalled, limit_seconds, next_step, was_hanging
from server.engine.running import BROKEN_OFF, Entry
from server.engine.session import RunHandle
from server.errors import DeadlineRun


@dataclass(slots=True, eq=False)
class Run:
    """A batch that is on a thread. Times are of `time.perf_counter`."""

    entries: Sequence[Entry]
    started: float
    handle: RunHandle
    left: set[Entry] = field(default_factory=set)
    """Members who were told that it is too late, or who wait elsewhere now."""
    terminated: float | None = None
    """When it was broken off."""
    is_given_up: bool = False

    def waiting(self) -> list[Entry]:
        """Return who still waits for it."""
        return [entry for entry in self.entries if entry not in self.left and not entry.is_gone]


@dataclass(frozen=True, slots=True)
class Hang:
    """A run that had to be broken off, or goes on in spite of that."""

    ran_seconds: float
    in_a_row: int
    """How many of the version's runs have hung since the last one that came back."""
    is_given_up: bool
    """It does not stop: its thread is lost."""


class Runs:
    """The runs of one version."""

    def __init__(
        self,
        label: str,
        hang_kill_seconds: float,
        on_late: Callable[[Entry, DeadlineRun], None],
        on_hang: Callable[[Hang], None],
    ) -> None:
        self._label = label
        self._hang_kill_seconds = hang_kill_seconds
        self._on_late = on_late
        self._on_hang = on_hang
        self._going: list[Run] = []
        self._spare: list[RunHandle] = []
        self._in_a_row = 0

    def __len__(self) -> int:
        """Return how many runs go on."""
        return len(self._going)

    @property
    def is_stuck(self) -> bool:
        """Whether one of them was given up and goes on."""
        return any(run.is_given_up for run in self._going)

    def oldest_seconds(self, now: float) -> float:
        """Return how long the oldest run has gone on; 0 if there is none."""
        return now - self._going[0].started if self._going else 0.0

    def take_handle(self) -> RunHandle:
        """Return a handle for one run; a run that was broken off has used its own up."""
        return self._spare.pop() if self._spare else RunHandle(self._label)

    def give_back(self, handle: RunHandle) -> None:
        """Take a handle back when its run is over."""
        if not handle.is_terminated:
            self._spare.append(handle)

    def begin(self, entries: Sequence[Entry], now: float) -> Run:
        """Note a run that is about to begin."""
        run = Run(entries, now, self.take_handle())
        self._going.append(run)
        return run

    def end(self, run: Run, now: float, typical_seconds: float) -> None:
        """Forget a run that came back."""
        self._going.remove(run)
        self.give_back(run.handle)
        if run.terminated is not None and not run.is_given_up:
            self.broken_off(now - run.started, typical_seconds)

    def broken_off(self, ran_seconds: float, typical_seconds: float) -> None:
        """Say that a run was broken off and came back, if that was because it hung."""
        if was_hanging(ran_seconds, typical_seconds):
            self._hung(ran_seconds, is_given_up=False)

    def _hung(self, ran_seconds: float, *, is_given_up: bool) -> None:
        self._in_a_row += 1
        self._on_hang(Hang(ran_seconds, self._in_a_row, is_given_up))

    def succeeded(self) -> None:
        """Note that a run came back with an answer."""
        self._in_a_row = 0

    def limit_seconds(self, typical_seconds: float) -> float:
        """Return how long a run may take."""
        return limit_seconds(self._hang_kill_seconds, typical_seconds)

    def look_after(self, now: float, typical_seconds: float) -> None:
        """Tell who is too late, and break off or give up what has to be."""
        limit = self.limit_seconds(typical_seconds)
        for run in self._going:
            waiting = run.waiting()
            for entry in waiting:
                if entry.deadline < now:
                    self._leave(run, entry, "the deadline passed while the model ran")
            since = None if run.terminated is None else now - run.terminated
            step = next_step(
                now - run.started,
                limit,
                is_wanted=any(entry not in run.left for entry in waiting),
                terminated_seconds=since,
            )
            if step is Step.TERMINATE:
                run.terminated = now
                run.handle.terminate()
            elif step is Step.GIVE_UP and not run.is_given_up:
                run.is_given_up = True
                for entry in run.waiting():
                    self._leave(run, entry, BROKEN_OFF)
                self._hung(now - run.started, is_given_up=True)

    def _leave(self, run: Run, entry: Entry, text: str) -> None:
        run.left.add(entry)
        self._on_late(entry, DeadlineRun(text))

    def withdraw(
        self, is_wanted: Callable[[Entry], bool], now: float, typical_seconds: float
    ) -> list[Entry]:
        """Take out of runs that stall who is wanted elsewhere; nobody is told."""
        taken = []
        for run in self._going:
            if is_stalled(now - run.started, typical_seconds):
                moving = [entry for entry in run.waiting() if is_wanted(entry)]
                run.left.update(moving)
                taken += moving
        return taken
