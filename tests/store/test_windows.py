"""Counts in the store: exact, saved once however often, and never taken from a damaged row."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, update

from server.statistics.window import Cell, compact
from server.store.keys import Subject
from server.store.schema import CELL, SUBJECT
from server.store.windows import (
    KEPT_SINGLE,
    close_open_cells,
    compact_history,
    forget,
    load_cells,
    load_subjects,
    save_cells,
)
from tests.support.stores import in_memory

SUBJECT_A = Subject("m", "1", "aa")
SUBJECT_B = Subject("m", "2", "bb")
Plain = list[tuple[float, float, list[int]]]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A store in memory, in a transaction."""
    with in_memory() as opened:
        yield opened


def cell(start: float, end: float, *counts: int) -> Cell:
    """Return a cell of counts, a single 1 if none are given."""
    return Cell(start, end, np.array(counts or (1,), np.int64))


def plain(cells: list[Cell]) -> Plain:
    """Return cells as a value that compares."""
    return [(one.start, one.end, one.counts.tolist()) for one in cells]


def loaded(connection: Connection, subject: Subject = SUBJECT_A, since: float = 0.0) -> Plain:
    """Return all cells of a subject as a value."""
    return plain(load_cells(connection, subject, since))


times = st.floats(0, 2e9) | st.integers(0, 3).map(float)
any_counts = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8)
any_cells = st.lists(
    st.builds(lambda start, end, counts: cell(start, end, *counts), times, times, any_counts),
    max_size=12,
)


@settings(max_examples=60)
@given(cells=any_cells, has_open=st.booleans(), times_saved=st.integers(1, 3))
def test_what_is_saved_is_loaded_to_the_last_bit(
    cells: list[Cell], has_open: bool, times_saved: int
) -> None:
    """For all counts and times, also equal ones, saved once or again: each comes back once."""
    closed, opened = (cells[:-1], cells[-1]) if has_open and cells else (cells, None)
    with in_memory() as connection:
        for _ in range(times_saved):
            save_cells(connection, SUBJECT_A, closed, opened)
        found = loaded(connection)

    assert sorted(found[: len(closed)]) == sorted(plain(closed))
    assert found[len(closed) :] == ([] if opened is None else plain([opened]))
    ends = [(start, end) for start, end, _ in found[: len(closed)]]
    assert ends == sorted(ends)


def test_the_open_cell_is_replaced_by_the_next_one(connection: Connection) -> None:
    """Each flush writes what is open so far; in the end it is there once, as it was closed."""
    save_cells(connection, SUBJECT_A, [], cell(10, 11, 5))
    save_cells(connection, SUBJECT_A, [], cell(10, 12, 7))
    assert loaded(connection) == [(10, 12, [7])]

    save_cells(connection, SUBJECT_A, [cell(10, 13, 9)], cell(13, 13, 0))
    assert loaded(connection) == [(10, 13, [9]), (13, 13, [0])]

    save_cells(connection, SUBJECT_A, [cell(13, 14, 2)], None)
    assert loaded(connection) == [(10, 13, [9]), (13, 14, [2])]


def test_what_an_earlier_process_left_open_is_kept(connection: Connection) -> None:
    """After a kill the cell that was open counts as closed, and later saves leave it alone."""
    save_cells(connection, SUBJECT_A, [cell(0, 10, 3)], cell(10, 14, 5))

    assert close_open_cells(connection) == 1
    assert close_open_cells(connection) == 0
    save_cells(connection, SUBJECT_A, [], cell(20, 21, 1))

    assert loaded(connection) == [(0, 10, [3]), (10, 14, [5]), (20, 21, [1])]


def test_subjects_do_not_mix(connection: Connection) -> None:
    """Each version and profile has its own cells, with its own open one."""
    save_cells(connection, SUBJECT_A, [cell(0, 1, 1)], cell(1, 2, 10))
    save_cells(connection, SUBJECT_B, [cell(0, 1, 2, 2)], cell(1, 2, 20, 20))

    assert loaded(connection) == [(0, 1, [1]), (1, 2, [10])]
    assert loaded(connection, SUBJECT_B) == [(0, 1, [2, 2]), (1, 2, [20, 20])]
    assert loaded(connection, Subject("m", "1", "other profile")) == []
    assert load_subjects(connection) == {SUBJECT_A, SUBJECT_B}


def test_only_what_is_recent_is_loaded_if_asked_so(connection: Connection) -> None:
    """A cell counts as recent if it ended at the moment asked for, or later."""
    save_cells(connection, SUBJECT_A, [cell(0, 10), cell(10, 20), cell(20, 30)], cell(30, 35))

    assert [start for start, _, _ in loaded(connection, since=20)] == [10, 20, 30]
    assert [start for start, _, _ in loaded(connection, since=20.1)] == [20, 30]


def test_forgetting_takes_all_but_what_is_kept(connection: Connection) -> None:
    """The cells of a model that is gone go with it."""
    save_cells(connection, SUBJECT_A, [cell(0, 1)], cell(1, 2))
    save_cells(connection, SUBJECT_B, [cell(0, 1)], None)

    assert forget(connection, {SUBJECT_B, Subject("x", "1", "never seen")}) == 1
    assert load_subjects(connection) == {SUBJECT_B}
    assert loaded(connection) == []
    assert len(loaded(connection, SUBJECT_B)) == 1
    assert forget(connection, set()) == 1
    assert connection.execute(CELL.select()).all() == []


@settings(max_examples=30)
@given(
    starts=st.lists(st.integers(0, 60 * 86400), max_size=200),
    ages=st.lists(st.integers(0, 90 * 86400), min_size=1, max_size=3),
)
def test_history_is_compacted_as_the_statistics_say(starts: list[int], ages: list[int]) -> None:
    """For all histories, however often: old cells are joined, the newest and the open one stay."""
    cells = [cell(start, start + 30, position) for position, start in enumerate(sorted(starts))]
    opened = cell(60 * 86400, 60 * 86400 + 5, 9)
    with in_memory() as connection:
        save_cells(connection, SUBJECT_A, cells, opened)
        expected = load_cells(connection, SUBJECT_A, 0)[:-1]
        for now in sorted(ages):
            fewer = compact_history(connection, SUBJECT_A, now)
            old, newest = expected[:-KEPT_SINGLE], expected[-KEPT_SINGLE:]
            after = [*compact(old, now), *newest]
            assert fewer == len(expected) - len(after)
            expected = after
            assert loaded(connection) == [*sorted(plain(expected)), *plain([opened])]


def test_compacting_one_subject_leaves_others_alone(connection: Connection) -> None:
    """Cells of the same times are joined where they are old, and stay where they are the newest."""
    same = [cell(0, 20, 1), cell(20, 40, 2)]
    newest = [cell(100 + number, 101 + number) for number in range(KEPT_SINGLE)]
    save_cells(connection, SUBJECT_A, [*same, *newest], None)
    save_cells(connection, SUBJECT_B, same, None)

    assert compact_history(connection, SUBJECT_A, 200) == 1
    assert compact_history(connection, SUBJECT_B, 200) == 0
    assert compact_history(connection, Subject("m", "3", "gone"), 200) == 0
    assert load_subjects(connection) == {SUBJECT_A, SUBJECT_B}
    assert loaded(connection)[0] == (0, 40, [3])
    assert loaded(connection, SUBJECT_B) == [(0, 20, [1]), (20, 40, [2])]


def test_compacting_keeps_every_count(connection: Connection) -> None:
    """A day of minutes becomes hours, and nothing is lost or counted twice."""
    minutes = [cell(60.0 * minute, 60.0 * minute + 60, 1, minute) for minute in range(1440)]
    save_cells(connection, SUBJECT_A, minutes, None)
    now = 86400 + 6 * 3600.0

    assert compact_history(connection, SUBJECT_A, now) > 900
    assert compact_history(connection, SUBJECT_A, now) == 0
    found = loaded(connection)
    assert sum(counts[0] for _, _, counts in found) == 1440
    assert sum(counts[1] for _, _, counts in found) == sum(range(1440))


@pytest.mark.parametrize(
    "change",
    [
        {"counts": b"nonsense"},
        {"counts": b""},
        {"counts": "text"},
        {"checksum": 1},
        {"start_seconds": 0.5},
        {"end_seconds": 7.0},
        {"end_seconds": "late"},
    ],
    ids=str,
)
def test_a_damaged_cell_is_left_out(connection: Connection, change: dict[str, object]) -> None:
    """Counts, times or checksum changed on disk: the others are read, that one is not."""
    save_cells(connection, SUBJECT_A, [cell(0, 1, 4), cell(1, 2, 5)], None)
    assignments = ", ".join(f"{name} = :{name}" for name in change)
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(f"UPDATE cell SET {assignments} WHERE start_seconds = 0", change)

    assert loaded(connection) == [(1, 2, [5])]


def test_counts_of_a_damaged_name_are_nobodys(connection: Connection) -> None:
    """A version whose name a flipped bit has changed does not get another's counts."""
    save_cells(connection, SUBJECT_A, [cell(0, 1, 4)], None)
    connection.execute(update(SUBJECT).values(version="3"))

    assert loaded(connection) == []
    assert loaded(connection, Subject("m", "3", "aa")) == []


def test_compacting_throws_damaged_cells_away(connection: Connection) -> None:
    """What cannot be read is not joined, and does not stay for ever."""
    save_cells(connection, SUBJECT_A, [cell(i, i + 1, 1) for i in range(KEPT_SINGLE + 3)], None)
    connection.execute(update(CELL).where(CELL.c.start_seconds == 1).values(checksum=0))

    assert compact_history(connection, SUBJECT_A, 100) == 2
    assert sum(counts[0] for _, _, counts in loaded(connection)) == KEPT_SINGLE + 2
    assert len(connection.execute(CELL.select()).all()) == KEPT_SINGLE + 1
