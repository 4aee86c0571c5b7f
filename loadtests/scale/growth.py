"""How a cost grows with what it is measured against: the straight line nearest to it. Pure.

Decides what the residual is, so that nobody takes a line for more than it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Growth:
    """The line `base + slope * x` by least squares, and how far the points are from it."""

    base: float
    slope: float
    residual: float
    """Root of the mean squared distance, in the unit of what was measured."""
    worst: float
    """The largest distance of a point, as a share of what was measured there."""

    def at(self, x: float) -> float:
        """Return what the line says."""
        return self.base + self.slope * x


def fitted(xs: Sequence[float], ys: Sequence[float]) -> Growth:
    """Fit a line to two points or more, of which not all have the same `x`.

    Distances count relative to what was measured: costs from 10 to 1,000 microseconds are all meant
    to be near the line, and not only the largest.

    Raises:
        ValueError: no line follows from these points.

    """
    if len(set(xs)) < 2 or min(ys) <= 0.0:
        raise ValueError(f"a line needs two points with a cost above 0, not {list(xs)}, {list(ys)}")
    x, y = np.array(xs, np.float64), np.array(ys, np.float64)
    sides = np.stack([1.0 / y, x / y], axis=1)
    (base, slope), *_ = np.linalg.lstsq(sides, np.ones(len(y)))
    away = y - (base + slope * x)
    residual, worst = float(np.sqrt(np.mean(away**2))), float(np.max(np.abs(away) / y))
    return Growth(float(base), float(slope), residual, worst)


def shared(costs: Sequence[float], amounts: Sequence[Sequence[float]]) -> list[float]:
    """Return what one of each kind costs, where `amounts` of several kinds cost so much together.

    One row of `amounts` for each of `costs`. Nothing costs less than 0.
    """
    sides, whole = np.array(amounts, np.float64), np.array(costs, np.float64)
    found, *_ = np.linalg.lstsq(sides, whole)
    return [max(0.0, one) for one in found.tolist()]
