"""Releases without a gateway: a real store, models that are known, and workers that have all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from server.controlplane.fleet import Fleet
from server.controlplane.known import KnownModel
from server.controlplane.release_keeper import ReleaseKeeper
from server.controlplane.releases import Releases
from server.operator_errors import StoreUnavailable
from server.store.database import Store


class FullFleet(Fleet):
    """A fleet whose workers have loaded everything that is known, but for what is left out."""

    def __init__(self, models: dict[str, KnownModel]) -> None:
        self.missing: set[tuple[str, str]] = set()
        self._models = models

    def loaded_everywhere(self, model: str) -> set[tuple[str, str]]:
        """Return all versions of a model, with their digests."""
        return {
            (version, known.plan.digest)
            for version, known in self._models[model].versions.items()
            if known.plan is not None and (model, version) not in self.missing
        }


class TrickyStore(Store):
    """A store that a test can break, or hold up before the next transactions."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        self.is_broken = False
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.asked = asyncio.Semaphore(0)

    async def run(self, work: Callable[[Connection], Any], *, is_durable: bool = False) -> Any:
        self.asked.release()
        await self.may_go.wait()
        if self.is_broken:
            raise StoreUnavailable("the store cannot be used: a test says so")
        return await super().run(work, is_durable=is_durable)


class ReleaseBench:
    """Releases on a store of their own."""

    def __init__(self, state_dir: Path, *models: KnownModel) -> None:
        self.models = {model.name: model for model in models}
        self.fleet = FullFleet(self.models)
        self.store = TrickyStore(state_dir)
        self.keeper = ReleaseKeeper(self.store)
        self.changes = 0
        self.on_change: Callable[[], None] = lambda: None
        self.now = 1000.0
        self.releases = Releases(
            self.models, self.fleet, self.keeper, self._changed, lambda: self.now
        )

    def _changed(self) -> None:
        self.changes += 1
        self.on_change()

    async def history(self, model: str = "m") -> list[tuple[str, str, int]]:
        """Return action, actor and generation of every change in the audit, oldest first."""
        assert await self.keeper.verify() is None
        entries = await self.keeper.history(model, 100, None)
        return [(one.action, one.actor, one.to_generation) for one in reversed(entries)]


@contextlib.asynccontextmanager
async def release_bench(state_dir: Path, *models: KnownModel) -> AsyncIterator[ReleaseBench]:
    """Give releases whose keeper is at work."""
    bench = ReleaseBench(state_dir, *models)
    working = asyncio.create_task(bench.keeper.run())
    try:
        yield bench
    finally:
        working.cancel()
        bench.store.may_go.set()
        await bench.store.close()
