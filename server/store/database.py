"""The store: one SQLite file, one thread, one transaction after another.

Decides how many transactions may wait, and what is known of the store's health. What a fault of
the file leads to is in `transactions.py`, what is written in `windows.py`, `alerts.py` and
`outbox.py`. These import SQLAlchemy, which takes a third of a second: import them in the function
that runs on the thread, so that control serves first. The file is opened by the first transaction.

Concurrency: the event loop calls `run` and reads `health`; the file, and whatever `work` is given,
belong to the thread.
Lifetime: that of control. What was committed is there after `kill -9`; after a power cut, what was
committed with `is_durable`, and the rest up to some moment before.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import structlog

from server.operator_errors import StoreUnavailable
from server.store import sqlite_file

if TYPE_CHECKING:
    from sqlalchemy import Connection as Connection  # For those who write `work`.

    from server.store.transactions import Transactions

T = TypeVar("T")

BUSY_TIMEOUT_SECONDS = 5.0
MAX_PENDING = 64

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Health:
    """What an operator should see of the store."""

    is_writable: bool = True
    """Whether the last transaction that had something to write has written it; True before one."""
    last_error: str = ""
    """Why it is not writable; empty if it is."""
    last_write_seconds: float = 0.0
    """When something was last written, in seconds since 1970; 0 before that."""
    failures: int = 0
    """Transactions that failed."""
    set_aside: int = 0
    """Damaged files that were put aside."""
    size_bytes: int = 0
    """Of the file and its log."""
    pending: int = 0
    """Transactions that wait or run."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of one transaction."""

    result: object
    error: Exception | None
    has_written: bool
    set_aside: int
    size_bytes: int


class Store:
    """The store of one state directory."""

    def __init__(
        self, state_dir: Path, *, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS
    ) -> None:
        self._path = state_dir / sqlite_file.FILE_NAME
        self._busy_timeout_seconds = busy_timeout_seconds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._transactions: Transactions | None = None  # The thread's.
        self._health = Health()
        self._pending = 0
        self._is_closed = False

    @property
    def health(self) -> Health:
        """How the store is now."""
        return replace(self._health, pending=self._pending)

    async def run(self, work: "Callable[[Connection], T]", *, is_durable: bool = False) -> T:
        """Run `work` on the store's thread, in one transaction, and return what it returns.

        All that it writes is committed, or nothing if it or the store fails. It may run twice, if
        the file proves damaged and a new one is made. With `is_durable`, the commit survives a
        power cut too.

        Raises:
            StoreUnavailable: the file cannot be used now, or too much waits for it.

        """
        if self._is_closed:
            raise StoreUnavailable("the store cannot be used: it is closed")
        if self._pending >= MAX_PENDING:
            raise StoreUnavailable(f"the store cannot be used: {MAX_PENDING} transactions wait")
        self._pending += 1
        try:
            done = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._transact, work, is_durable
            )
        finally:
            self._pending -= 1
        self._note(done)
        if done.error is not None:
            raise done.error
        return cast("T", done.result)

    async def probe(self) -> None:
        """Write something that is there already, to learn whether writing works.

        Raises:
            StoreUnavailable: it does not.

        """
        statement = "UPDATE alembic_version SET version_num = version_num"
        await self.run(lambda connection: connection.exec_driver_sql(statement))

    async def close(self) -> None:
        """Finish what waits, and close the file."""
        self._is_closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    # On the thread.

    def _transact(self, work: "Callable[[Connection], T]", is_durable: bool) -> _Done:
        if self._transactions is None:
            from server.store.transactions import Transactions

            self._transactions = Transactions(self._path, self._busy_timeout_seconds)
        transactions, result, error = self._transactions, None, None
        try:
            result = transactions.run(work, is_durable=is_durable)
        except Exception as raised:  # noqa: BLE001 - the loop raises it, with what else is known
            error = raised
        return _Done(
            result,
            error,
            has_written=error is None and transactions.has_written,
            set_aside=transactions.set_aside,
            size_bytes=sqlite_file.size_bytes(self._path),
        )

    def _close(self) -> None:
        if self._transactions is not None:
            self._transactions.close()

    # On the loop.

    def _note(self, done: _Done) -> None:
        """Keep what a transaction showed of the store; an error of `work` itself shows nothing."""
        health = replace(self._health, set_aside=done.set_aside, size_bytes=done.size_bytes)
        if isinstance(done.error, StoreUnavailable):
            words = str(done.error)
            if words != health.last_error:
                log.error("store_unavailable", error=words, path=str(self._path))
            failures = health.failures + 1
            health = replace(health, is_writable=False, last_error=words, failures=failures)
        elif done.has_written:
            if not health.is_writable:
                log.info("store_writable_again", path=str(self._path))
            now = time.time()
            health = replace(health, is_writable=True, last_error="", last_write_seconds=now)
        self._health = health
