"""Whether there is room: for request bytes in a process, and for rows in front of a model.

Decides how much may be taken on, told the numbers. Does not know the time, nor what becomes of
those for whom there is no room.

Concurrency: event loop only.
"""

from dataclasses import dataclass

from server.protocol.priorities import HIGH, LOW, NORMAL

_SHARE_OF_FREE = 4
"""A holder may have this many times what is free: alone four fifths of all, two 44 % each."""

_SMOOTHING = 0.2


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
    does. Times are seconds, of any clock that does not jump.
    """

    def __init__(self, policy: RoomPolicy, row_seconds: float) -> None:
        self.policy = policy
        self.row_seconds = row_seconds
        """What a row takes when batches are full. First a guess, from one row in the warm-up."""
        self.rows: tuple[int, int, int]
        """How many rows may be ahead of a request, by its priority."""
        self.longest_seconds: float
        """What all rows that can be there take: who has more time need not ask."""
        self._is_guess = True
        self._behind_since: float | None = None
        self._settle()

    def ran(
        self, rows: int, started: float, finished: float, *, is_full: bool, is_behind: bool
    ) -> None:
        """Take note of a batch: full or not, and whether others waited when it was done.

        While others wait, a row costs all the time from one batch's end to the next one's: what
        else the event loop and the cores have to do is in it.
        """
        since = started if self._behind_since is None else self._behind_since
        self._behind_since = finished if is_behind else None
        if not is_full or finished <= since:
            return
        sample = (finished - since) / rows
        self.row_seconds += (sample - self.row_seconds) * (1.0 if self._is_guess else _SMOOTHING)
        self._is_guess = False
        self._settle()

    def _settle(self) -> None:
        self.rows = rows_that_may_wait(self.policy, self.row_seconds)
        most = self.rows[HIGH] + 2 * self.policy.full_rows
        self.longest_seconds = most * self.row_seconds

    def wait_seconds(self, rows: int, running_rows: int, run_for_seconds: float) -> float:
        """Return when `rows` rows will have run, those that run now being done first."""
        running = max(0.0, running_rows * self.row_seconds - run_for_seconds)
        return running + rows * self.row_seconds
