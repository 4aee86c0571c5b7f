"""Run one model version's requests in batches.

Carries out what `batching.py` decides: queues requests, joins the tensors of a batch, runs the
model on the event loop or on a thread, and hands each batch over with every member's fate. Does
not know protocols, routes or metrics: its `Owner` is told.

Isolation: a batch that fails is run again member by member, once, so that only the member at
fault fails. A member whose caller has gone or whose deadline has passed leaves before the run;
if it passes during a run on a thread, the member is told then, and its answer thrown away.

Concurrency: every attribute is read and written on the event loop only. What leaves the loop is
`execute`, which touches nothing but its arguments and the session; `watchdog.py` may break off a
run that keeps the loop.
Lifetime: from `open` of the version until `drain` returns; `submit` must not be called after.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from server.engine.admission import Room, RoomPolicy
from server.engine.batching import (
    BatchPolicy,
    Closed,
    Dispatch,
    Execution,
    next_step,
    runs_inline,
)
from server.engine.hanging import INLINE_LIMIT_SECONDS
from server.engine.running import PROBE, Entry, FinishedBatch, execute
from server.engine.runs import Hang, Run, Runs
from server.engine.session import RunHandle, Session
from server.engine.watchdog import Watchdog
from server.errors import DeadlineQueue, DeadlineRun, QueueFull, TidegateError

_EXPIRY_SECONDS = 0.02
_SMOOTHING = 0.1

_FULL = (Closed.FULL, Closed.SHAPE, Closed.SINGLE)
"""Batches that could take no more: they show how fast rows are taken when many wait."""


@dataclass(frozen=True, slots=True)
class BatcherLimits:
    """How much may wait, and how many runs may go on at once."""

    queue_rows: int
    instances: int = 1
    execution: Execution = Execution.AUTO
    hang_kill_seconds: float = 20.0
    """How long a run may go on, unless the model usually takes a tenth of that or more."""
    max_queue_seconds: float = 0.25
    """How long the last of those who wait may have to, as far as that can be foreseen."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose batches these are, and who is told what comes of them."""

    label: str
    """The name of the model and version, for the log."""
    on_finished: Callable[[FinishedBatch], None]
    on_dropped: Callable[[Entry, TidegateError | None], None]
    """None instead of an error: the caller has left."""
    on_hang: Callable[[Hang], None]


class Batcher:
    """Queue requests, form batches, run them, hand them over."""

    def __init__(
        self,
        session: Session,
        policy: BatchPolicy,
        limits: BatcherLimits,
        owner: Owner,
        watchdog: Watchdog,
    ) -> None:
        self.policy = policy
        self.limits = limits
        self.queued_rows = 0
        full_rows = policy.max_rows if policy.is_batched else 1
        self.room = Room(
            RoomPolicy(limits.queue_rows, limits.max_queue_seconds, limits.instances * full_rows)
        )
        """How many rows may wait. Whoever queues asks it first."""
        self.batch_seconds = 0.0
        """Typical run time of a batch: an exponential mean, seeded by the warm-up."""
        self.last_good = -math.inf
        """When a run last came back with an answer, of `time.perf_counter`."""
        self._session = session
        self._on_finished = owner.on_finished
        self._on_dropped = owner.on_dropped
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Entry] = deque()
        self._runs = Runs(owner.label, limits.hang_kill_seconds, owner.on_dropped, owner.on_hang)
        self._watchdog = watchdog
        self._inline_handle = RunHandle(owner.label)
        self._inline = True
        self._has_run = False
        self._has_hung_inline = False
        self._turn_due = False
        self._hold: asyncio.TimerHandle | None = None
        self._hold_due = 0.0
        self._expiry: asyncio.TimerHandle | None = None
        self._threads: Executor | None = None
        self._idle: asyncio.Event | None = None

    def expect(self, batch_seconds: float) -> None:
        """Begin with what the warm-up says: how long a run with one row takes."""
        self.batch_seconds = batch_seconds
        self.room.guess(batch_seconds)

    def wait_seconds(self, rows: int, now: float) -> float:
        """Foresee when so many more rows will have run; 0 if there is nothing ahead of them."""
        wait = 0.0
        if len(self._runs) >= self.limits.instances:
            wait = max(0.0, self.batch_seconds - self._runs.oldest_seconds(now))
        elif not self.queued_rows:
            return wait
        return wait + self.room.seconds_for(self.queued_rows + rows, self.batch_seconds)

    def submit(self, entry: Entry) -> None:
        """Queue a request; its fate is told later, never from within this call.

        Raises:
            QueueFull: the queue cannot take the request's rows.

        """
        queued = self.queued_rows + entry.rows
        if queued > self.limits.queue_rows:
            raise QueueFull(
                f"the model's queue holds {self.queued_rows} rows of {self.limits.queue_rows}, "
                f"and the request has {entry.rows}"
            )
        self.queued_rows = queued
        self._queue.append(entry)
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    @property
    def is_stuck(self) -> bool:
        """Whether a run goes on that was broken off: nothing behind it will be run."""
        return self._runs.is_stuck

    def give_up(self, error: TidegateError) -> int:
        """Fail everything that waits; what runs is not touched. Return how many there were."""
        waiting, self._queue = self._queue, deque()
        self.queued_rows = 0
        for entry in waiting:
            self._on_dropped(entry, None if entry.is_gone else error)
        if self._idle is not None and self._is_idle():
            self._idle.set()
        return len(waiting)

    def withdraw(self, is_wanted: Callable[[Entry], bool]) -> list[Entry]:
        """Take out what waits and is wanted elsewhere; nobody is told.

        Whoever is in a run that stalls goes too, and before those behind: a model hangs there.
        """
        taken = self._runs.withdraw(is_wanted, time.perf_counter(), self.batch_seconds)
        kept: deque[Entry] = deque()
        for entry in self._queue:
            (taken if is_wanted(entry) else kept).append(entry)
        self._queue = kept
        self.queued_rows = sum([entry.rows for entry in kept])
        if self._idle is not None and self._is_idle():
            self._idle.set()
        return taken

    async def drain(self) -> None:
        """Return when nothing waits and nothing runs; then let go of threads and timers."""
        self._idle = asyncio.Event()
        if not self._is_idle():
            await self._idle.wait()
        for timer in (self._hold, self._expiry):
            if timer is not None:
                timer.cancel()  # It would hold the batcher, and so the model's memory.
        if isinstance(self._threads, ThreadPoolExecutor):
            self._threads.shutdown(wait=False)

    def _is_idle(self) -> bool:
        return not self._queue and not self._runs

    def _turn(self) -> None:
        """Start one batch if the model is free, and come back if more could follow."""
        self._turn_due = False
        if len(self._runs) >= self.limits.instances:
            self._watch_deadlines()
            return
        now = time.perf_counter()
        step = next_step(self._queue, self.policy, now)
        if not isinstance(step, Dispatch):
            if step.until is not None:
                self._hold_until(step.until, now)
            return
        batch = self._take(step.count, now)
        if batch:
            self._start(batch, step.closed, now)
        if self._queue:
            self._turn_due = True
            self._loop.call_soon(self._turn)
        elif self._idle is not None and self._is_idle():
            self._idle.set()

    def _take(self, count: int, now: float) -> list[Entry]:
        """Take the first `count` entries; those that left or are too late go elsewhere."""
        popleft = self._queue.popleft
        taken = [popleft() for _ in range(count)]
        self.queued_rows -= sum([entry.rows for entry in taken])
        if any(entry.is_gone or entry.deadline < now for entry in taken):
            return [entry for entry in taken if not self._drop_if_late(entry, now)]
        return taken

    def _drop_if_late(self, entry: Entry, now: float) -> bool:
        if entry.is_gone:
            self._on_dropped(entry, None)
        elif entry.deadline < now:
            self._on_dropped(entry, DeadlineQueue("the deadline passed while the request waited"))
        else:
            return False
        return True

    def _start(self, batch: list[Entry], closed: Closed, now: float) -> None:
        if self._is_inline(is_probe=batch[0].shape_key is PROBE):
            self._run_inline(batch, closed, now)
            return
        run = self._runs.begin(batch, now)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.limits.instances, thread_name_prefix="model")
        self._threads.submit(self._run_on_thread, run, batch, closed)
        self._watch_deadlines()

    def _is_inline(self, *, is_probe: bool) -> bool:
        """Decide where the next batch runs; a model that has once kept the loop never does again.

        A probe has the rows of the warm-up: it may run where callers may not yet.
        """
        inline = runs_inline(
            self.limits.execution,
            self.batch_seconds,
            was_inline=self._inline,
            has_run=self._has_run or is_probe,
        )
        if self._has_run:
            self._inline = inline
        return inline and not self._has_hung_inline

    def _run_inline(self, batch: list[Entry], closed: Closed, now: float) -> None:
        handle = self._inline_handle
        limit = INLINE_LIMIT_SECONDS
        if self.limits.execution is Execution.INLINE:
            limit = self._runs.limit_seconds(self.batch_seconds)
        self._watchdog.begin(handle, limit)
        finished = execute(self._session, batch, closed, now, self.policy.is_batched, handle)
        self._watchdog.end()
        if handle.is_terminated:
            self._inline_handle = RunHandle(handle.label)
            self._has_hung_inline = True
            self._runs.broken_off(time.perf_counter() - now, self.batch_seconds)
        self._hand_over(finished)

    def _run_on_thread(self, run: Run, batch: list[Entry], closed: Closed) -> None:
        finished = execute(
            self._session, batch, closed, run.started, self.policy.is_batched, run.handle
        )
        self._loop.call_soon_threadsafe(self._thread_finished, run, finished)

    def _thread_finished(self, run: Run, finished: list[FinishedBatch]) -> None:
        self._runs.end(run, finished[-1].run_finished, self.batch_seconds)
        # The next batch starts before this one is written out, so the model never waits for us.
        if self._queue and not self._turn_due:
            self._turn()
        if run.left:
            for batch in finished:
                batch.left = run.left
        self._hand_over(finished)
        if self._idle is not None and self._is_idle():
            self._idle.set()

    def _hand_over(self, finished: list[FinishedBatch]) -> None:
        for batch in finished:
            if not batch.is_probe:
                self._note_seconds(batch)
            if batch.error is None:
                self.last_good = batch.run_finished
                self._runs.succeeded()
            self._on_finished(batch)

    def _note_seconds(self, batch: FinishedBatch) -> None:
        """Learn how long callers' batches take, of those that were not broken off."""
        self._has_run = True
        if not isinstance(batch.error, DeadlineRun):
            seconds = batch.run_finished - batch.run_started
            self.batch_seconds += _SMOOTHING * (seconds - self.batch_seconds)
        if batch.closed in _FULL and batch.error is None:
            # Rows that waited when the last batch ended took the model all the time since: what
            # else the event loop and the cores had to do is in it.
            was_behind = batch.entries[0].arrived < self.last_good
            since = self.last_good if was_behind else batch.started
            self.room.ran(batch.rows, batch.run_finished - since)

    def _hold_until(self, due: float, now: float) -> None:
        """Come back when the hold is over, which a newcomer with little time may bring forward."""
        if self._hold is not None:
            if self._hold_due <= due:
                return
            self._hold.cancel()
        self._hold_due = due
        self._hold = self._loop.call_later(due - now, self._hold_over)

    def _hold_over(self) -> None:
        self._hold = None
        if not self._turn_due:
            self._turn()

    def _watch_deadlines(self) -> None:
        """While something runs, look now and then for deadlines that pass."""
        if self._expiry is None and self._runs:
            self._expiry = self._loop.call_later(_EXPIRY_SECONDS, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = time.perf_counter()
        if any(entry.is_gone or entry.deadline < now for entry in self._queue):
            kept = [entry for entry in self._queue if not self._drop_if_late(entry, now)]
            self._queue = deque(kept)
            self.queued_rows = sum(entry.rows for entry in kept)
            if self._idle is not None and self._is_idle():
                self._idle.set()
        self._runs.look_after(now, self.batch_seconds)
        self._watch_deadlines()
