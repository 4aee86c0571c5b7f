"""A fleet and a router, joined as control joins them, and workers that a test plays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from server.controlplane.fleet import Fleet
from server.controlplane.known import KnownModel
from server.controlplane.release_keeper import ReleaseKeeper
from server.controlplane.releases import Releases
from server.controlplane.router import Router
from server.settings import Settings
from server.store.database import Store
from server.wire import desired
from server.wire.desired import DesiredState
from tests.support.fake_worker import FakeWorker


class Joined:
    """A fleet and a router, joined as control joins them."""

    def __init__(self, root: Path, models: dict[str, KnownModel]) -> None:
        self.settings = Settings(repository=root / "models", state_dir=root)
        self.fleet = Fleet(self)
        self.now = 1000.0
        self.keeper = ReleaseKeeper(Store(root))
        self.releases = Releases(
            models, self.fleet, self.keeper, lambda: self.router.note(), lambda: self.now
        )
        self.router = Router(models, self.fleet, self.settings, self.releases, lambda: self.now)

    @property
    def saved(self) -> DesiredState | None:
        """What a restarted control would find."""
        return desired.read_file(self.settings)

    def worker_changed(self) -> None:
        self.router.note()

    def tally(self, message: memoryview) -> None:
        raise NotImplementedError

    def records(self, message: memoryview) -> None:
        raise NotImplementedError

    def fault(self, message: memoryview) -> None:
        raise NotImplementedError

    async def answer(self, message: memoryview) -> bytes:
        raise NotImplementedError


@contextlib.asynccontextmanager
async def routing(root: Path, models: dict[str, KnownModel]) -> AsyncIterator[Joined]:
    """Run a router on `root` as its state directory."""
    joined = Joined(root, models)
    server = await joined.fleet.listen(str(root / "control.sock"), joined.router.greeting)
    task = asyncio.create_task(joined.router.run())
    try:
        yield joined
    finally:
        task.cancel()
        server.close()


async def first_state(joined: Joined, worker: FakeWorker) -> DesiredState:
    """Return what a worker is told that came before the repository had been looked at."""
    worker.hello(0)
    await worker.told()
    joined.router.settle()
    return await worker.told_all()


def obey(worker: FakeWorker, state: DesiredState) -> None:
    """Say that everything in a state has been done."""
    worker.say(
        generation=state.generation,
        loaded={
            name: {version: one.digest for version, one in model.versions.items()}
            for name, model in state.models.items()
        },
        live={name: model.live for name, model in state.models.items() if model.live},
        released={name: model.release_generation for name, model in state.models.items()},
    )
