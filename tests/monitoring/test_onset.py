"""Since when a change is there: the first sub-window of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from server.monitoring.counting import RowCounter
from server.monitoring.drift import Judge, Limits
from server.monitoring.onset import onset_seconds
from server.monitoring.rate_plans import Rule
from server.statistics.window import Cell
from tests.support.references import mixed_profile, mixed_rows

PROFILE = mixed_profile(20_000)
JUDGE = Judge(PROFILE, Limits(), 5)
NAMES = [column.name for column in PROFILE.layout.columns]
CHANGED = 37
"""The first of the changed sub-windows."""


def _cells(change: Callable[[dict[str, Any]], None], cells: int = 50) -> list[Cell]:
    """Return sub-windows of 100 rows and 10 seconds, changed from CHANGED on."""
    rng, counter = np.random.default_rng(5), RowCounter(JUDGE.layout)
    groups, found = PROFILE.layout.groups, []
    for number in range(cells):
        inputs, outputs = mixed_rows(rng, 100)
        if number >= CHANGED:
            change(inputs)
        counter.add(100, groups[0].blocks(inputs), groups[1].blocks(outputs))
        start = 1000.0 + 10.0 * number
        found.append(Cell(start, start + 10.0, counter.take().counts))
    return found


def _shifted(inputs: dict[str, Any]) -> None:
    inputs["amount"] *= 3.0


def _recoloured(inputs: dict[str, Any]) -> None:
    inputs["colour"][:50] = "blue"


def _new(inputs: dict[str, Any]) -> None:
    inputs["colour"][:10] = "mauve"


def _lost(inputs: dict[str, Any]) -> None:
    inputs["amount"][:20] = np.nan


@pytest.mark.parametrize(
    ("change", "rule", "column"),
    [
        (_shifted, Rule.DRIFT, "amount"),
        (_shifted, Rule.SCALE, "amount"),
        (_recoloured, Rule.DRIFT, "colour"),
        (_new, Rule.NOVEL, "colour"),
        (_lost, Rule.MISSING, "amount"),
    ],
)
def test_the_first_changed_sub_window_is_found(
    change: Callable[[dict[str, Any]], None], rule: Rule, column: str
) -> None:
    """To within one sub-window, whatever has changed."""
    onset = onset_seconds(JUDGE, rule, NAMES.index(column), _cells(change))

    assert onset is not None
    assert abs(onset - (1000.0 + 10.0 * CHANGED)) <= 10.0


def test_nothing_tells_nothing() -> None:
    """No sub-windows, empty ones, and a rule that the column does not have."""
    empty = Cell(0.0, 1.0, np.zeros(JUDGE.layout.width, np.int64))

    assert onset_seconds(JUDGE, Rule.DRIFT, 0, []) is None
    assert onset_seconds(JUDGE, Rule.DRIFT, 0, [empty]) is None
    assert onset_seconds(JUDGE, Rule.NOVEL, 0, [empty]) is None
