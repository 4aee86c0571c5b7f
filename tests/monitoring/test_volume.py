"""Traffic that collapses, doubles, or sleeps at night."""

import math

import pytest

from server.monitoring.volume import KEPT_BLOCKS, volume_reach

STEADY = [1000, 1100, 950, 1020, 980, 1050, 990, 1010, 1000, 1040, 960, 1005]
DAY = [round(1000 * (1.5 + math.sin(at / 8.0))) for at in range(KEPT_BLOCKS)]


@pytest.mark.parametrize("now", [0, 100, 240, 4200, 10**9])
def test_far_more_or_fewer_rows_reach_it(now: int) -> None:
    """Silence, a quarter of what was usual, four times as much: each is a change of volume."""
    reach, words = volume_reach([*STEADY, now])

    assert reach >= 1.0
    assert "1002 were usual" in words or "1003 were usual" in words


@pytest.mark.parametrize("now", [500, 1000, 3000])
def test_usual_bursts_do_not(now: int) -> None:
    """Half as many rows, or three times as many, happen."""
    assert volume_reach([*STEADY, now])[0] < 1.0


def test_what_varies_may_vary() -> None:
    """Where rows have risen and fallen before, no block of the same day is strange."""
    reached = [volume_reach(DAY[: at + 1])[0] for at in range(len(DAY))]

    assert max(reached) < 1.0


@pytest.mark.parametrize("blocks", [[], [5], [1000] * 12, [100] * 40 + [0], [0] * 60 + [9000]])
def test_without_a_usual_volume_nothing_is_said(blocks: list[int]) -> None:
    """Too few blocks, or hardly any rows in them, are nothing to compare with."""
    assert volume_reach(blocks) == (0.0, "")


def test_where_rows_come_in_bursts_a_burst_is_usual() -> None:
    """Blocks that differ tenfold among themselves make five times the median no news."""
    bursts = [300, 3000, 1000] * 8

    assert volume_reach([*bursts, 5000])[0] < 1.0
    assert volume_reach([*STEADY, 5000])[0] > 1.0
