"""The heat map of a version: how far each feature had moved, over time. Pure.

Decides the six shades and what they mean: below a tenth of a standard deviation nothing is ever
raised, and beyond one everything has changed. A stretch with too few rows is left empty: what
could be seen there is chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.console import words
from server.monitoring.history import History

SHADES = (0.1, 0.2, 0.4, 0.7, 1.0)
"""Effects from which the next shade begins."""
WIDTH, NAME_WIDTH, ROW_HEIGHT = 1000.0, 168.0, 17.0
MOST_CELL_WIDTH = 40.0
NAME_CHARACTERS = 26


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One feature in one stretch of time."""

    x: float
    shade: str
    title: str
    """Empty where there is nothing to point out."""


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One feature."""

    name: str
    y: float
    cells: Sequence[HeatCell]


@dataclass(frozen=True, slots=True)
class HeatTick:
    """A moment at the axis."""

    x: float
    seconds: float


@dataclass(frozen=True, slots=True)
class HeatMap:
    """What is drawn."""

    rows: Sequence[HeatRow]
    ticks: Sequence[HeatTick]
    cell_width: float
    width: float
    height: float
    words: str
    """What it shows, for those who do not see it."""


def heat_map(history: History, names: Sequence[str], shown: Sequence[str]) -> HeatMap | None:
    """Return the map of the features `shown`, in that order; None if there is nothing to show.

    `names` are those of all columns, in the order of the history's.
    """
    if not len(history.starts):
        return None
    places = {name: place for place, name in enumerate(names)}
    each = min(MOST_CELL_WIDTH, (WIDTH - NAME_WIDTH) / len(history.starts))
    rows = []
    for number, name in enumerate(shown):
        cells = [
            _cell(
                round(NAME_WIDTH + at * each, 1),
                float(history.effects[at, places[name]]),
                history.rows[at],
                history.min_rows,
            )
            for at in range(len(history.starts))
        ]
        rows.append(HeatRow(_cut(name), number * ROW_HEIGHT, cells))
    step = -(-len(history.starts) // 6)
    ticks = [
        HeatTick(round(NAME_WIDTH + at * each, 1), history.starts[at])
        for at in range(0, len(history.starts), step)
    ]
    height = ROW_HEIGHT * len(rows) + 18.0
    told = _words(history, places, shown)
    return HeatMap(rows, ticks, round(each - 1.5, 1), WIDTH, height, told)


def shade(effect: float) -> int:
    """Return the number of a shade, 0 for what has not moved."""
    return sum(effect >= least for least in SHADES)


def _cell(x: float, effect: float, rows: int, min_rows: int) -> HeatCell:
    if rows < min_rows:
        return HeatCell(x, "hx", "")
    number = shade(effect)
    title = f"{words.figure(effect)} of {words.several(rows, 'row')}" if number > 1 else ""
    return HeatCell(x, f"h{number}", title)


def _words(history: History, places: dict[str, int], shown: Sequence[str]) -> str:
    enough = [at for at, rows in enumerate(history.rows) if rows >= history.min_rows]
    if not enough:
        return "Effects over time: no stretch of it has rows enough yet."
    last = history.effects[enough[-1]]
    moved = [name for name in shown if last[places[name]] >= SHADES[1]]
    told = ", ".join(moved[:5]) if moved else "none"
    return f"Effects over {len(history.starts)} stretches of time. Moved in the last one: {told}."


def _cut(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS else name[: NAME_CHARACTERS - 1] + "…"
