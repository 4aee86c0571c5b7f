"""What is captured of the river: drawn batches of known versions, and nothing that has to wait."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from server.capture.columns import CapturePlan
from server.controlplane import capturing
from server.wire.record import Content
from tests.support import captured
from tests.support.captured import Rig
from tests.support.gateway import eventually


def test_rows_are_written_where_the_settings_say(tmp_path: Path) -> None:
    """Below the state directory, or elsewhere; what is left out comes from the version."""

    async def scenario(rig: Rig) -> None:
        rig.take(captured.records_of())
        await rig.capture.close()

    for folder, settings in (
        (tmp_path / "a" / "capture", {}),
        (tmp_path / "b", {"capture_dir": tmp_path / "b"}),
    ):
        rig = Rig(tmp_path / "a", **settings)
        rig.known.left_out = {"x": (0,)}
        asyncio.run(scenario(rig))
        (path,) = folder.rglob("*.parquet")
        assert pq.read_table(path).num_rows == 6
        assert rig.capture.rows == {("m", "1"): 6}
        assert b'"redacted":{"x":[0]}' in pq.read_schema(path).metadata[b"tidegate"]


def test_it_runs_by_itself(tmp_path: Path) -> None:
    """The task writes what comes; closing leaves whole files."""

    async def scenario() -> None:
        rig = Rig(tmp_path)
        task = asyncio.create_task(rig.capture.run())
        rig.take(captured.records_of())
        await asyncio.to_thread(eventually, lambda: rig.capture.rows.total() == 6)
        assert rig.capture.waiting_bytes == 0
        task.cancel()
        await rig.capture.close()
        assert len(rig.files()) == 1

    asyncio.run(scenario())


def test_only_what_is_drawn_is_taken(tmp_path: Path) -> None:
    """With a share of 0 nothing is, and of a half about that, batch by batch."""

    async def scenario() -> None:
        rig = Rig(tmp_path)
        rig.share(0)
        rig.take(captured.records_of())
        await rig.capture.close()
        assert not rig.files()

        rig = Rig(tmp_path)
        rig.share(5000)
        rig.take(captured.records_of(requests=((1,),) * 1000))
        await rig.capture.close()
        assert 350 < rig.capture.rows.total() < 650

    asyncio.run(scenario())


def test_records_of_others_are_passed_over(tmp_path: Path) -> None:
    """Unknown models and versions, other files, copies for shadows, batches without rows."""

    async def scenario() -> None:
        rig = Rig(tmp_path)
        good = captured.records_of()
        for records in (
            replace(good, model="other"),
            replace(good, version="7"),
            replace(good, digest="older"),
            replace(good, content=Content.MIRROR),
            captured.records_of(requests=((0,),)),
        ):
            rig.take(records)
        assert rig.capture.waiting_bytes == 0
        assert not rig.dropped()

    asyncio.run(scenario())


def test_what_cannot_be_taken_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that did not come whole, versions not checked, too much that waits, no pyarrow."""

    async def scenario() -> None:
        rig = Rig(tmp_path)
        good = captured.records_of()
        rig.take(replace(good, content=Content.REDUCED))
        rig.take(replace(good, inputs=[]))
        rig.known.left_out = None
        rig.take(good)
        rig.known.left_out = {}
        rig.take(good, capturing.MAX_WAITING_BYTES + 1)
        assert rig.dropped() == {"not_whole": 4, "unchecked": 2, "queue_full": 2}

        monkeypatch.setattr(capturing, "is_installed", lambda: False)
        rig.take(good)
        assert rig.dropped()["not_installed"] == 2
        await rig.capture.close()
        assert not rig.files()

    asyncio.run(scenario())


def test_a_disk_that_takes_nothing_is_counted(tmp_path: Path) -> None:
    """Rows are dropped, and nothing is raised."""

    async def scenario() -> None:
        rig = Rig(tmp_path)
        (tmp_path / "capture").write_text("no folder")
        rig.take(captured.records_of())
        await rig.capture.close()
        assert rig.dropped() == {"disk": 2}

    asyncio.run(scenario())


def test_a_mistake_of_the_writer_costs_its_rows_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged and counted, and the task goes on."""

    async def scenario() -> None:
        rig = Rig(tmp_path)

        def broken(*_: object) -> CapturePlan:
            monkeypatch.undo()
            return None  # type: ignore[return-value]  # The writer cannot do anything with it.

        monkeypatch.setattr(rig.capture, "_plan_of", broken)
        task = asyncio.create_task(rig.capture.run())
        rig.take(captured.records_of())
        await asyncio.to_thread(eventually, lambda: rig.dropped() == {"failed": 2})
        rig.take(captured.records_of())
        await asyncio.to_thread(eventually, lambda: rig.capture.rows.total() == 6)
        task.cancel()
        await rig.capture.close()

    asyncio.run(scenario())
