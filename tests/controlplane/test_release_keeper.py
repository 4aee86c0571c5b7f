"""Changes on their way to the store: their order, their bound, and what happens to a bad one."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from server.controlplane import release_keeper
from server.controlplane.release_keeper import ReleaseKeeper
from server.operator_errors import StaleGeneration
from server.release.change import Change
from server.release.route import ReleaseRoute
from tests.support.releases import release_bench


def change(generation: int, *, must_follow: bool = False, actor: str = "ann") -> Change:
    """Return a change of model `m` to a generation."""
    before = ReleaseRoute("m", generation - 1, live="1")
    after = ReleaseRoute("m", generation, live=str(generation))
    return Change("promote", before, after, 1000.0, actor, must_follow=must_follow)


def test_what_waits_is_written_first(tmp_path: Path) -> None:
    """A change that is committed comes after those that were made before it."""

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            keeper = bench.keeper
            keeper.later(change(1))
            keeper.later(change(2))
            await keeper.commit(change(3, must_follow=True), lambda: True, None, 0.0)

            assert [generation for *_, generation in await bench.history()] == [1, 2, 3]
            assert keeper.unwritten == 0

    asyncio.run(main())


def test_nothing_is_opened_before_it_is_said(tmp_path: Path) -> None:
    """Control opens the store when all is served; until then, changes wait."""

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            first = change(1)
            bench.keeper.later(first)
            await asyncio.sleep(0)
            assert (bench.store.asked.locked(), bench.keeper.unwritten) == (True, 1)

            bench.keeper.open()
            assert await bench.keeper.written(first, 10)

    asyncio.run(main())


def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    """A store that was never needed is not opened for it: the desired state has it all."""

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            keeper = ReleaseKeeper(bench.store)
            keeper.later(change(1))
            await keeper.close()
            assert keeper.unwritten == 1

            keeper.open()
            bench.store.is_broken = True
            await keeper.close()
            assert keeper.unwritten == 1
            bench.store.is_broken = False
            await keeper.close()
            assert keeper.unwritten == 0

    asyncio.run(main())


def test_a_change_that_is_not_wanted_any_more_is_not_written(tmp_path: Path) -> None:
    """The store's thread asks at the last moment."""

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            with pytest.raises(StaleGeneration):
                await bench.keeper.commit(change(1), lambda: False, None, 0.0)
            assert await bench.history() == []

    asyncio.run(main())


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is lost for the audit, and counted; whoever waits for it is told."""
    monkeypatch.setattr(release_keeper, "MAX_WAITING", 2)

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            changes = [change(number) for number in (1, 2, 3)]
            bench.store.is_broken = True
            for one in changes[:2]:
                bench.keeper.later(one)
            waiting = asyncio.create_task(bench.keeper.written(changes[0], 10))
            await asyncio.sleep(0)
            bench.keeper.later(changes[2])

            assert not await waiting
            assert (bench.keeper.unwritten, bench.keeper.lost) == (2, 1)

    asyncio.run(main())


def test_a_change_that_cannot_be_written_does_not_hold_up_others(tmp_path: Path) -> None:
    """It is lost, and counted; the ones behind it are written."""

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            bad = change(1, actor="\ud800")  # Not text that SQLite can keep.
            good = change(2)
            bench.keeper.later(bad)
            bench.keeper.later(good)

            assert await bench.keeper.written(good, 10)
            assert (bench.keeper.lost, bench.keeper.unwritten) == (1, 0)
            assert [generation for *_, generation in await bench.history()] == [2]

    asyncio.run(main())


def test_a_change_that_waited_may_be_saved_above_what_came_meanwhile(tmp_path: Path) -> None:
    """Whoever holds the state in memory is told of its new generation."""

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            raised: list[tuple[Change, ReleaseRoute]] = []
            keeper = ReleaseKeeper(bench.store)
            keeper.raised = lambda late, saved: raised.append((late, saved))
            await keeper.commit(change(7), lambda: True, None, 0.0)
            late = change(3)
            keeper.later(late)
            await keeper.commit(change(9, must_follow=True), lambda: True, None, 0.0)

            assert raised == [(late, replace(late.after, generation=8))]

    asyncio.run(main())
