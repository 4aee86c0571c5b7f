"""What was measured at a point becomes medians of good runs, and a table."""

from collections import Counter
from dataclasses import asdict

import pytest

from loadtests.scale.gateways import Measured
from loadtests.scale.growth import fitted
from loadtests.scale.sweeps import SWEEPS, figures, table
from loadtests.wrk import Run


def measured(cost: float, errors: int = 0) -> Measured:
    run = Run("tidegate", "w", 64, 1000, errors, 5000.0, 0.002, 0.003, cost)
    spent = {"worker": 900 * cost, "control": 100 * cost, "shadow": 0.0, "other": 0.0}
    return Measured(run, spent, Counter(records=20, rows=1000))


def test_figures_are_medians_of_good_runs() -> None:
    """A run with errors counts for nothing and is told."""
    found = figures(8, [measured(1e-5), measured(9e-5, errors=1), measured(3e-5)])

    assert (found["cpu_us"], found["worker_us"], found["control_us"]) == (20.0, 18.0, 2.0)
    assert (found["least_us"], found["most_us"]) == (10.0, 30.0)
    assert (found["x"], found["messages"], found["messages_lost"]) == (8, 20, 0)
    assert found["invalid_runs"] == 1


def test_no_good_run_ends_the_measurement() -> None:
    """There is nothing to print."""
    with pytest.raises(SystemExit, match="errors in every run at 8: 3 in the first"):
        figures(8, [measured(1e-5, errors=3)])


def test_the_table_has_a_row_for_each_point_and_the_line() -> None:
    """So that anybody sees how well the line fits."""
    points = [figures(x, [measured(x * 1e-5)]) for x in (1, 2)]
    line = asdict(fitted([1, 2], [10.0, 20.0]))
    control = {"row_us": 2.5, "message_us": 90.0}
    form = SWEEPS["rows"].form
    text = table({"rows": {"form": form, "points": points, "line": line, "control": control}})

    assert "| 1 | 5,000.0 | 2,000.0 | 3,000.0 | 10.0 |" in text
    assert "a = 0.0, b = 10.000" in text
    assert "control: 2.5 µs a row and 90.0 µs a message" in text
