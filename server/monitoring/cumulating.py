"""The cumulative sums of `statistics/cumulative.py` for all numeric columns at once.

Decides nothing beyond that module: the same sums, as arrays, one addition per sub-window. A test
compares the two. Keeps beside each sum since when it has been growing, and of how many rows, so
that the size of a shift can be told: the mean score since then.

Lifetime: `CusumSums` is a state that its owner replaces; `CusumRules` does not change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.statistics.cumulative import LARGEST_RATIO, SHIFTS, cusum_rule
from server.statistics.smooth_test import SmoothBasis

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CusumRules:
    """The rules of all numeric columns, for several shifts."""

    shifts: Numbers
    """Shape (shifts, 1)."""
    thresholds: Numbers
    """Shape (shifts, columns)."""
    allowances: Numbers
    """Shape (shifts, columns)."""
    inflation: Numbers
    """Shape (columns,)."""

    @classmethod
    def of(
        cls, bases: Sequence[SmoothBasis], evaluations_per_alarm: float, evaluation_rows: int
    ) -> "CusumRules":
        """Make the rules for references; see `cusum_rule`."""
        rules = [cusum_rule(basis, evaluations_per_alarm, evaluation_rows) for basis in bases]
        return cls(
            np.array(SHIFTS, np.float64)[:, np.newaxis],
            np.array([rule.thresholds for rule in rules], np.float64).reshape(-1, len(SHIFTS)).T,
            np.array([rule.allowances for rule in rules], np.float64).reshape(-1, len(SHIFTS)).T,
            np.array([rule.inflation for rule in rules], np.float64),
        )


class CusumSums:
    """How much speaks for a shift of each column, up first: shape (2, shifts, columns)."""

    def __init__(self, columns: int) -> None:
        shape = (2, len(SHIFTS), columns)
        self.sums = np.zeros(shape)
        self.scores = np.zeros(shape)
        """Summed location scores since each sum was last 0; with the sign of its side."""
        self.rows = np.zeros(shape, np.int64)
        """Rows since then."""
        self.since = np.zeros(shape)
        """When that was."""

    @property
    def held_bytes(self) -> int:
        """How much memory the sums take."""
        return sum(each.nbytes for each in (self.sums, self.scores, self.rows, self.since))

    def add(
        self,
        rules: CusumRules,
        scores: Numbers,
        rows: NDArray[np.int64],
        start: float,
        doubt: Numbers | float = 1.0,
    ) -> None:
        """Add a sub-window that began at `start`: summed location scores and rows, (columns,).

        `doubt` is by how much more the sums vary than the rules know, shape (columns,).
        """
        fresh = self.sums <= 0.0
        self.since[fresh] = start
        self.scores[fresh] = 0.0
        self.rows[fresh] = 0
        signed = np.stack([scores, -scores])[:, np.newaxis, :]
        self.scores += signed
        self.rows += rows
        inflation = rules.inflation * doubt
        beyond = (signed - rows * rules.allowances) / inflation
        worth = rows / inflation
        gained = self.sums + rules.shifts * beyond - worth * rules.shifts**2 / 2.0
        self.sums = np.clip(gained, 0.0, LARGEST_RATIO * rules.thresholds)

    def reset(self, column: int) -> None:
        """Begin anew for one column: an alert that it raised is over."""
        self.sums[..., column] = 0.0

    def ratios(self, rules: CusumRules) -> Numbers:
        """Return the largest sum of each column over its threshold, shape (columns,): 1 raises."""
        ratios: Numbers = (self.sums / rules.thresholds).max(axis=(0, 1), initial=0.0)
        return ratios

    def growth(self, rules: CusumRules, column: int) -> tuple[float, int, float]:
        """Return what a column's largest sum grew from: mean score, rows, and since when."""
        ratios = self.sums[..., column] / rules.thresholds[:, column]
        side, shift = np.unravel_index(int(ratios.argmax()), ratios.shape)
        rows = int(self.rows[side, shift, column])
        mean = float(self.scores[side, shift, column]) / max(1, rows)
        since = float(self.since[side, shift, column])
        return (mean if side == 0 else -mean), rows, since
