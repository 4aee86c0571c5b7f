"""The store as control sees it: off the loop, bounded, healthy or not, and there after a kill."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Connection, text

from server.operator_errors import StoreUnavailable
from server.store import sqlite_file, windows
from server.store.database import MAX_PENDING, Health, Store
from tests.support.documents import ROOT
from tests.support.store_writer import SUBJECT, cell


def write(connection: Connection) -> None:
    """Write something."""
    connection.execute(
        text("INSERT INTO subject (model, version, profile_hash) VALUES ('m', 1, 1)")
    )
    connection.execute(text("DELETE FROM subject"))


def read(connection: Connection) -> int:
    """Read something."""
    return int(connection.execute(text("SELECT 7")).scalar_one())


def test_work_runs_on_one_thread_that_is_not_the_loops(tmp_path: Path) -> None:
    """Transactions started at once run one after another, and their results come back."""
    store = Store(tmp_path)
    threads, running = set(), 0

    def work(connection: Connection) -> int:
        nonlocal running
        running += 1
        threads.add(threading.current_thread())
        result = read(connection) * running
        running -= 1
        return result

    async def main() -> list[int]:
        results = await asyncio.gather(*(store.run(work) for _ in range(10)))
        await store.close()
        return results

    assert asyncio.run(main()) == [7] * 10
    assert len(threads) == 1
    assert threading.main_thread() not in threads


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    """Making a store touches no file, and closing one that was never used works."""

    async def main() -> Health:
        store = Store(tmp_path)
        await store.close()
        return store.health

    assert asyncio.run(main()) == Health()
    assert list(tmp_path.iterdir()) == []


def test_only_so_many_transactions_wait(tmp_path: Path) -> None:
    """A disk that hangs fills no memory: further ones are refused, and those that wait are done."""
    release = threading.Event()

    async def main() -> tuple[list[int], int]:
        store = Store(tmp_path)

        def hang(connection: Connection) -> int:
            release.wait()
            return read(connection)

        waiting = [asyncio.ensure_future(store.run(hang)) for _ in range(MAX_PENDING)]
        await asyncio.sleep(0)
        pending = store.health.pending
        with pytest.raises(StoreUnavailable, match=f"{MAX_PENDING} transactions wait"):
            await store.run(read)
        release.set()
        results = await asyncio.gather(*waiting)
        assert store.health.pending == 0
        await store.close()
        return results, pending

    assert asyncio.run(main()) == ([7] * MAX_PENDING, MAX_PENDING)


def test_a_closed_store_refuses_work(tmp_path: Path) -> None:
    """What waited before is done; the file is closed, without a log beside it."""

    async def main() -> None:
        store = Store(tmp_path)
        last = asyncio.ensure_future(store.run(write))
        await asyncio.sleep(0)
        await store.close()
        await last
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.run(read)

    asyncio.run(main())
    assert [entry.name for entry in tmp_path.iterdir()] == [sqlite_file.FILE_NAME]


def test_health_tells_whether_writing_works(tmp_path: Path) -> None:
    """A fault shows until something is written again: reading on a full disk heals nothing."""
    began = time.time()
    seen = []

    async def main() -> None:
        store = Store(tmp_path / "state", busy_timeout_seconds=0.0)

        async def attempt(work: Callable[[Connection], object]) -> None:
            with contextlib.suppress(StoreUnavailable, ZeroDivisionError):
                await store.run(work)
            seen.append(store.health)

        await attempt(write)  # There is no folder.
        await attempt(write)
        (tmp_path / "state").mkdir()
        await attempt(read)
        await attempt(write)
        await attempt(lambda _: 1 // 0)
        await attempt(read)
        (tmp_path / "state").rename(tmp_path / "away")
        await attempt(read)
        (tmp_path / "away").rename(tmp_path / "state")
        await attempt(read)
        await store.probe()
        seen.append(store.health)
        await store.close()

    with structlog.testing.capture_logs() as lines:
        asyncio.run(main())
    assert [line["event"] for line in lines if line["event"] != "store_opened"] == [
        *(told := ["store_unavailable", "store_writable_again"]),
        "store_gone",
        *told,
    ]
    assert [one.is_writable for one in seen] == [False] * 3 + [True] * 3 + [False] * 2 + [True]
    assert [one.failures for one in seen] == [1, 2, 2, 2, 2, 2, 3, 3, 3]
    assert {one.last_error for one in seen[:3]} == {
        "the store cannot be used: unable to open database file; let the gateway's user write the "
        "state directory and its files"
    }
    assert {one.last_error for one in (*seen[3:6], seen[8])} == {""}
    assert [one.last_write_seconds for one in seen[:3]] == [0, 0, 0]
    assert began <= seen[3].last_write_seconds == seen[5].last_write_seconds <= time.time()
    assert seen[0].size_bytes == 0
    assert seen[3].size_bytes > 4096


def test_health_counts_files_that_were_put_aside(tmp_path: Path) -> None:
    """A damaged file costs its content, not the gateway, and shows."""
    (tmp_path / sqlite_file.FILE_NAME).write_bytes(b"nonsense" * 1000)

    async def main() -> Health:
        store = Store(tmp_path)
        await store.run(write)
        await store.close()
        return store.health

    health = asyncio.run(main())
    assert (health.set_aside, health.is_writable, health.failures) == (1, True, 0)


@pytest.mark.parametrize("kill_after", [1, 40])
def test_a_kill_loses_only_what_was_not_committed(tmp_path: Path, kill_after: int) -> None:
    """Killed in a loop of writes: every cell that was said to be committed is there, exactly."""
    program = [sys.executable, "-m", "tests.support.store_writer", str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=ROOT, text=True) as writer:
        assert writer.stdout is not None
        numbers = []
        for line in writer.stdout:
            numbers += [int(line)] if line.strip().isdigit() else []
            if len(numbers) == kill_after:
                writer.kill()
        # What was written until the kill took effect is read as well.
        committed = numbers[-1] + 1

    async def main() -> list[bool]:
        store = Store(tmp_path)
        found = await store.run(lambda connection: windows.load_cells(connection, SUBJECT, 0))
        assert store.health.set_aside == 0
        await store.close()
        return [
            one.start == number and (one.counts == cell(number).counts).all()
            for number, one in enumerate(found)
        ]

    found = asyncio.run(main())
    assert all(found)
    assert len(found) - 1 in (committed, committed + 1)  # With the open one, which is not said.
