"""Stretches of time for a heat map: rows enough in each, and none lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.drift import Judge, Limits
from server.monitoring.history import history_of, stretches
from server.statistics.window import Cell
from tests.monitoring.test_observer import PROFILE, Bench


def cells_of(rows: list[int]) -> list[Cell]:
    """Return cells one after another, each with its rows as its only count."""
    return [
        Cell(float(place), float(place + 1), np.array([number]))
        for place, number in enumerate(rows)
    ]


@given(st.lists(st.integers(0, 500), max_size=80), st.integers(1, 40))
def test_no_row_is_lost_and_there_are_not_too_many(rows: list[int], most: int) -> None:
    """Stretches hold all counts, follow each other, and are as many as asked for at most."""
    found = stretches(cells_of(rows), rows, 200, most)

    assert len(found) <= most
    assert sum(int(cell.counts[0]) for cell in found) == sum(rows)
    assert [cell.start for cell in found[1:]] == [cell.end for cell in found[:-1]]


def test_stretches_with_few_rows_are_joined_but_not_across_silence() -> None:
    """What is seen of a few rows is chance; an hour without any belongs to none of the others."""
    found = stretches(cells_of([100, 100, 100, 0, 300]), [100, 100, 100, 0, 300], 200, 10)

    assert [(cell.start, cell.end) for cell in found] == [(0.0, 2.0), (2.0, 4.0), (4.0, 5.0)]


def test_a_column_that_moves_is_seen_from_then_on() -> None:
    """Its effect is large in the later stretches, and that of the others is not."""
    bench = Bench().run(200).run(200, shift=[0.0, 1.0, 0.0])

    cells = bench.observer.cells(bench.now, by_hour=False)
    history = history_of(bench.observer.judge, cells, 8)

    assert len(history.starts) == len(history.ends) == len(history.rows) <= 8
    steady, moved = history.effects[:, 0], history.effects[:, 1]
    assert moved[:2].max() < 0.3 < 0.8 < moved[-2:].min()
    assert steady.max() < 0.3


def test_without_cells_there_is_nothing_to_show() -> None:
    """A version that has just begun has a history of no stretches."""
    judge = Judge(PROFILE, Limits(), 5)

    assert history_of(judge, [], 8).effects.shape == (0, len(PROFILE.columns))


def test_hours_of_the_day_are_told_apart() -> None:
    """An hour that has passed is a cell of its own, and the one that goes on is the last."""
    bench = Bench().run(3700, rows=5)

    assert len(bench.observer.cells(bench.now, by_hour=True)) == 2
