"""Whether many columns have moved together, each too little to be seen alone.

Decides by Hotelling's T-squared (1931, Ann. Math. Stat. 2(3)): the location components of all
numeric columns, weighted by the inverse of how they depend on each other, so that ten columns that
say the same count once. The dependence is that of the location scores within a row, and is learned
from the first rows that come; a shift does not change it much, and the reference's counts per
column cannot tell it. Until enough rows were seen nothing is said.

Directions in which the columns hardly vary are left out (the eigenvalue rule of principal
components): a copy of a column would otherwise divide by nothing.

Concurrency: belongs to its observer. Lifetime: learned anew after a restart.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import Blocks
from server.monitoring.counting import CountLayout
from server.statistics.bins import Bins
from server.statistics.smooth_test import SmoothBasis
from server.statistics.tails import chi_square_tail
from server.tensors import Array

Numbers = NDArray[np.float64]

MAX_COLUMNS = 128
"""More numeric columns than that: the first ones are judged together."""

ROWS_PER_COLUMN = 50
LEAST_ROWS = 5000
SAMPLE_ROWS = 64
"""Rows of one record that are learned from, at most."""
GATHERED_ROWS = 256
"""Rows that are learned from at once: each column costs some calls of NumPy, for one row too."""

_LEAST_EIGENVALUE = 0.05
"""Of the correlation matrix, whose eigenvalues are 1 on average."""


class Dependence:
    """How the location scores of numeric columns depend on each other."""

    def __init__(self, layout: CountLayout, bases: Sequence[SmoothBasis | None]) -> None:
        self._columns: list[tuple[int, int, Bins, Numbers]] = []
        groups = layout.profile.layout.groups
        first = 0
        numeric = -1
        self.places: list[int] = []
        """Among the numeric columns, in the order of `Screen.number_places`."""
        for side, group in enumerate(groups):
            for within in range(len(group.numbers)):
                numeric += 1
                basis = bases[first + within]
                if basis is None or not len(basis.inflation) or len(self.places) >= MAX_COLUMNS:
                    continue
                self.places.append(numeric)
                bins = layout.folds[side].bins[within]
                self._columns.append((side, within, bins, basis.scores[:, 0]))
            first += len(group.columns)
        size = len(self.places)
        self._sides = {side for side, *_ in self._columns}
        self._waiting: list[dict[int, Array]] = []
        self._waiting_rows = 0
        self._products = np.zeros((size, size))
        self._rows = 0
        self._wanted = max(LEAST_ROWS, ROWS_PER_COLUMN * size)
        self._directions: Numbers | None = None

    @property
    def is_learned(self) -> bool:
        """Whether enough rows were seen."""
        return self._directions is not None

    @property
    def directions(self) -> int:
        """In how many directions the columns vary; 0 before that is known."""
        return 0 if self._directions is None else self._directions.shape[1]

    @property
    def is_wanted(self) -> bool:
        """Whether rows are still to be learned from, and there is more than one column."""
        return self._directions is None and len(self.places) > 1

    def hold_to(self, locations: Sequence[Numbers]) -> None:
        """Take the location scores of this hour's reference, one array a numeric column.

        What columns have in common because all follow the hours would else pass for dependence.
        """
        if self._waiting:
            self._take_in()
        self._columns = [
            (side, within, bins, locations[place])
            for place, (side, within, bins, _) in zip(self.places, self._columns, strict=True)
        ]

    def add(self, inputs: Blocks | None, outputs: Blocks | None) -> None:
        """Learn from the first rows of a record; both sides must have come."""
        sides = (inputs, outputs)
        numbers = {at: side.numbers[:SAMPLE_ROWS] for at in self._sides if (side := sides[at])}
        if len(numbers) < len(self._sides):
            return
        self._waiting.append(numbers)
        self._waiting_rows += min(map(len, numbers.values()))
        if self._waiting_rows >= GATHERED_ROWS:
            self._take_in()
        if self._rows >= self._wanted:
            self._learn()

    def _take_in(self) -> None:
        """Learn from the rows that have gathered."""
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        numbers = {side: np.concatenate([one[side] for one in waiting]) for side in self._sides}
        scores = [
            _scores(numbers[side][:, within], bins, score)
            for side, within, bins, score in self._columns
        ]
        table = np.stack(scores, axis=1)
        self._products += table.T @ table
        self._rows += len(table)

    def _learn(self) -> None:
        spread = np.sqrt(np.maximum(np.diag(self._products), 1e-12))
        values, vectors = np.linalg.eigh(self._products / np.outer(spread, spread))
        kept = values > _LEAST_EIGENVALUE
        self._directions = vectors[:, kept] / np.sqrt(values[kept])

    def judge(self, locations: Numbers, variance: float) -> tuple[float, float]:
        """Return p and effect of location components, standard normal each when nothing moved.

        `locations` has shape (numeric columns,), `variance` is that of a mean score: 1/m + 1/n. The
        effect is the distance moved, in standard deviations, beyond what chance is expected to do.
        """
        if self._directions is None:
            return 1.0, 0.0
        along = locations[self.places] @ self._directions
        statistic = float(along @ along)
        df = len(along)
        effect = math.sqrt(max(0.0, statistic - df) * variance)
        return chi_square_tail(statistic, df), effect


def _scores(values: Array, bins: Bins, scores: Numbers) -> Numbers:
    """Return the location score of each value; 0 for one that is in no bin."""
    found: Numbers = np.where(np.isfinite(values), scores[bins.locate(values)], 0.0)
    return found
