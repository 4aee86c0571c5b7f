"""One file of SQLite as a file: where it lies, how it is opened, whether it is sound, put aside.

Decides the settings of a connection, what counts as damage, and what a damaged file is renamed to.
Knows nothing of tables but the one that tells the revision of the schema, and nothing of
SQLAlchemy: `tidegate doctor` looks at the file without it.

Write-ahead log, one connection for writing in one process: SQLite before 3.51.3 can corrupt its
log when two connections write at once, and the lock of the state directory keeps others away.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE_NAME = "tidegate.db"
MAX_SET_ASIDE = 3
_BESIDE = ("-wal", "-shm")
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FIXES = {
    sqlite3.SQLITE_BUSY: "end whatever other program has the file open for writing",
    sqlite3.SQLITE_LOCKED: "end whatever other program has the file open for writing",
    sqlite3.SQLITE_FULL: "free some space on the disk of the state directory",
    sqlite3.SQLITE_IOERR: "see whether the disk of the state directory is full or fails",
    sqlite3.SQLITE_READONLY: "let the gateway's user write the state directory and its files",
    sqlite3.SQLITE_CANTOPEN: "let the gateway's user write the state directory and its files",
    sqlite3.SQLITE_PERM: "let the gateway's user write the state directory and its files",
}
"""What would help, by the primary code of an error."""


class Damaged(Exception):
    """The file is no sound database."""


@dataclass(frozen=True, slots=True)
class Look:
    """What can be said of a file without changing it."""

    revision: str | None
    """Of its schema; None if it has none yet."""
    size_bytes: int


def connect(path: Path, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open a file for reading and writing, in this thread; make it if it is not there.

    Transactions are begun by whoever uses the connection. A commit survives the end of the
    process, but a power cut only with `synchronous` set to FULL.

    Raises:
        sqlite3.Error: it cannot be opened.
        Damaged: it can, and is not sound.

    """
    connection = sqlite3.connect(path, timeout=busy_timeout_seconds, isolation_level=None)
    # One damaged text must not make all rows unreadable.
    connection.text_factory = lambda content: content.decode("utf-8", "replace")
    try:
        for pragma in ("cell_size_check = ON", "foreign_keys = ON", "journal_mode = WAL"):
            connection.execute(f"PRAGMA {pragma}")
        set_durable(connection, is_durable=False)
        _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def set_durable(connection: sqlite3.Connection, *, is_durable: bool) -> None:
    """Say whether the commits that follow wait for the disk; not within a transaction."""
    connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")


def _check(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise Damaged(str(found))


def revision(connection: sqlite3.Connection) -> str | None:
    """Return the revision of the schema, None for a file without tables.

    Raises:
        Damaged: there are tables and no revision, so they are not ours.

    """
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if not tables:
        return None
    rows = (
        connection.execute("SELECT version_num FROM alembic_version").fetchall()
        if "alembic_version" in tables
        else []
    )
    if len(rows) != 1:
        raise Damaged("its tables have no revision")
    return str(rows[0][0])


def is_damage(error: BaseException | None) -> bool:
    """Say whether an error means that the file's content is not sound."""
    code = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, Damaged) or code & 0xFF in _DAMAGE


def fix_of(error: BaseException) -> str:
    """Say what would help against an error of SQLite, nothing if that is not known."""
    return _FIXES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one at the same path; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def size_bytes(path: Path) -> int:
    """Return how much disk a file and its log take, 0 if they are not there."""
    total = 0
    for part in (path, *_beside(path)):
        with contextlib.suppress(OSError):
            total += part.stat().st_size
    return total


def set_aside(path: Path) -> Path:
    """Rename a damaged file and its log, so that a new one can be made; return its new path.

    The last MAX_SET_ASIDE are kept.

    Raises:
        OSError: it cannot be renamed.

    """
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = path.with_name(f"{path.name}.damaged-{moment}")
    # The log goes first: one that stayed behind would be taken for that of the new file.
    for part in _beside(path):
        with contextlib.suppress(FileNotFoundError):
            os.replace(part, target.with_name(target.name + part.name.removeprefix(path.name)))
    os.replace(path, target)
    for old in sorted(path.parent.glob(f"{path.name}.damaged-*Z"))[:-MAX_SET_ASIDE]:
        for part in (old, *_beside(old)):
            part.unlink(missing_ok=True)
    return target


def remove_log(path: Path) -> None:
    """Remove the log of a file that is not at `path` any more.

    SQLite leaves it there, and would take it for that of the file that is at `path` now.
    """
    for part in _beside(path):
        with contextlib.suppress(OSError):
            part.unlink()


def look(path: Path) -> Look | None:
    """Look at a file that a gateway may be using; None if there is none. Nothing is changed.

    Raises:
        OSError: its folder cannot be looked into.
        sqlite3.Error: it cannot be read.
        Damaged: it is not sound.

    """
    if not path.exists():
        return None
    with _reading(path) as connection:
        _check(connection)
        return Look(revision(connection), size_bytes(path))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file for reading only. Without a log nobody has it open, and no lock is needed."""
    wal, _ = _beside(path)
    mode = "mode=ro" if wal.exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in _BESIDE]
