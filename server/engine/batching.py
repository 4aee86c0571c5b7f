"""Decide which waiting requests make up the next batch.

Nothing here waits, locks or reads a clock. The functions are told the time and answer with a
decision; `batcher.py` carries it out.

Work-conserving: with no delay asked for, whatever waits when the model is free runs at once, and
batches grow only because requests arrive while another batch runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Closed(StrEnum):
    """Why a batch took no more requests."""

    EMPTY = "queue_empty"
    FULL = "full"
    SHAPE = "other_shape"
    DELAY = "delay"
    SINGLE = "unbatched"


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How large a batch may grow and how long its requests may wait for company."""

    max_rows: int
    max_delay_seconds: float = 0.0
    is_batched: bool = True
    """False for a model whose rows depend on their batch-mates: one request a run."""


class Waiting(Protocol):
    """What the policy needs to know about one queued request."""

    @property
    def rows(self) -> int:
        """How many rows it brings."""

    @property
    def arrived(self) -> float:
        """When it arrived."""

    @property
    def deadline(self) -> float:
        """When it is of no use any more."""

    @property
    def shape_key(self) -> object:
        """Equal for requests whose tensors may be joined: their shapes without the rows."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Run the first `count` requests of the queue now."""

    count: int
    closed: Closed


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing before `until`; None means: until a request arrives."""

    until: float | None


def next_step(queue: Sequence[Waiting], policy: BatchPolicy, now: float) -> Dispatch | Hold:
    """Say whether to run a batch now or to hold for more requests.

    Order is kept: a batch is always a prefix of the queue, so a large request at the front is
    never overtaken by the small ones behind it. Every request holds at most `max_rows` rows;
    larger ones are split before they are queued.
    """
    if not queue:
        return Hold(until=None)
    if not policy.is_batched:
        return Dispatch(1, Closed.SINGLE)
    count, closed = _fill(queue, policy.max_rows)
    assert count > 0, "a request larger than max_rows must be split before it is queued"
    if closed is Closed.EMPTY and policy.max_delay_seconds > 0:
        due = min([_held_until(waiting, policy) for waiting in queue])
        if now < due:
            return Hold(until=due)
        closed = Closed.DELAY
    return Dispatch(count, closed)


def _held_until(waiting: Waiting, policy: BatchPolicy) -> float:
    """Return how long a request is held at most: for the delay, or half the time it has.

    Held to its deadline it would be too late to run; half leaves the other half for the run.
    """
    return min(waiting.arrived + policy.max_delay_seconds, (waiting.arrived + waiting.deadline) / 2)


def _fill(queue: Sequence[Waiting], max_rows: int) -> tuple[int, Closed]:
    """Return how many requests from the front fit into one batch, and what ends it."""
    count, rows = 0, 0
    key = queue[0].shape_key
    for waiting in queue:
        if waiting.shape_key != key:
            return count, Closed.SHAPE
        rows += waiting.rows
        if rows > max_rows:
            return count, Closed.FULL
        count += 1
    return count, Closed.FULL if rows == max_rows else Closed.EMPTY


class Execution(StrEnum):
    """Where a model runs."""

    AUTO = "auto"
    INLINE = "inline"
    THREAD = "thread"


INLINE_BELOW_SECONDS = 0.001
_HYSTERESIS = 2.0


def runs_inline(
    execution: Execution, batch_seconds: float, *, was_inline: bool, has_run: bool
) -> bool:
    """Say whether a model whose typical batch takes `batch_seconds` runs on the event loop.

    Handing a batch to a thread and back costs more than a small model; a large one would keep
    the loop from reading requests. A model near the border stays where it is. One that has not
    finished a batch of callers yet runs on a thread: it may be quick in the warm-up and hang on
    the first real rows, and a loop that hangs cannot be told to go back to another version.
    """
    if execution is not Execution.AUTO:
        return execution is Execution.INLINE
    if not has_run:
        return False
    border = INLINE_BELOW_SECONDS * (_HYSTERESIS if was_inline else 1.0)
    return batch_seconds < border
