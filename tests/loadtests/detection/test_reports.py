"""Thresholds, intervals and tables of the measurements of detection."""

import math

import numpy as np
import pytest
from scipy import stats

from loadtests.detection import dose_report
from loadtests.detection.doses import Cell, matched_limit
from loadtests.detection.false_alarms import wilson
from loadtests.detection.streams import CLEAN_ROWS, summary


def cell(change: str, dose: float, ours: float, others: float) -> Cell:
    """Return a cell with one other way of looking."""
    return Cell(change, "shape", 500, dose, 100, {"tidegate": ours, "KS": others}, {"KS": 0.1})


def test_a_matched_limit_is_exceeded_by_one_in_a_hundred() -> None:
    """Never by more, whatever the ties."""
    assert np.mean(np.arange(1000.0) > matched_limit(np.arange(1000.0))) == pytest.approx(0.01)
    assert matched_limit(np.array([0.0] * 90 + [1.0] * 10)) == 1.0


@pytest.mark.parametrize(("count", "total"), [(0, 50), (3, 300), (50, 50)])
def test_an_interval_is_wilsons(count: int, total: int) -> None:
    """As SciPy computes it."""
    expected = stats.binomtest(count, total).proportion_ci(0.95, method="wilson")

    assert wilson(count, total) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_delays_are_counted_from_the_onset() -> None:
    """Claims before it are false alarms; a stream without one after it is missed."""
    claims = [[CLEAN_ROWS - 1, CLEAN_ROWS + 99, CLEAN_ROWS + 500], [CLEAN_ROWS + 299], []]
    found = summary("shift", "ours", claims)

    assert found.false_alarms == pytest.approx(1 / 3)
    assert (found.median_delay, found.late_delay) == (300.0, math.inf)
    assert found.missed == pytest.approx(1 / 3)


def test_what_is_lost_is_told() -> None:
    """By more than five points, the worst first; and never a clean cell."""
    cells = [
        cell("a", 0.0, 0.01, 0.01),
        cell("a", 0.1, 0.5, 0.58),
        cell("b", 0.1, 0.5, 0.54),
        cell("c", 0.1, 0.2, 0.5),
    ]

    lines = dose_report.losses_table(cells).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| c", "| a"]
    assert "| shape | 3 | 40 | 54 | 2 | 0 |" in dose_report.groups_table(cells)
    standing = dose_report.standing_table(cells)
    assert "| numbers | tidegate | 40.0% | 2 of 3 cells | 1 |" in standing
    assert "| numbers | KS | 54.0% | 0 of 3 cells | 0 |" in standing
    assert "| a | 500 | 50 | 58 |" in dose_report.power_table(cells)
    assert "| 500 | 10% | 10.0 |" in dose_report.defaults_table(cells)
