"""Columns that follow the clock: what a reference by hours is for, in small."""

from loadtests.detection import seasons
from loadtests.detection.seasons import Plan


def test_hours_keep_the_rate_and_find_the_shift() -> None:
    """By hour about one window in a hundred alarms and each shift is found; by all rows neither."""
    plan = Plan(features=2, reference_rows=60_000, sizes=(500,), windows=60, days=0.02, streams=1)
    judged, watched = seasons.measure(plan)

    plain, hourly = judged
    assert (plain.total, hourly.total) == (120, 120)
    assert hourly.false_alarms <= 6
    assert hourly.found == hourly.total > 3 * plain.found
    assert watched[1].false_alarms == 0
    assert watched[1].delays[0] <= 1500
    table = seasons.table(judged, watched)
    assert "| by hour of the week | 500 | 120 |" in table
    assert "| by hour of the week | 172 | 0 |" in table
