"""Lines go through what was measured, and say how far it is from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.scale.growth import fitted, shared

COSTS = st.floats(0.1, 1000.0)


@given(COSTS, COSTS, st.lists(st.integers(1, 1000), min_size=2, max_size=8, unique=True))
def test_points_on_a_line_give_that_line(base: float, slope: float, xs: list[int]) -> None:
    """Nothing is left over, whatever the line is."""
    found = fitted(xs, [base + slope * x for x in xs])

    assert found.base == pytest.approx(base, rel=1e-3, abs=1e-3 * (base + slope * max(xs)))
    assert found.slope == pytest.approx(slope, rel=1e-3)
    assert found.worst == pytest.approx(0.0, abs=1e-3)


def test_what_is_not_on_the_line_is_told() -> None:
    """The residual is in the unit of the cost, the worst distance a share of it."""
    found = fitted([1, 2, 3], [10.0, 30.0, 30.0])

    assert found.residual > 1.0
    assert 0.1 < found.worst < 1.0
    assert found.at(2) == pytest.approx(found.base + 2 * found.slope)


@pytest.mark.parametrize(("xs", "ys"), [([3, 3], [1.0, 2.0]), ([1, 2], [0.0, 1.0])])
def test_no_line_follows_from_one_place_or_from_no_cost(xs: list[int], ys: list[float]) -> None:
    """It is refused rather than made up."""
    with pytest.raises(ValueError, match="a line needs two points"):
        fitted(xs, ys)


@given(COSTS, COSTS)
def test_what_costs_together_is_told_apart(row: float, message: float) -> None:
    """Where there are rows and messages in different proportions, each has its own cost."""
    amounts = [[1000, 20], [1000, 200], [10, 10]]
    costs = [row * rows + message * messages for rows, messages in amounts]

    assert shared(costs, amounts) == pytest.approx([row, message], rel=1e-6)


def test_nothing_costs_less_than_nothing() -> None:
    """Where the figures err, a cost is 0 at least."""
    assert shared([10.0, 9.0], [[10, 1], [10, 2]])[1] == 0.0
