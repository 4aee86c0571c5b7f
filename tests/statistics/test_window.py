"""Windows and history: sums are exact after any closes, and no clock deletes counts."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.statistics.window import (
    DAY_SECONDS,
    HOUR_SECONDS,
    TIERS,
    WINDOW_LENGTHS,
    Cell,
    Closing,
    Counts,
    Ring,
    Tier,
    compact,
)

LENGTHS = (1, 3, 7)
BY_HAND = Closing()
NOW = 1_700_000_000.0
SMALL_TIERS = (Tier(2, 10), Tier(8, 40), Tier(40, 200))

vectors = st.tuples(st.integers(0, 9), st.integers(0, 9))


def vector(*counts: int) -> Counts:
    """Return counts as a vector."""
    return np.array(counts, np.int64)


def cell(start: float, seconds: float = 1.0, *counts: int) -> Cell:
    """Return a cell of one count, 1 where none is given."""
    return Cell(start, start + seconds, vector(*counts or (1,)))


def plain(cells: list[Cell]) -> list[tuple[float, float, list[int]]]:
    """Return cells as a value that compares."""
    return [(one.start, one.end, one.counts.tolist()) for one in cells]


cell_lists = st.lists(
    st.builds(cell, st.integers(0, 300), st.integers(0, 3), st.integers(0, 9)), max_size=30
)


@given(st.lists(st.lists(vectors, max_size=3), max_size=20))
def test_windows_are_the_sums_of_their_last_sub_windows(
    sub_windows: list[list[tuple[int, int]]],
) -> None:
    """After every close each window holds what a plain sum over the last N would."""
    ring = Ring(2, NOW, BY_HAND, LENGTHS)
    for closed, parts in enumerate(sub_windows, 1):
        for part in parts:
            ring.add(vector(*part), sum(part))
        ring.close(NOW + closed)
        for length in LENGTHS:
            last = sub_windows[max(0, closed - length) : closed]
            window = ring.window(length)
            assert window.counts.tolist() == [sum(p[i] for w in last for p in w) for i in (0, 1)]
            assert window.sub_windows == len(last)
            assert (window.start, window.end) == (NOW + closed - len(last), NOW + closed)


def test_a_window_before_the_first_close_is_empty() -> None:
    """What is in the open sub-window is in no window yet."""
    ring = Ring(1, NOW, BY_HAND)
    ring.add(vector(5), 5)

    for length in WINDOW_LENGTHS:
        window = ring.window(length)
        assert (window.sub_windows, window.start, window.end) == (0, NOW, NOW)
        assert window.counts.tolist() == [0]


@given(st.lists(vectors, max_size=20), st.lists(vectors, max_size=5))
def test_a_ring_goes_on_after_a_restart(
    before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    """A ring that takes back the cells of another one has the same windows, now and later."""
    ring = Ring(2, NOW, BY_HAND, LENGTHS)
    for number, counts in enumerate(before):
        ring.push(Cell(NOW + number, NOW + number + 1, vector(*counts)))
    restored = Ring(2, NOW, BY_HAND, LENGTHS)
    for one in ring.cells():
        restored.push(one)
    for both in (ring, restored):
        for counts in after:
            both.push(Cell(NOW + 50, NOW + 51, vector(*counts)))

    assert plain(restored.cells()) == plain(ring.cells())
    for length in LENGTHS:
        assert restored.window(length).counts.tolist() == ring.window(length).counts.tolist()
        assert restored.window(length).start == ring.window(length).start


def test_a_sub_window_is_closed_when_it_has_its_rows() -> None:
    """By rows alone, time closes nothing."""
    ring = Ring(1, NOW, Closing(max_rows=100))
    ring.add(vector(1), 99)

    assert (ring.room(), ring.close_if_due(NOW + 1e6)) == (1, False)
    ring.add(vector(1), 2)
    assert (ring.room(), ring.close_if_due(NOW + 1e6)) == (0, True)
    assert (ring.room(), ring.close_if_due(NOW + 1e6)) == (100, False)
    assert ring.window(1).counts.tolist() == [2]


def test_a_sub_window_is_closed_when_its_time_is_over() -> None:
    """By time, empty ones are closed too, so that old counts leave the windows."""
    ring = Ring(1, NOW, Closing(max_seconds=60), (1, 2))
    ring.add(vector(7), 7)

    assert ring.room() is None
    assert [ring.close_if_due(NOW + second) for second in (59, 60, 119, 120)] == [
        False, True, False, True,
    ]  # fmt: skip
    assert ring.window(1).counts.tolist() == [0]
    assert ring.window(2).counts.tolist() == [7]
    assert ring.close_if_due(NOW + 10_000)
    assert ring.window(2).counts.tolist() == [0]
    assert ring.window(1).end == NOW + 10_000


def test_a_clock_that_steps_back_deletes_nothing() -> None:
    """The windows keep what they hold, and the open sub-window closes after its usual time."""
    ring = Ring(1, NOW, Closing(max_seconds=60), (1, 2))
    ring.add(vector(1), 1)
    ring.close_if_due(NOW + 60)
    ring.add(vector(2), 2)

    assert not ring.close_if_due(NOW - 1000)
    assert not ring.close_if_due(NOW - 941)
    assert ring.close_if_due(NOW - 940)
    window = ring.window(2)
    assert window.counts.tolist() == [3]
    assert (window.start, window.end) == (NOW - 1000, NOW + 60)


def test_no_cell_ends_before_it_starts() -> None:
    """A sub-window that is closed, or looked at, just after the clock stepped back is short."""
    ring = Ring(1, NOW, BY_HAND)
    ring.add(vector(3), 3)

    assert plain([ring.open_cell(NOW - 5)]) == [(NOW - 5, NOW - 5, [3])]
    ring.close(NOW - 5)
    assert plain(ring.cells()) == [(NOW - 5, NOW - 5, [3])]


def test_what_a_ring_gives_away_is_a_copy() -> None:
    """Who adds to a window or to a cell does not change the ring."""
    ring = Ring(1, NOW, BY_HAND, (1,))
    ring.add(vector(1), 1)
    ring.open_cell(NOW).counts[:] = 9
    ring.close(NOW)
    ring.window(1).counts[:] = 9
    ring.cells()[0].counts[:] = 9
    ring.add(vector(2), 2)
    ring.close(NOW)

    assert ring.window(1).counts.tolist() == [2]


def test_counts_of_another_width_are_refused() -> None:
    """Cells that were stored under another profile are no counts of this one."""
    with pytest.raises(ValueError, match="3 counts for a ring of 2"):
        Ring(2, NOW, BY_HAND).push(cell(NOW, 1, 1, 2, 3))


@pytest.mark.parametrize("lengths", [(), (0, 4)])
def test_a_window_has_a_length(lengths: tuple[int, ...]) -> None:
    """A ring without a window, or with an empty one, is a mistake."""
    with pytest.raises(ValueError, match="one sub-window or more"):
        Ring(1, NOW, BY_HAND, lengths)


@given(cell_lists, st.integers(0, 600))
def test_compaction_keeps_the_sum_of_what_is_young_enough(cells: list[Cell], now: int) -> None:
    """Counts are neither lost nor doubled, but for those of days that are too old as a whole."""
    kept = compact(cells, now, SMALL_TIERS)
    newest = max((one.end for one in cells), default=0)
    too_old = [one for one in cells if one.start // 40 * 40 + 40 <= min(now, newest) - 200]

    assert sum(int(one.counts[0]) for one in kept) == sum(
        int(one.counts[0]) for one in cells if one not in too_old
    )


@given(cell_lists, st.integers(0, 600), st.integers(0, 600))
def test_compaction_may_happen_at_any_time_and_in_any_order(
    cells: list[Cell], first: int, second: int
) -> None:
    """Compacting twice, at once or later, is compacting at the later time alone."""
    early, late = sorted([first, second])
    once = compact(cells, late, SMALL_TIERS)

    assert plain(compact(compact(cells, early, SMALL_TIERS), late, SMALL_TIERS)) == plain(once)
    assert plain(compact(once, late, SMALL_TIERS)) == plain(once)
    assert plain(compact(cells[::-1], late, SMALL_TIERS)) == plain(once)


@given(cell_lists, st.integers(0, 600), st.integers(0, 600))
def test_a_step_back_deletes_nothing_from_history(cells: list[Cell], now: int, back: int) -> None:
    """What was kept at some time is kept, count for count, when the clock shows an earlier one."""
    kept = compact(cells, now, SMALL_TIERS)
    again = compact(kept, now - back, SMALL_TIERS)

    assert sum(int(one.counts[0]) for one in again) == sum(int(one.counts[0]) for one in kept)


@given(cell_lists, st.integers(300, 10**9))
def test_a_leap_ahead_of_the_counts_deletes_nothing(cells: list[Cell], now: int) -> None:
    """A clock that is years ahead of the newest cell makes nothing older than that cell does."""
    newest = max((one.end for one in cells), default=0)

    assert plain(compact(cells, newest + now, SMALL_TIERS)) == plain(
        compact(cells, newest, SMALL_TIERS)
    )


@given(cell_lists, st.integers(0, 600))
def test_cells_are_ordered_and_do_not_share_a_unit(cells: list[Cell], now: int) -> None:
    """History comes oldest first, and no two cells begin in the same finest unit."""
    kept = compact(cells, now, SMALL_TIERS)

    assert all(one.start // 2 < two.start // 2 for one, two in pairwise(kept))


def test_minutes_become_hours_and_days_and_end() -> None:
    """Five hundred days with three cells in each of three hours leave a bounded history."""
    days = 500
    starts = [
        NOW - day * DAY_SECONDS - hour * HOUR_SECONDS - second
        for day in range(days)
        for hour in (0, 3, 12)
        for second in (30, 60, 90)
    ]
    kept = compact([cell(start, 30) for start in starts], NOW)
    seconds = [one.end - one.start for one in kept]

    assert len(kept) < 500
    assert max(seconds) <= DAY_SECONDS
    assert kept[-1].end == NOW
    assert 400 * DAY_SECONDS <= NOW - kept[0].start <= 401 * DAY_SECONDS
    assert {int(one.counts[0]) for one in kept} >= {1, 9}


def test_the_present_is_kept_in_minutes() -> None:
    """Cells of one minute are joined at once, however many sub-windows closed in it."""
    start = NOW // 60 * 60
    kept = compact([cell(start + second, 1) for second in range(90)], start + 90)

    assert plain(kept) == [(start, start + 60, [60]), (start + 60, start + 90, [30])]


def test_nothing_compacts_to_nothing() -> None:
    """A model without any history has none afterwards either."""
    assert compact([], NOW) == []


@pytest.mark.parametrize(
    "tiers",
    [(Tier(60, 100), Tier(90, 200)), (Tier(60, 100), Tier(120, 100))],
    ids=["no multiple", "kept no longer"],
)
def test_tiers_follow_each_other(tiers: tuple[Tier, ...]) -> None:
    """Cells that do not fit into coarser ones could not be joined without counting some twice."""
    with pytest.raises(ValueError, match="does not follow"):
        compact([], NOW, tiers)

    assert compact([], NOW, TIERS) == []


@pytest.mark.parametrize("count", [1, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**62, -1])
def test_counts_of_any_size_are_held_exactly(count: int) -> None:
    """However few bytes a sub-window is held in, its counts come and go unchanged."""
    ring = Ring(2, NOW, BY_HAND, (1, 2))
    for counts in [(count, 0), (0, 1), (0, 0)]:
        ring.push(cell(NOW, 1, *counts))
        assert ring.cells()[-1].counts.tolist() == list(counts)
        assert ring.cells()[-1].counts.dtype == np.int64

    assert ring.window(2).counts.tolist() == [0, 1]
    assert ring.window(1).counts.tolist() == [0, 0]


def test_a_ring_tells_its_memory() -> None:
    """Small counts take two bytes each; there are no more sub-windows than the longest window."""
    ring = Ring(100, NOW, BY_HAND, (1, 8))
    empty = ring.held_bytes
    for _ in range(50):
        ring.close(NOW)

    assert empty == 100 * 8 * 3
    assert ring.held_bytes == empty + 100 * 2 * 8
