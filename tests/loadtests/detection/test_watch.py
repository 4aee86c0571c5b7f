"""A column that is watched over time: raised once, after the change, and by its row."""

import numpy as np

from loadtests.detection.changes import Kind
from loadtests.detection.family import drawn_counts
from loadtests.detection.product import monitored
from loadtests.detection.watch import Policy, watched


def test_a_change_is_raised_once_and_soon() -> None:
    """Nothing before the onset, and one alarm that lasts as long as the change."""
    rng = np.random.default_rng(5)
    reference, stream = rng.standard_normal(5000), rng.standard_normal(3000)
    stream[1500:] += 1.0

    alarms = watched(reference, Kind.NUMBER, Policy()).alarms(stream)
    assert len(alarms) == 1
    assert 1500 <= alarms[0] < 1700


def test_a_new_category_is_raised() -> None:
    """A column of categories is watched by the same windows."""
    rng = np.random.default_rng(6)
    reference = rng.integers(0, 3, 5000).astype(np.float64)
    stream = rng.integers(0, 3, 2000).astype(np.float64)
    stream[1000::20] = 7.0

    alarms = watched(reference, Kind.CATEGORY, Policy()).alarms(stream)
    assert len(alarms) == 1
    assert 1000 <= alarms[0] < 1500


def test_drawn_counts_are_counts_of_so_many_rows() -> None:
    """Bins and missing values add up to the rows, and shares are those that they come from."""
    rng = np.random.default_rng(7)
    values = np.where(rng.random(100_000) < 0.1, np.nan, rng.standard_normal(100_000))
    column = monitored(values[:1000], Kind.NUMBER)
    many = column.count(values)

    windows = np.stack(list(drawn_counts(many, 500, 200, rng)))
    assert np.all(windows[:, :-5].sum(axis=1) == 500)
    assert np.all(windows[:, -1] == 500)
    gaps = windows.mean(axis=0) / 500 - many / len(values)
    assert np.max(np.abs(gaps)) < 0.01
