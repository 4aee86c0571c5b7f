"""Keep counts by time: sliding windows of several lengths, and a history that grows coarser.

Decides when a sub-window is closed, what the last N of them hold together, and how old counts are
joined and forgotten. Counts are vectors of int64 that add, whatever they count, so every sum here
is exact: of a window after any number of closes, and of a history however often it was compacted.

Told the time, in seconds since 1970, and never sure that it runs forward: a clock that steps back
deletes nothing. Does not know features, bins or where a history is stored.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

WINDOW_LENGTHS = (1, 4, 16, 64)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """Counts of some stretch of time, from `start` to `end` in seconds."""

    start: float
    end: float
    counts: Counts
    """Shape (width,)."""

    def joined(self, other: "Cell") -> "Cell":
        """Return one cell of the counts and the time of both."""
        return Cell(
            min(self.start, other.start), max(self.end, other.end), self.counts + other.counts
        )


@dataclass(frozen=True, slots=True)
class Closing:
    """When a sub-window is full: after so many rows or so many seconds, whichever comes first."""

    max_rows: int | None = None
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The last sub-windows together."""

    sub_windows: int
    """How many there are: fewer than the window's length until so many were closed."""
    start: float
    end: float
    """Equal to the start, as are no counts, before any sub-window was closed."""
    counts: Counts
    """Shape (width,); a copy."""


class Ring:
    """The last closed sub-windows, the open one, and running sums for each window length.

    Memory: as many closed sub-windows as the longest window has, each in the smallest integers
    that hold its counts, and a vector of int64 for each length and for the open one. Closing
    costs one addition and one subtraction for each length.
    """

    def __init__(
        self,
        width: int,
        now: float,
        closing: Closing,
        lengths: Sequence[int] = WINDOW_LENGTHS,
    ) -> None:
        """Begin with an empty open sub-window for vectors of `width` counts."""
        if not lengths or min(lengths) < 1:
            raise ValueError("a window has one sub-window or more")
        self.lengths = tuple(lengths)
        self._closing = closing
        self._closed: deque[tuple[float, float, NDArray[Any]]] = deque(maxlen=max(lengths))
        self._sums = np.zeros((len(lengths), width), np.int64)
        self._open = np.zeros(width, np.int64)
        self._open_rows = 0
        self._opened = now

    @property
    def held_bytes(self) -> int:
        """How much memory the counts take."""
        packed = sum(counts.nbytes for _, _, counts in self._closed)
        return packed + self._sums.nbytes + self._open.nbytes

    def add(self, counts: Counts, rows: int) -> None:
        """Add the counts of `rows` rows, shape (width,), to the open sub-window."""
        self._open += counts
        self._open_rows += rows

    def room(self) -> int | None:
        """Return how many rows the open sub-window takes before it is full; None for any."""
        if self._closing.max_rows is None:
            return None
        return max(0, self._closing.max_rows - self._open_rows)

    def close_if_due(self, now: float) -> bool:
        """Close the open sub-window if it is full, and say whether it was.

        One that is full by time is closed without rows too: a window of the last hour holds
        nothing after an hour of silence. After a longer pause, as of a sleeping machine, one
        sub-window covers it all. When the clock steps back, the open one begins at the new time:
        it would otherwise stay open until the clock is where it was.
        """
        self._opened = min(self._opened, now)
        max_seconds = self._closing.max_seconds
        is_due = self.room() == 0 or (max_seconds is not None and now - self._opened >= max_seconds)
        if is_due:
            self.close(now)
        return is_due

    def close(self, now: float) -> None:
        """Close the open sub-window, full or not, and open the next one."""
        self.push(Cell(min(self._opened, now), now, self._open))
        self._open[:] = 0
        self._open_rows = 0
        self._opened = now

    def push(self, cell: Cell) -> None:
        """Take in a closed sub-window as the latest one: here, or before a restart.

        Raises:
            ValueError: it has counts of another width.

        """
        if cell.counts.shape != self._open.shape:
            raise ValueError(f"{cell.counts.size} counts for a ring of {self._open.size}")
        for total, length in zip(self._sums, self.lengths, strict=True):
            total += cell.counts
            if len(self._closed) >= length:
                total -= self._closed[-length][2]
        self._closed.append((cell.start, cell.end, _packed(cell.counts)))

    def window(self, length: int) -> Window:
        """Return the last `length` closed sub-windows together; one of the ring's lengths."""
        last = list(self._closed)[-length:]
        start = min((start for start, _, _ in last), default=self._opened)
        end = max((end for _, end, _ in last), default=self._opened)
        return Window(len(last), start, end, self._sums[self.lengths.index(length)].copy())

    def open_cell(self, now: float) -> Cell:
        """Return the open sub-window so far; a copy, as a flush to the store needs it."""
        return Cell(min(self._opened, now), now, self._open.copy())

    def cells(self) -> list[Cell]:
        """Return the closed sub-windows, oldest first; copies. `push` takes them back."""
        return [Cell(start, end, counts.astype(np.int64)) for start, end, counts in self._closed]


def _packed(counts: Counts) -> NDArray[Any]:
    """Return a copy of counts in the smallest integers that hold them."""
    least, most = counts.min(initial=0), counts.max(initial=0)
    for kind in (np.uint16, np.uint32):
        if least >= 0 and most <= np.iinfo(kind).max:
            return counts.astype(kind)
    return counts.copy()


@dataclass(frozen=True, slots=True)
class Tier:
    """How finely a history is kept up to an age: one cell in every `cell_seconds`."""

    cell_seconds: int
    keep_seconds: int


HOUR_SECONDS, DAY_SECONDS = 3600, 86400

TIERS = (
    Tier(60, 6 * HOUR_SECONDS),
    Tier(HOUR_SECONDS, 14 * DAY_SECONDS),
    Tier(DAY_SECONDS, 400 * DAY_SECONDS),
)
"""At most 360 minutes, 336 hours and 400 days, and what is still to be joined: 1,200 cells."""


def compact(cells: Sequence[Cell], now: float, tiers: Sequence[Tier] = TIERS) -> list[Cell]:
    """Join the cells of a history that are old, and leave out those that nobody keeps any more.

    An hour is joined when all of it is older than minutes are kept, a day likewise, and a day is
    dropped when all of it is older than the last tier keeps; a cell belongs to the time of its
    start. The sum of all counts that are kept does not change. Compacting again, at once or
    later, gives what compacting only then would have given, so it may be done at any time.

    Age is measured from `now` or from the end of the newest cell, whichever is earlier: neither
    a clock that steps back nor one that leaps ahead of the counts deletes anything.

    Raises:
        ValueError: a tier's cells are no whole number of the finer ones, or not kept for longer.

    """
    _check(tiers)
    horizon = min(now, max((cell.end for cell in cells), default=now))
    joined: dict[tuple[int, int], Cell] = {}
    for cell in cells:
        tier = _tier(cell.start, horizon, tiers)
        if tier is not None:
            key = (tier.cell_seconds, floor(cell.start / tier.cell_seconds))
            joined[key] = joined[key].joined(cell) if key in joined else cell
    return sorted(joined.values(), key=lambda cell: cell.start)


def _check(tiers: Sequence[Tier]) -> None:
    for fine, coarse in pairwise(tiers):
        if coarse.cell_seconds % fine.cell_seconds or coarse.keep_seconds <= fine.keep_seconds:
            raise ValueError(f"{coarse} does not follow {fine}")


def _tier(start: float, horizon: float, tiers: Sequence[Tier]) -> Tier | None:
    """Return the finest tier that still keeps what began at `start`, or None."""
    for tier, coarse in zip(tiers, [*tiers[1:], tiers[-1]], strict=True):
        end = (floor(start / coarse.cell_seconds) + 1) * coarse.cell_seconds
        if end > horizon - tier.keep_seconds:
            return tier
    return None
