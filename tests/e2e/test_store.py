"""The store of a real gateway: whatever becomes of it, predictions go on, and it is seen."""

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection

from server.store import outbox, sqlite_file
from server.store.database import Store
from tests.conftest import StartGateway
from tests.support import fake_http, models
from tests.support.clients import ROW, asking
from tests.support.gateway import eventually

QUICK = {"monitor_flush_seconds": 0.2}


def test_a_damaged_store_and_a_locked_one_cost_no_prediction(
    start: StartGateway, repository: Path, tmp_path: Path
) -> None:
    """The damaged file is put aside; while another process holds the new one, a gauge says 0."""
    models.put(repository, "a", 1, models.affine())
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / sqlite_file.FILE_NAME
    path.write_bytes(b"this is no database " * 1000)

    with start(**QUICK) as gateway, asking(gateway, "a") as seen:
        eventually(lambda: gateway.metric("tidegate_store_files_set_aside_total") == 1)
        (aside,) = path.parent.glob("*.damaged-*")
        assert aside.read_bytes() == b"this is no database " * 1000
        assert len(gateway.logged("store_damaged")) == 1

        control = gateway.children()["control"]
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            eventually(lambda: other.execute("BEGIN IMMEDIATE"))
            models.put(repository, "b", 1, models.affine())  # Something to be noted.
            eventually(lambda: gateway.metric("tidegate_store_writable") == 0)
            assert gateway.metric("tidegate_store_failures_total") > 0
            other.execute("ROLLBACK")
        eventually(lambda: gateway.metric("tidegate_store_writable") == 1)
        assert gateway.children()["control"] == control
        words = "database is locked; end whatever other program has the file open for writing"
        assert gateway.logged("store_unavailable")[0]["error"].endswith(words)
    assert seen.is_flawless


def test_a_store_of_a_newer_program_is_left_alone(
    start: StartGateway, repository: Path, tmp_path: Path
) -> None:
    """It is served without it, the log says once what to do, and the file is as it was."""
    models.put(repository, "a", 1, models.affine())
    fill(tmp_path / "state")
    path = tmp_path / "state" / sqlite_file.FILE_NAME
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        before = list(connection.iterdump())

    with start(**QUICK) as gateway:
        eventually(lambda: gateway.metric("tidegate_store_writable") == 0)
        assert gateway.infer("a", ROW).status == 200
        (line,) = gateway.logged("store_unavailable")
        assert "newer than" in line["error"]
        assert gateway.stop() == 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before


def test_an_event_that_was_left_behind_is_posted(
    start: StartGateway, repository: Path, tmp_path: Path
) -> None:
    """What an earlier gateway could not deliver goes out with the next, and no secret is told."""
    models.put(repository, "a", 1, models.affine())
    fill(tmp_path / "state", b'{"specversion": "1.0"}')
    with fake_http.answering({"POST /t0ken": (200, b"")}) as receiver:
        webhook = {"webhook_url": f"{receiver.url}/t0ken", "webhook_secret": "s3cret"}
        with start(**QUICK, **webhook) as gateway:
            sample = 'tidegate_webhook_tries_total{outcome="ok"}'
            eventually(lambda: gateway.metric(sample) == 1)
            assert gateway.stop() == 0
    assert receiver.asked == [("POST /t0ken", b'{"specversion": "1.0"}')]
    log = gateway.log_path.read_text()
    assert "webhook_delivered" in log
    assert "t0ken" not in log
    assert "s3cret" not in log


def fill(state_dir: Path, body: bytes = b"") -> None:
    """Leave a store behind, with an event that waits."""

    def put(connection: Connection) -> None:
        outbox.put(connection, "e1", "key", body, time.time())

    async def main() -> None:
        store = Store(state_dir)
        await store.run(put)
        await store.close()

    state_dir.mkdir()
    asyncio.run(main())
