"""A column that is watched over time: raised once, after the change, and by its row."""

import numpy as np

from loadtests.detection.changes import Kind
from loadtests.detection.watch import Policy, watched


def test_a_change_is_raised_soon() -> None:
    """Nothing before the onset, and an alarm within a few sub-windows of it."""
    rng = np.random.default_rng(5)
    reference, stream = rng.standard_normal(5000), rng.standard_normal(3000)
    stream[1500:] += 1.0

    alarms = watched(reference, Kind.NUMBER, Policy()).alarms({"x": stream}, 1500)
    assert len(alarms) == 1
    assert 1500 <= alarms[0] < 1900


def test_a_new_category_is_raised() -> None:
    """A column of categories is watched by the same windows."""
    rng = np.random.default_rng(6)
    reference = rng.integers(0, 3, 5000).astype(np.float64)
    stream = rng.integers(0, 3, 2000).astype(np.float64)
    stream[1000::20] = 7.0

    alarms = watched(reference, Kind.CATEGORY, Policy()).alarms({"x": stream}, 1000)
    assert len(alarms) == 1
    assert 1000 <= alarms[0] < 1500
