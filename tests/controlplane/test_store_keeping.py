"""The store does not grow for ever, and a round that fails is followed by the next."""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from sqlalchemy import Connection, select

from server.controlplane import store_keeping
from server.operator_errors import StoreUnavailable
from server.statistics.sequential import Alert
from server.statistics.window import DAY_SECONDS, Cell
from server.store import alerts, idempotency, outbox, windows
from server.store.database import Health, Store
from server.store.idempotency import Kept
from server.store.keys import AlertKey, IdempotencyKey, Subject
from server.store.schema import IDEMPOTENCY

SUBJECT = Subject("m", "1", "hash")
KEY = AlertKey("m", "1", "drift", "age")


def old_and_new(connection: Connection) -> None:
    """Fill a store with what is old enough to be joined or dropped, and with what is not."""
    now = time.time()
    minutes = [now - 60 * number for number in range(2000, 0, -1)]
    cells = [Cell(start, start + 60, np.ones(3, np.int64)) for start in minutes]
    windows.save_cells(connection, SUBJECT, cells, None)
    for days in (401, 399):
        at = now - days * DAY_SECONDS
        alerts.append_log(connection, KEY, (Alert.INACTIVE, Alert.PENDING), {}, at)
    for days in (31, 29):
        at = now - days * DAY_SECONDS
        outbox.put(connection, f"e{days}", f"k{days}", b"", at)
        outbox.done(connection, f"e{days}")
    outbox.settle(connection, "k", set())
    for hours in (25, 23):
        key = IdempotencyKey(f"i{hours}", "m", "hash")
        idempotency.keep(connection, key, Kept(200, b""), now - hours * 3600)


def left(connection: Connection) -> tuple[int, int, int, int]:
    """Return how many cells, entries, events and answers are there; no count may be lost."""
    cells = windows.load_cells(connection, SUBJECT, 0)
    assert sum(int(cell.counts[0]) for cell in cells) == 2000
    log = alerts.read_log(connection, "m", 9)
    events = outbox.count(connection)[outbox.Outcome.DELIVERED]
    return len(cells), len(log), events, len(connection.execute(select(IDEMPOTENCY)).all())


class Watched(Store):
    """A store that tells when a transaction is over, whatever came of it."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        self.over = asyncio.Semaphore(0)

    async def run(self, work: Callable[[Connection], Any], *, is_durable: bool = False) -> Any:
        try:
            return await super().run(work, is_durable=is_durable)
        finally:
            self.over.release()


def test_what_is_old_is_joined_or_dropped(tmp_path: Path) -> None:
    """Counts are joined and none is lost; entries, events and answers past their time go."""

    async def main() -> tuple[int, int, int, int]:
        store = Watched(tmp_path)
        await store.run(old_and_new)
        await store.over.acquire()
        keeping = asyncio.create_task(store_keeping.keep(store))
        await store.over.acquire()
        await store.over.acquire()
        keeping.cancel()
        found: tuple[int, int, int, int] = await store.run(left)
        await store.close()
        return found

    cells, *others = asyncio.run(main())
    assert 300 < cells < 600
    assert others == [1, 1, 1]


def test_a_store_that_can_be_written_again_is_seen(tmp_path: Path) -> None:
    """Also when nothing has to be written; and the store is left alone after that."""

    async def main() -> None:
        store = Watched(tmp_path / "state")
        keeping = asyncio.create_task(store_keeping.keep(store, look_seconds=0.0))
        await store.over.acquire()
        await store.over.acquire()
        assert store.health.failures >= 2
        (tmp_path / "state").mkdir()
        while not store.health.is_writable:
            await store.over.acquire()
        for _ in range(100):
            await asyncio.sleep(0)
        assert store.health.pending == 0
        assert not keeping.done()
        keeping.cancel()
        await store.close()

    asyncio.run(main())


class Broken(Store):
    """A store that cannot be written, and which others try to write, or not."""

    def __init__(self, state_dir: Path, *, is_idle: bool) -> None:
        super().__init__(state_dir)
        self.probes = 0
        self._failed = itertools.repeat(1) if is_idle else itertools.count()

    @property
    def health(self) -> Health:
        return Health(is_writable=False, failures=next(self._failed))

    async def run(self, *_: object, **__: object) -> NoReturn:
        raise StoreUnavailable("the store cannot be used: database or disk is full")

    async def probe(self) -> None:
        self.probes += 1


@pytest.mark.parametrize("is_idle", [True, False])
def test_only_an_idle_store_is_probed(tmp_path: Path, is_idle: bool) -> None:
    """A write that would fit is no proof that those fit that are due."""

    async def main() -> int:
        store = Broken(tmp_path, is_idle=is_idle)
        keeping = asyncio.create_task(store_keeping.keep(store, look_seconds=0.0))
        for _ in range(10):
            await asyncio.sleep(0)
        keeping.cancel()
        return store.probes

    assert (asyncio.run(main()) > 0) is is_idle


def test_control_starts_without_sqlalchemy() -> None:
    """It takes a third of a second to import, which the first prediction must not wait for."""
    program = "import sys, server.controlplane.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    modules = done.stdout.split()
    assert b"server.store.database" in modules
    assert not [name for name in modules if name.startswith((b"sqlalchemy", b"alembic"))]
