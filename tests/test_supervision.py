"""When a child is started again, and when one counts as stuck. No clock: times are numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.supervision import (
    BACK_OFF_SECONDS,
    FORGIVEN_AFTER_SECONDS,
    START_SECONDS,
    is_excused,
    is_stuck,
    restart_at,
)


def test_the_first_end_is_answered_at_once() -> None:
    """A crash costs no more than the start of a process."""
    assert restart_at([100.0], 100.0) == 100.0


@pytest.mark.parametrize(
    ("count", "wait"), [(1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (8, 30), (99, 30)]
)
def test_ends_in_a_row_are_answered_ever_later(count: int, wait: float) -> None:
    """A child that cannot start does not keep a core busy; half a minute is the longest wait."""
    ends = [float(number) for number in range(count)]

    assert restart_at(ends, ends[-1]) == ends[-1] + wait


def test_a_child_that_ran_for_long_has_a_clean_slate() -> None:
    """Ends before that are forgiven, at the limit not yet."""
    crashes = [0.0, 1.0, 2.0]
    later = 2.0 + FORGIVEN_AFTER_SECONDS

    assert restart_at([*crashes, later], later) == later + BACK_OFF_SECONDS[3]
    assert restart_at([*crashes, later + 0.1], later + 0.1) == later + 0.1


def test_only_ends_since_the_last_long_run_count() -> None:
    """A gap in the middle cuts off what lies before it."""
    ends = [0.0, 1.0, 2.0, 500.0, 501.0]

    assert restart_at(ends, 501.0) == 501.0 + BACK_OFF_SECONDS[1]


def test_slow_crashes_in_a_row_still_count_as_a_row() -> None:
    """Each is measured against the next one, not against now."""
    ends = [0.0, 50.0, 100.0, 150.0]

    assert restart_at(ends, 150.0) == 150.0 + BACK_OFF_SECONDS[3]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20).map(sorted))
def test_a_restart_is_never_before_the_end_nor_later_than_the_longest_wait(
    ends: list[float],
) -> None:
    """Whatever has happened before."""
    assert ends[-1] <= restart_at(ends, ends[-1]) <= ends[-1] + max(BACK_OFF_SECONDS)


def test_a_worker_that_a_version_kills_starts_at_once_while_that_is_counted() -> None:
    """Where no number of faults is too many, nothing else bounds how often it happens."""
    assert is_excused(was_serving=True, max_version_faults=1)
    assert not is_excused(was_serving=True, max_version_faults=0)
    assert not is_excused(was_serving=False, max_version_faults=3)


@pytest.mark.parametrize(
    ("last_beat", "now", "expected"),
    [(100.0, 130.0, False), (100.0, 130.1, True), (0.0, 1e6, True)],
)
def test_a_loop_that_does_not_turn_is_stuck(last_beat: float, now: float, expected: bool) -> None:
    """The limit itself is not over the limit."""
    assert is_stuck(50.0, last_beat, 30.0, now) is expected


@pytest.mark.parametrize("last_beat", [100.0, None], ids=["beating", "starting"])
def test_a_child_that_was_not_let_run_is_not_stuck(last_beat: float | None) -> None:
    """What the machine gave to others is not its silence; what it had for itself still is."""
    limit = max(START_SECONDS, 30.0) if last_beat is None else 30.0

    assert is_stuck(100.0, last_beat, 30.0, 1000.0, 900.0 - limit - 0.1)
    assert not is_stuck(100.0, last_beat, 30.0, 1000.0, 900.0 - limit)


def test_a_starting_child_has_time_for_its_first_heartbeat() -> None:
    """Imports and models take longer than a turn of a loop; a long limit counts here as well."""
    assert not is_stuck(0.0, None, 1.0, START_SECONDS)
    assert is_stuck(0.0, None, 1.0, START_SECONDS + 0.1)
    assert not is_stuck(0.0, None, 500.0, 499.0)
    assert is_stuck(0.0, None, 500.0, 500.1)
