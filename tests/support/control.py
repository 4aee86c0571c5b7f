"""Control without its process: real parts on one event loop, and workers that do as they are told.

The workers are real connections to control's socket, but load nothing: they say that they have.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.controlplane import release_reading
from server.controlplane.catalog import Catalog
from server.controlplane.exposition import Sources
from server.controlplane.fleet import Fleet
from server.controlplane.intake import Intake
from server.controlplane.intents import Intents
from server.controlplane.monitor import Monitor
from server.controlplane.operations import Operations
from server.controlplane.release_keeper import ReleaseKeeper
from server.controlplane.release_operations import ReleaseOperations
from server.controlplane.releases import Releases
from server.controlplane.router import Router
from server.controlplane.totals import Totals
from server.settings import Settings
from server.store.database import Store
from server.wire import desired, record, status
from server.wire.frames import FrameReader, Kind, frame
from server.wire.status import Failure, Gauges, Hello, Status


@dataclass
class ToldWorker:
    """A worker that says it has done what it was told, except for what it is made to fail."""

    number: int
    fails: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Reasons by model and version."""
    is_obedient: bool = True
    """If not, it never says anything after its first words."""
    gauges: Gauges = field(default_factory=Gauges)
    unready: Mapping[str, str] = field(default_factory=dict)
    """Why models do not answer."""

    async def run(self, path: str) -> None:
        """Connect, and answer every desired state."""
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            hello = status.encode_hello(Hello(self.number, 1000 + self.number))
            writer.write(frame(Kind.HELLO, hello))
            frames = FrameReader()
            while chunk := await reader.read(1 << 16):
                for kind, payload in frames.feed(chunk):
                    if kind is Kind.DESIRED and self.is_obedient:
                        message = status.encode_status(self._status(desired.decode(payload)))
                        writer.write(frame(Kind.STATUS, message))
        finally:
            writer.close()

    def _status(self, state: desired.DesiredState) -> Status:
        loaded: dict[str, dict[str, str]] = {}
        failed: dict[str, dict[str, Failure]] = {}
        for model, plan in state.models.items():
            for version, one in plan.versions.items():
                reason = self.fails.get((model, version))
                if reason is None:
                    loaded.setdefault(model, {})[version] = one.digest
                else:
                    failure = Failure(one.digest, reason, "try another")
                    failed.setdefault(model, {})[version] = failure
        return Status(
            generation=state.generation,
            loaded=loaded,
            live={
                name: plan.live
                for name, plan in state.models.items()
                if plan.live is not None and plan.live in loaded.get(name, {})
            },
            failed=failed,
            load_seconds={name: dict.fromkeys(loaded[name], 0.25) for name in loaded},
            gauges=self.gauges,
            unready=self.unready,
            released={
                name: plan.release_generation
                for name, plan in state.models.items()
                if plan.live is not None and plan.live in loaded.get(name, {})
            },
        )


class Control:
    """Control's parts, joined as its process joins them."""

    def __init__(self, repository: Path, state_dir: Path, **settings: Any) -> None:
        given = {"settle_seconds": 0.0, "poll_seconds": 0.05, **settings}
        self.settings = Settings(repository=repository, state_dir=state_dir, **given)
        self.totals = Totals()
        self.fleet = Fleet(self)
        self.intents = Intents.read(state_dir)
        self.intake = Intake(self.settings)
        self.changes = 0
        self.catalog = Catalog(self.settings, self.intake, self.intents, self._changed)
        self.store = Store(state_dir)
        self.keeper = ReleaseKeeper(self.store)
        self.releases = Releases(
            self.catalog.models, self.fleet, self.keeper, lambda: self.router.note()
        )
        self.router = Router(self.catalog.models, self.fleet, self.settings, self.releases)
        self.catalog.guard = release_reading.guard(self.releases)
        self.release_operations = ReleaseOperations(
            self.settings,
            self.releases,
            self.keeper,
            self.router,
            self.fleet,
            self.catalog.models,
        )
        self.operations = Operations(
            self.settings, self.catalog, self.router, self.fleet, self.totals, self.intents
        )

        self.monitor = Monitor(
            self.settings,
            self.store,
            self.catalog.models,
            lambda: self.router.state.models,
            lambda: self.router.is_settled,
            lambda: self.now,
        )
        self.now = time.time()
        """The monitor's clock."""

    def _changed(self) -> None:
        self.changes += 1
        self.router.note()

    def worker_changed(self) -> None:
        self.router.note()

    def tally(self, message: memoryview) -> None:
        self.totals.add(message)

    def records(self, message: memoryview) -> None:
        records = record.decode(message)
        self.totals.take_records(records)
        self.monitor.take(records)

    def fault(self, message: memoryview) -> None:
        raise AssertionError(bytes(message))

    async def answer(self, message: memoryview) -> bytes:
        return bytes(message)

    def sources(self) -> Sources:
        """Return what the exposition is written from."""
        return Sources(
            self.totals, self.fleet, self.catalog, self.router, self.operations, 1, 0.001
        )

    async def look(self) -> None:
        """Look at the repository and wait until all that follows from it is done."""
        await self.catalog.refresh()
        await self.catalog.all_checks()
        self.router.note()
        async with asyncio.timeout(60):
            await self.router.until(lambda: self.router.is_stable)

    def row(self, name: str, version: str = "1") -> dict[str, Any]:
        """Return a version's row of the index."""
        rows = self.operations.index()
        return next(row for row in rows if (row["name"], row["version"]) == (name, version))


@contextlib.asynccontextmanager
async def running_control(
    repository: Path, *workers: ToldWorker, **settings: Any
) -> AsyncIterator[Control]:
    """Run control's parts until the block ends; the repository has been looked at once."""
    state_dir = repository.parent / "state"
    state_dir.mkdir(exist_ok=True)
    control = Control(repository, state_dir, **settings)
    await control.intake.prepare()
    path = str(state_dir / "control.sock")
    server = await control.fleet.listen(path, control.router.greeting)
    tasks = [asyncio.create_task(worker.run(path)) for worker in workers]
    tasks.append(asyncio.create_task(control.router.run()))
    tasks.append(asyncio.create_task(control.keeper.run()))
    await control.catalog.refresh()
    await control.catalog.all_checks()
    control.router.settle()
    async with asyncio.timeout(60):
        await control.router.until(lambda: len(control.fleet.workers) == len(workers))
        if workers and all(worker.is_obedient for worker in workers):
            await control.router.until(lambda: control.router.is_stable)
    try:
        yield control
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()
        await control.intake.close()
        await control.store.close()
