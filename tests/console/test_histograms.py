"""Histograms to scale: reference against live, and quantiles of both."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.console.histograms import MOST_CATEGORIES, categories, large, mini, quantile


def numbers(live: list[float], low: float | None = 0.0, high: float | None = 4.0) -> dict[str, Any]:
    """Return a column of four equal bins from 0 to 4 as the report tells it."""
    return {
        "histogram": {"edges": [1.0, 2.0, 3.0], "reference": [0.25] * 4, "live": live},
        "range": {"reference": [0.0, 4.0], "live": [low, high]},
        "measures": {"rows": 100},
    }


def test_quantiles_of_both_sides_are_in_the_units_of_the_feature() -> None:
    """Of values spread evenly the median is in the middle; live ones lie higher."""
    drawn = large(numbers([0.0, 0.0, 0.5, 0.5]))

    assert drawn is not None
    median = drawn.quantiles[2]
    assert (median.name, median.reference, median.live) == ("50%", "2", "3")


def test_without_live_rows_there_is_no_live_outline() -> None:
    """Neither a line at the bottom nor quantiles."""
    told = numbers([0.0] * 4, None, None)
    told["measures"]["rows"] = 0

    drawn = large(told)

    assert drawn is not None
    assert (drawn.live, drawn.quantiles[0].live) == ("", "\N{EN DASH}")
    assert drawn.reference


def test_the_axis_reaches_only_so_far_beyond_the_reference() -> None:
    """A change of units does not press the reference into one line."""
    drawn = large(numbers([0.0, 0.0, 0.0, 1.0], 3.5, 4000.0))

    assert drawn is not None
    assert [tick.words for tick in (drawn.ticks[0], drawn.ticks[-1])] == ["0", "6"]


def test_a_constant_feature_can_be_drawn() -> None:
    """One bin, no edges, one value."""
    told = {
        "histogram": {"edges": [], "reference": [1.0], "live": [1.0]},
        "range": {"reference": [3.0, 3.0], "live": [3.0, 3.0]},
        "measures": {"rows": 10},
    }

    drawn = large(told)

    assert drawn is not None
    assert drawn.quantiles[2].reference == "3"
    assert mini(told).reference


def test_categories_come_most_frequent_first_and_rare_ones_together() -> None:
    """What the reference has no word for is any other."""
    shares = [0.5, *([0.4 / 20] * 20), 0.1]
    told = {
        "histogram": {
            "categories": ["most", *(f"c{number}" for number in range(20)), None],
            "reference": shares,
            "live": shares,
        },
    }

    found = categories(told)

    assert [one.name for one in found[:2]] == ["most", "any other"]
    assert len(found) == MOST_CATEGORIES + 1
    assert sum(one.live for one in found) == pytest.approx(1.0)
    assert large(told) is None
    assert mini(told).live


shares_of_bins = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)


@given(shares_of_bins, st.floats(0.0, 1.0))
def test_a_quantile_lies_between_the_outermost_bounds(shares: list[float], at: float) -> None:
    """Whatever the shares are; without any there is none."""
    bounds = [float(place) for place in range(len(shares) + 1)]

    found = quantile(bounds, shares, at)

    assert (found is None) == (sum(shares) <= 0.0)
    assert found is None or 0.0 <= found <= bounds[-1] * (1 + 1e-9)
