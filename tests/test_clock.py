"""Seconds that nobody can set."""

import time

import pytest

from server.clock import SteadyClock, steady_seconds


@pytest.mark.parametrize("step", [3600.0, -3600.0, 30 * 86_400.0, -30 * 86_400.0])
def test_a_clock_that_is_set_changes_nothing(step: float) -> None:
    """What has passed is what has passed, whatever the machine says that it is."""
    wall, passed = [1_800_000_000.0], [500.0]
    clock = SteadyClock(lambda: wall[0], lambda: passed[0])
    before = clock()
    wall[0] += step
    passed[0] += 7.0

    assert (before, clock()) == (1_800_000_000.0, 1_800_000_007.0)


def test_it_begins_with_the_clock_of_the_machine() -> None:
    """So what an earlier process has kept is as old as it was."""
    assert SteadyClock()() == pytest.approx(time.time(), abs=60.0)
    assert steady_seconds() <= steady_seconds()
