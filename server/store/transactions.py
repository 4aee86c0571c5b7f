"""The store on its own thread: opens the file, runs transactions, opens it anew after a fault.

Decides what each fault leads to. A damaged file is put aside and a new one made at once; a file
that has been removed or replaced is opened anew; a full disk, a lock held by another process or a
folder that cannot be written fail this transaction, and the next one tries again from the start.

Concurrency: one thread; SQLite's connection belongs to it.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.pool import NullPool

from server.operator_errors import StoreUnavailable
from server.store import migrating, sqlite_file
from server.store.sqlite_file import Damaged

T = TypeVar("T")

log = structlog.get_logger()


class Transactions:
    """One file and the connection to it, which is made when it is needed."""

    def __init__(self, path: Path, busy_timeout_seconds: float) -> None:
        self.has_written = False
        """Whether the last transaction changed anything."""
        self.set_aside = 0
        """How many damaged files were put aside."""
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._connection: Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._is_durable = False

    def run(self, work: Callable[[Connection], T], *, is_durable: bool) -> T:
        """Run `work` in one transaction; all of it is done, or nothing.

        If the file proves damaged, `work` runs a second time, on a new one.

        Raises:
            StoreUnavailable: the file cannot be used now.

        """
        try:
            try:
                return self._attempt(work, is_durable=is_durable)
            except (DBAPIError, sqlite3.Error, Damaged) as error:
                if not sqlite_file.is_damage(_cause(error)):
                    raise
                self._put_aside(str(_cause(error)))
                return self._attempt(work, is_durable=is_durable)
        except (IntegrityError, ProgrammingError):
            raise  # The caller's mistake, not the file's.
        except (DBAPIError, sqlite3.Error, Damaged, OSError) as error:
            self.close()
            cause = _cause(error)
            words = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
            fix = sqlite_file.fix_of(cause)
            raise StoreUnavailable(
                f"the store cannot be used: {words}" + (f"; {fix}" if fix else "")
            ) from error
        except StoreUnavailable:
            self.close()
            raise

    def close(self) -> None:
        """Close the file, as far as that is possible; the next transaction opens it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except (DBAPIError, sqlite3.Error) as error:
                log.warning("store_not_closed", error=str(_cause(error)))

    def _attempt(self, work: Callable[[Connection], T], *, is_durable: bool) -> T:
        self.has_written = False
        connection = self._usable()
        driver = _driver(connection)
        if is_durable != self._is_durable:
            sqlite_file.set_durable(driver, is_durable=is_durable)
            self._is_durable = is_durable
        before = driver.total_changes
        with connection.begin():
            result = work(connection)
        self.has_written = driver.total_changes != before
        return result

    def _usable(self) -> Connection:
        """Return a connection to the file that is at the path now."""
        if self._connection is not None:
            if sqlite_file.identity(self._path) == self._identity:
                return self._connection
            # SQLite would go on writing, into a file that nobody can find any more.
            log.error("store_gone", path=str(self._path))
            self.close()
            sqlite_file.remove_log(self._path)
        self._connection = self._open()
        before, self._identity = self._identity, sqlite_file.identity(self._path)
        if before != self._identity:  # After a fault it is mostly the same file again.
            log.info("store_opened", path=str(self._path))
        self._is_durable = False
        return self._connection

    def _open(self) -> Connection:
        # A connection of our own making, which no pool may hand to another thread.
        engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite_file.connect(self._path, self._busy_timeout_seconds),
            poolclass=NullPool,
        )
        event.listen(engine, "begin", _begin)
        connection = engine.connect()
        try:
            revision = sqlite_file.revision(_driver(connection))
            migrating.bring_up(connection, revision, self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _put_aside(self, problem: str) -> None:
        self.close()
        target = sqlite_file.set_aside(self._path)
        self.set_aside += 1
        log.error("store_damaged", problem=problem, moved_to=str(target))


def _begin(connection: Connection) -> None:
    """Take the lock for writing at once: a transaction that has begun is not refused later."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _cause(error: BaseException) -> BaseException:
    """Return SQLite's own error, which SQLAlchemy wraps."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error
