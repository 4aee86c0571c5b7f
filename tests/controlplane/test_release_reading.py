"""The start of control: what the store holds is taken over, or not waited for."""

import asyncio
from pathlib import Path

import pytest

from server.controlplane import release_reading
from server.controlplane.releases import Wish
from server.release.actions import Action, Verb
from server.release.route import ReleaseRoute
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control
from tests.support.fake_worker import known
from tests.support.releases import ReleaseBench, release_bench

STORED = ReleaseRoute("m", 1, live="1", live_digest="aa", live_since_seconds=1000.0)


async def fill(state_dir: Path) -> None:
    """Leave a store behind in which version 1 is live."""
    async with release_bench(state_dir, known("m", v1="aa")) as bench:
        change = bench.releases.change_now("m", Action(Verb.SET_LIVE, "1"), Wish("policy"))
        assert await bench.keeper.written(change, 10)


async def reading(bench: ReleaseBench, state_dir: Path) -> "asyncio.Task[None]":
    """Begin to read."""
    task = asyncio.create_task(release_reading.read(bench.releases, bench.keeper, state_dir))
    await asyncio.sleep(0)
    return task


def test_a_store_without_a_file_is_not_opened(tmp_path: Path) -> None:
    """A first start waits for nothing; what only the desired state knows will be written."""

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            bench.releases.take_saved([STORED])
            await (await reading(bench, tmp_path))
            assert (bench.releases.is_known, bench.releases.route("m")) == (True, STORED)
            assert (bench.store.asked.locked(), bench.keeper.unwritten) == (True, 1)

    asyncio.run(main())


def test_what_the_store_holds_is_taken_over(tmp_path: Path) -> None:
    """Nothing is acted upon before it has been read."""

    async def main() -> None:
        await fill(tmp_path)
        async with release_bench(tmp_path) as bench:
            task = await reading(bench, tmp_path)
            assert not bench.releases.is_known
            await task
            assert (bench.releases.is_known, bench.releases.route("m")) == (True, STORED)

    asyncio.run(main())


@pytest.mark.parametrize("harm", ["broken", "hanging"])
def test_a_store_that_cannot_be_read_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """The desired state goes on, and the store is taken over when it can be read."""
    monkeypatch.setattr(release_reading, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(release_reading, "RETRY_SECONDS", 0.01)

    async def main() -> None:
        await fill(tmp_path)
        async with release_bench(tmp_path) as bench:
            news = asyncio.Event()
            bench.on_change = news.set
            if harm == "broken":
                bench.store.is_broken = True
            else:
                bench.store.may_go.clear()
            task = await reading(bench, tmp_path)
            await news.wait()
            assert (bench.releases.is_known, bench.releases.routes) == (True, {})

            bench.store.is_broken = False
            bench.store.may_go.set()
            await task
            assert bench.releases.route("m") == STORED

    asyncio.run(main())


def test_files_that_a_release_names_stay_what_is_served(repository: Path) -> None:
    """New files under the live version's number are refused, and the index says what to do."""
    models.put(repository, "m", 1, models.affine(offset=1))

    async def play(control: Control) -> None:
        before = control.row("m")["digest"]
        models.put(repository, "m", 1, models.affine(offset=2))
        await control.look()
        row = control.row("m")
        assert (row["state"], row["live"], row["digest"]) == ("READY", True, before)
        assert "version '1' is live, with other files" in row["reason"]
        assert row["fix"] == "put the new files in the folder of a new version"

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), release="manual") as control:
            await play(control)

    asyncio.run(main())
