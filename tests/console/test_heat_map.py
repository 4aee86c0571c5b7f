"""The heat map: shades by effect, and nothing where chance would be shown."""

import numpy as np
import pytest

from server.console.heat_map import NAME_CHARACTERS, WIDTH, heat_map, shade
from server.monitoring.history import History


def history(effects: list[list[float]], rows: list[int]) -> History:
    """Return stretches of a minute with these effects by column."""
    starts = [60.0 * place for place in range(len(effects))]
    return History(starts, [one + 60.0 for one in starts], rows, np.array(effects), 200)


@pytest.mark.parametrize(
    ("effect", "number"), [(0.0, 0), (0.09, 0), (0.1, 1), (0.3, 2), (0.5, 3), (0.9, 4), (5.0, 5)]
)
def test_shades_grow_with_the_effect(effect: float, number: int) -> None:
    """Below what ever raises an alert nothing is coloured."""
    assert shade(effect) == number


def test_features_are_drawn_in_the_order_of_the_ranking() -> None:
    """Whatever the order of the columns is."""
    found = heat_map(history([[0.0, 0.5]], [500]), ["a", "b"], ["b", "a"])

    assert found is not None
    assert [row.name for row in found.rows] == ["b", "a"]
    assert [row.cells[0].shade for row in found.rows] == ["h3", "h0"]
    assert found.rows[0].cells[0].title == "0.5 of 500 rows"


def test_a_stretch_with_few_rows_is_left_empty() -> None:
    """Its effect is mostly chance."""
    found = heat_map(history([[0.9], [0.9]], [20, 900]), ["a"], ["a"])

    assert found is not None
    assert [cell.shade for cell in found.rows[0].cells] == ["hx", "h4"]


def test_who_does_not_see_it_is_told_what_moved_last() -> None:
    """In the last stretch that has rows enough."""
    effects = [[0.0, 0.0], [0.5, 0.1], [9.0, 9.0]]

    found = heat_map(history(effects, [300, 300, 5]), ["a", "b"], ["a", "b"])

    assert found is not None
    assert found.words == "Effects over 3 stretches of time. Moved in the last one: a."
    few = heat_map(history(effects, [1, 1, 1]), ["a", "b"], ["a", "b"])
    assert few is not None
    assert "rows enough" in few.words


def test_everything_is_inside_whatever_there_is_to_show() -> None:
    """Long names are cut, many stretches become narrow, and none makes no map."""
    many = history([[0.5]] * 32, [300] * 32)

    found = heat_map(many, ["n" * 200], ["n" * 200])

    assert found is not None
    assert len(found.rows[0].name) == NAME_CHARACTERS
    assert found.rows[0].cells[-1].x + found.cell_width <= WIDTH
    assert len(found.ticks) <= 6
    assert heat_map(history([], []), ["a"], ["a"]) is None
