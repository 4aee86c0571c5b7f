"""Counts by time in the store: sub-windows as they were closed, and a history that grows coarser.

Decides how counts are written: exactly, as 64-bit integers, compressed, with a checksum over them
and all that says whose and when they are. A cell that a bad disk has changed is left out, never
taken for counts. Does not know what the counts are of.

Concurrency: the store's thread.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from sqlalchemy import Connection, Row, delete, select, tuple_, update
from sqlalchemy.dialects.sqlite import insert

from server.statistics.window import WINDOW_LENGTHS, Cell, Counts, compact
from server.store.keys import Subject
from server.store.schema import CELL, SUBJECT

KEPT_SINGLE = max(WINDOW_LENGTHS)
"""The newest cells of a subject stay as they were closed: after a restart they fill its windows."""

_FASTEST = 1
_COUNTS = np.dtype("<i8")
_TIMES = np.dtype("<f8")
_KEY = (CELL.c.start_seconds, CELL.c.end_seconds, CELL.c.ordinal)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Placed:
    """A cell and where it lies among others of the same time."""

    cell: Cell
    ordinal: int


def save_cells(
    connection: Connection, subject: Subject, cells: Sequence[Cell], open_cell: Cell | None
) -> None:
    """Save cells that were closed since the last save, and the open one as it is now.

    Saving again what may have been saved before changes nothing. The open cell takes the place of
    the open cell before. Cells that begin and end at the same moments come in one call.
    """
    number = _subject_id(connection, subject)
    connection.execute(delete(CELL).where(CELL.c.subject_id == number, CELL.c.is_open))
    opened = [] if open_cell is None else [open_cell]
    placed = _placed([*cells, *opened])
    rows = [_row(number, subject, one, is_open=one.cell is open_cell) for one in placed]
    _insert(connection, rows)


def close_open_cells(connection: Connection) -> int:
    """Take the cells that an earlier process left open as closed; return how many there were.

    To be called once, at the start: the first save would otherwise replace them.
    """
    closing = update(CELL).where(CELL.c.is_open).values(is_open=False)
    return connection.execute(closing).rowcount


def load_cells(connection: Connection, subject: Subject, since: float) -> list[Cell]:
    """Return the cells that end at `since` or later, oldest first, the open one last."""
    query = (
        select(CELL)
        .join(SUBJECT)
        .where(*_is(subject), CELL.c.end_seconds >= since)
        .order_by(CELL.c.is_open, *_KEY)
    )
    found = [_cell(subject, row) for row in connection.execute(query)]
    return [cell for cell in found if cell is not None]


def load_subjects(connection: Connection) -> set[Subject]:
    """Return whose cells there are."""
    query = select(SUBJECT.c.model, SUBJECT.c.version, SUBJECT.c.profile_hash)
    return {Subject(*row) for row in connection.execute(query)}


def compact_history(connection: Connection, subject: Subject, now: float) -> int:
    """Join cells of a subject that are old, drop those that are too old; return how many fewer.

    The newest KEPT_SINGLE cells and the open one stay as they are.
    """
    number = connection.execute(select(SUBJECT.c.id).where(*_is(subject))).scalar()
    query = (
        select(CELL).where(CELL.c.subject_id == number, CELL.c.is_open.is_(False)).order_by(*_KEY)
    )
    rows = connection.execute(query).all()[:-KEPT_SINGLE]
    cells = [_cell(subject, row) for row in rows]
    before = [cell for cell in cells if cell is not None]
    after = compact(before, now)
    unchanged = {id(cell) for cell in after} & {id(cell) for cell in before}
    old = [
        (row.start_seconds, row.end_seconds, row.ordinal)
        for row, cell in zip(rows, cells, strict=True)
        if id(cell) not in unchanged
    ]
    new = _placed(cell for cell in after if id(cell) not in unchanged)
    for start in range(0, len(old), _KEYS_AT_ONCE):
        some = old[start : start + _KEYS_AT_ONCE]
        connection.execute(delete(CELL).where(CELL.c.subject_id == number, tuple_(*_KEY).in_(some)))
    if number is not None:
        _insert(connection, [_row(number, subject, one, is_open=False) for one in new])
    return len(old) - len(new)


def forget(connection: Connection, keep: AbstractSet[Subject]) -> int:
    """Delete the cells of all subjects but `keep`; return how many subjects are gone."""
    gone = load_subjects(connection) - keep
    for subject in gone:
        connection.execute(delete(SUBJECT).where(*_is(subject)))
    return len(gone)


_KEYS_AT_ONCE = 300
"""SQLite takes a limited number of parameters in one statement."""


def _is(subject: Subject) -> tuple[Any, ...]:
    return (
        SUBJECT.c.model == subject.model,
        SUBJECT.c.version == subject.version,
        SUBJECT.c.profile_hash == subject.profile_hash,
    )


def _subject_id(connection: Connection, subject: Subject) -> int:
    """Return the number of a subject, which is given one if it is new."""
    query = select(SUBJECT.c.id).where(*_is(subject))
    number = connection.execute(query).scalar()
    if number is None:
        values = {
            "model": subject.model,
            "version": subject.version,
            "profile_hash": subject.profile_hash,
        }
        connection.execute(insert(SUBJECT).values(values))
        number = connection.execute(query).scalar_one()
    return int(number)


def _placed(cells: Iterable[Cell]) -> list[_Placed]:
    seen: Counter[tuple[float, float]] = Counter()
    placed = []
    for cell in cells:
        times = (cell.start, cell.end)
        placed.append(_Placed(cell, seen[times]))
        seen[times] += 1
    return placed


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows, over what has their keys."""
    if rows:
        statement = insert(CELL)
        new = {name: statement.excluded[name] for name in ("is_open", "counts", "checksum")}
        connection.execute(
            statement.on_conflict_do_update(index_elements=CELL.primary_key, set_=new), rows
        )


def _row(number: int, subject: Subject, placed: _Placed, *, is_open: bool) -> dict[str, Any]:
    cell = placed.cell
    counts = zlib.compress(cell.counts.astype(_COUNTS).tobytes(), _FASTEST)
    return {
        "subject_id": number,
        "start_seconds": cell.start,
        "end_seconds": cell.end,
        "ordinal": placed.ordinal,
        "is_open": is_open,
        "counts": counts,
        "checksum": _checksum(subject, cell.start, cell.end, counts),
    }


def _cell(subject: Subject, row: Row[Any]) -> Cell | None:
    """Return the cell of a row; None, and a line in the log, if it is not what was saved."""
    start, end, counts = row.start_seconds, row.end_seconds, row.counts
    kinds = (type(start), type(end), type(counts))
    if kinds == (float, float, bytes) and row.checksum == _checksum(subject, start, end, counts):
        vector: Counts = np.frombuffer(zlib.decompress(counts), _COUNTS).astype(np.int64)
        return Cell(start, end, vector)
    log.error("cell_damaged", model=subject.model, version=subject.version, start=start)
    return None


def _checksum(subject: Subject, start: float, end: float, counts: bytes) -> int:
    """Return CRC-32 of counts and of all that says whose and when they are."""
    words = "\0".join((subject.model, subject.version, subject.profile_hash))
    head = words.encode() + np.array([start, end], _TIMES).tobytes()
    return zlib.crc32(counts, zlib.crc32(head))
