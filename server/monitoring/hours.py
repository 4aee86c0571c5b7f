"""Hours of the day, or of the week, by which a reference may be kept: traffic has rhythms.

Decides which hour a moment belongs to, and which hours a live row is held to: the two whose middles
it lies between, each by how near it is. Without that, the mean of an hour would be a step, and live
rows early in an hour would be strange on a slope; with it a window may straddle any hours. All
hours are of UTC. Told the time; moments before 1970 have hours too.

The weights of a row add up to PARTS, in whole numbers, so they add up over rows, sub-windows and
restarts as counts do.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Seconds = NDArray[np.float64]

HOUR_SECONDS = 3600.0
PARTS = 12
"""Into which a row is divided: five minutes are one part."""

_DAY_HOURS = 24
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EPOCH_HOUR = 72
"""1970 began on a Thursday; weeks begin on Monday."""


class Cycle(StrEnum):
    """After how long the same hours come again."""

    DAY = "day"
    WEEK = "week"

    @property
    def hours(self) -> int:
        """How many hours it has."""
        return _DAY_HOURS if self is Cycle.DAY else _DAY_HOURS * len(_DAYS)

    def name_of(self, hour: int) -> str:
        """Name an hour, as a report does."""
        day, within = divmod(hour, _DAY_HOURS)
        return f"{within:02}h" if self is Cycle.DAY else f"{_DAYS[day]} {within:02}h"


def hours_of(cycle: Cycle, seconds: Seconds) -> NDArray[np.intp]:
    """Return the hour that each moment lies in, seconds since 1970, shape (rows,)."""
    numbers = np.floor(seconds / HOUR_SECONDS).astype(np.int64)
    return _within(cycle, numbers)


def weights_of(cycle: Cycle, seconds: Seconds) -> Counts:
    """Return what rows of these moments are held to: PARTS a row, shape (hours of the cycle,)."""
    at = seconds / HOUR_SECONDS - 0.5
    earlier = np.floor(at)
    later_parts = np.rint((at - earlier) * PARTS).astype(np.int64)
    first = _within(cycle, earlier.astype(np.int64))
    weights = np.zeros(cycle.hours, np.int64)
    np.add.at(weights, first, PARTS - later_parts)
    np.add.at(weights, (first + 1) % cycle.hours, later_parts)
    return weights


def _within(cycle: Cycle, numbers: NDArray[np.int64]) -> NDArray[np.intp]:
    found: NDArray[np.intp] = (numbers + _EPOCH_HOUR) % cycle.hours
    return found
