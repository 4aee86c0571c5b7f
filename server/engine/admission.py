"""Whether there is room: for request bytes in a process, and for rows in front of a model.

Decides how much may be taken on, told the numbers. Does not know the time, nor what becomes of
those for whom there is no room.

Concurrency: event loop only.
"""

import math
from dataclasses import dataclass

from server.protocol.priorities import HIGH, LOW, NORMAL

_SHARE_OF_FREE = 4
"""A holder may have this many times what is free: alone four fifths of all, two 44 % each."""

_SMOOTHING = 0.5
_CHANGE = 0.05
"""Change of the speed from which the room is measured out anew."""
_MOST_SLOWER = 2.0
"""One that took longer than so many times what was expected counts as so many: a batch during which
the machine was busy elsewhere must not refuse the next requests."""


class Holder:
    """Whoever holds bytes of a budget: all requests of a model."""

    __slots__ = ("held_bytes",)

    def __init__(self) -> None:
        self.held_bytes = 0


class Budget:
    """How many request bytes may be held at once, and by one model.

    A model's share is a multiple of what is free (the dynamic threshold of shared packet buffers):
    however many bytes one of them brings, something is left for another, and a model alone is not
    held to a fixed part.

    Invariant: `used` is what was taken and not given back; it never exceeds `limit`.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._plenty = limit * _SHARE_OF_FREE // (_SHARE_OF_FREE + 1)
        """Up to here no share can be exceeded, whoever holds what."""

    def take(self, size: int, held: int = 0) -> bool:
        """Reserve `size` bytes if there is room for them, beside the `held` ones of this holder."""
        used = self.used + size
        if used > self._plenty and (
            used > self.limit
            or (held and held + size > _SHARE_OF_FREE * (self.limit - self.used - size))
        ):
            return False
        self.used = used
        return True

    def give_back(self, size: int) -> None:
        """Release `size` bytes that were taken."""
        self.used -= size
        assert self.used >= 0, "more was given back than taken"


@dataclass(frozen=True, slots=True)
class RoomPolicy:
    """What bounds the rows that wait for a model."""

    queue_rows: int
    """Rows that may wait, however fast the model is."""
    max_queue_seconds: float
    """How long the last of them may have to wait, as far as that can be foreseen."""
    full_rows: int
    """Rows that all runs that may go on at once have together, when their batches are full."""


def rows_that_may_wait(policy: RoomPolicy, row_seconds: float) -> tuple[int, int, int]:
    """Return how many rows may be ahead of a request, by its priority: high, normal, low.

    `row_seconds` is what a row takes when batches are full; 0 if that is not known. As many rows
    as run may always wait, or the model would stand idle between two batches. Beyond that, the
    last one must be taken within `max_queue_seconds`, counted with all runs just begun. High
    priority has a quarter more; low priority half of it, so that the rest is left to the others.
    """
    normal = policy.queue_rows
    if row_seconds > 0:
        in_time = int(min(policy.max_queue_seconds / row_seconds, 1e9)) - policy.full_rows
        normal = min(normal, max(policy.full_rows, in_time))
    high = min(policy.queue_rows, normal + max(1, normal // 4))
    rooms = {HIGH: high, NORMAL: normal, LOW: max(1, normal // 2)}
    return rooms[HIGH], rooms[NORMAL], rooms[LOW]


class Room:
    """The room in front of one model, as its batches tell how fast it is.

    Only batches that could take no more tell: small ones say what a run costs, not what a row
    does.
    """

    def __init__(self, policy: RoomPolicy) -> None:
        self.policy = policy
        self.row_seconds = 0.0
        """What a row takes when batches are full; 0 if nobody knows."""
        self.rows: tuple[int, int, int]
        """How many rows may be ahead of a request, by its priority."""
        self.longest_seconds: float
        """What all rows that can be there take: who has more time need not ask."""
        self._is_measured = False
        self._settle()

    def guess(self, row_seconds: float) -> None:
        """Go by what one row takes alone, until a full batch has shown better."""
        self.row_seconds = row_seconds
        self._settle()

    def ran(self, rows: int, seconds: float) -> None:
        """Take note of a full batch, and of how long the model was taken up by it."""
        expected, sample = self.row_seconds, seconds / rows
        if not expected or (sample < expected and not self._is_measured):
            self.row_seconds = sample
        else:
            self.row_seconds += _SMOOTHING * (min(sample, _MOST_SLOWER * expected) - expected)
        self._is_measured = True
        # A small change is not worth the microseconds: some models run each request by itself.
        if abs(self.row_seconds - self._settled_seconds) > _CHANGE * self._settled_seconds:
            self._settle()

    def _settle(self) -> None:
        self._settled_seconds = self.row_seconds
        self.rows = rows_that_may_wait(self.policy, self.row_seconds)
        most = self.rows[HIGH] + 2 * self.policy.full_rows
        self.longest_seconds = most * self.row_seconds

    def seconds_for(self, rows: int, batch_seconds: float) -> float:
        """Return how long these rows take; by the typical batch while no full one has been seen."""
        if self._is_measured:
            return rows * self.row_seconds
        return math.ceil(rows / self.policy.full_rows) * batch_seconds
