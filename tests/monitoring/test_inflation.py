"""Neighbours are alike by what the hours do not explain, and by nothing else."""

import numpy as np

from server.monitoring.columns import Blocks
from server.monitoring.hour_counts import HourTable
from server.monitoring.hours import Cycle, weights_of
from server.monitoring.inflation import share_inflation, smooth_inflation
from server.monitoring.profile import CategoryProfile, NumberProfile
from server.monitoring.seasons import Pools
from server.statistics.bins import reference_bins
from server.statistics.histogram import Fold, count_column
from tests.support import seasons
from tests.support.seasons import DAY, MIDNIGHT

EDGES = reference_bins(np.random.default_rng(1).standard_normal(1000))


def test_a_rhythm_is_no_likeness_of_neighbours() -> None:
    """Blocks of a wave vary hundreds of times too much by all rows, and not at all by hours."""
    plain, hourly = (
        {one.column.name: one for one in seasons.profile(cycle).columns}
        for cycle in (None, Cycle.DAY)
    )
    for name in ("height", "weight", "answer"):
        by_all, by_hour = plain[name], hourly[name]
        assert isinstance(by_all, NumberProfile)
        assert isinstance(by_hour, NumberProfile)
        assert by_all.inflation[0] > 50
        assert max(by_hour.inflation) < 1.6
    assert plain["weight"].missing_inflation > 3
    assert hourly["weight"].missing_inflation < 1.6
    by_all, by_hour = plain["colour"], hourly["colour"]
    assert isinstance(by_all, CategoryProfile)
    assert isinstance(by_hour, CategoryProfile)
    assert by_all.inflation > 20
    assert by_hour.inflation < 1.6


def test_days_that_differ_make_neighbours_alike() -> None:
    """What the hours do not explain, a level of each day's own, is still counted."""
    rng = np.random.default_rng(3)
    seconds = np.sort(rng.random(28_000)) * 28 * DAY + MIDNIGHT
    level = rng.standard_normal(29)[(seconds - MIDNIGHT).astype(int) // int(DAY)]
    values = (rng.standard_normal(28_000) + 0.5 * level)[:, np.newaxis]
    table = HourTable(Fold([EDGES]), 1, Cycle.DAY)
    table.add(Blocks(len(values), values, [["a"] * len(values)]), seconds)
    pools = Pools(Cycle.DAY, table.rows, [EDGES])
    pieces = np.split(np.arange(28_000), 112)
    blocks = np.stack([count_column(EDGES, values[piece]).bins for piece in pieces])
    mixtures = [pools.mixture(weights_of(Cycle.DAY, seconds[piece])) for piece in pieces]

    # A block of 250 rows has the variance of its level, 0.25, beside 1 / 250 of its rows.
    found = smooth_inflation(table.number(0)[:, : EDGES.count], blocks, mixtures)
    assert 25 < found[0] < 90


def test_too_few_blocks_say_nothing() -> None:
    """Nor do shares of a single kind, or blocks that are all of their reference."""
    table = np.array([[30, 70]] * 24)
    pools = Pools(Cycle.DAY, table.sum(axis=1), [EDGES])
    mixtures = [pools.mixture(np.ones(24, np.int64))] * 5
    blocks = np.array([[90, 10], [10, 90]] * 2 + [[50, 50]])

    assert share_inflation(table, blocks, mixtures) == 1.0
    assert smooth_inflation(table, blocks, mixtures) == [1.0]
    assert smooth_inflation(table[:, :0], blocks[:, :0], mixtures) == []
    only = np.array([[100, 0]] * 24)
    assert share_inflation(only, np.array([[100, 0]] * 30), mixtures * 6) == 1.0
