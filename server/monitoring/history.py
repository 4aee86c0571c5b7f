"""How far each column had moved at each of some moments: what a heat map is drawn from.

Decides which stretches of time are told apart: as many as can be shown, and none with so few rows
that what is seen is mostly chance. Told counts; does not know where they are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.monitoring.drift import Judge
from server.statistics.window import Cell


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Effects by column and stretch of time, oldest first; `n` stretches."""

    starts: Sequence[float]
    """When each began, in seconds since 1970."""
    ends: Sequence[float]
    rows: Sequence[int]
    effects: NDArray[np.float64]
    """Shape (n, columns); what a stretch without rows enough has is left to chance."""
    min_rows: int
    """Rows from which a stretch says something."""


def history_of(judge: Judge, cells: Sequence[Cell], most: int) -> History:
    """Return the effects of `most` stretches at most."""
    joined = stretches(
        cells, [judge.layout.rows(cell.counts) for cell in cells], judge.rule.min_rows, most
    )
    effects = [judge.effects(cell.counts) for cell in joined]
    return History(
        [cell.start for cell in joined],
        [cell.end for cell in joined],
        [judge.layout.rows(cell.counts) for cell in joined],
        np.array(effects) if effects else np.zeros((0, len(judge.layout.columns))),
        judge.rule.min_rows,
    )


def stretches(cells: Sequence[Cell], rows: Sequence[int], min_rows: int, most: int) -> list[Cell]:
    """Join neighbours until each has rows enough and there are `most` at most.

    Where nothing came, nothing is joined across: an hour without a row is no part of the next one.
    """
    size = -(-len(cells) // most) or 1
    found: list[Cell] = []
    waiting: Cell | None = None
    joined, waiting_rows = 0, 0
    for cell, number in zip(cells, rows, strict=True):
        waiting = cell if waiting is None else waiting.joined(cell)
        joined, waiting_rows = joined + 1, waiting_rows + number
        is_enough = waiting_rows >= min_rows or number == 0
        if joined >= size and is_enough:
            found.append(waiting)
            waiting, joined, waiting_rows = None, 0, 0
    return found if waiting is None else [*found, waiting]
