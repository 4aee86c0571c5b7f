"""Bring what is loaded in this worker in line with the desired state.

Decides the order of loads, swaps and unloads: a version is opened and warmed up on a thread beside
the event loop, is asked once through its own queue, and then the route table that names it is put
in place; what the table no longer names is drained and let go. A version that cannot be loaded
changes nothing and is reported.

Concurrency: all state belongs to the event loop; only `_open` runs on the loader's thread.
Lifetime: `run` is one task for the life of the worker.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from server.dataplane.moving import move_waiting
from server.dataplane.plane import Plane
from server.dataplane.proving import probe_inputs, prove
from server.dataplane.routes import ModelRoute, RouteTable
from server.dataplane.served import ServedVersion, VersionName
from server.dataplane.suspects import Suspects
from server.engine.recorder import Recorder
from server.engine.session import Session
from server.errors import ModelInvalid, TidegateError
from server.machine import give_memory_back
from server.repository import samples
from server.wire.desired import DesiredState, VersionPlan
from server.wire.status import Failure

log = structlog.get_logger()

COPY_GONE = "its private copy is gone from the state directory"
COPY_SECONDS = 1.0
"""Between two looks for a private copy that was gone."""


class Loader:
    """The versions of this worker."""

    def __init__(
        self, plane: Plane, on_change: Callable[[], None], recorder: Recorder | None = None
    ) -> None:
        """`recorder` writes down what runs; without one, into memory that nobody reads."""
        self.generation = -1
        """The newest desired state that has been carried out."""
        self.desired = DesiredState(-1, {})
        self.failed: dict[tuple[str, str], Failure] = {}
        self.load_seconds: dict[tuple[str, str], float] = {}
        self.loaded: dict[tuple[str, str], ServedVersion] = {}
        self._suspects = Suspects()
        self._plane = plane
        self._recorder = recorder or Recorder()
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._drains: set[asyncio.Task[None]] = set()

    def want(self, desired: DesiredState) -> None:
        """Take a newer desired state; it is carried out by `run`.

        What needs no load happens here and now: a roll back does not wait for whatever is being
        loaded.
        """
        if desired.generation > self.desired.generation:
            self.desired = desired
            self._publish()
            self._changed.set()
            self._on_change()

    def suspect(self, message: memoryview) -> None:
        """Take from control which requests may kill this worker."""
        self._suspects.take(message, time.perf_counter())
        for served in self.loaded.values():
            served.suspects = self._suspects.of(served.model)

    def released(self) -> dict[str, int]:
        """Return the generation of the release state that is carried out, by model."""
        routes = self._plane.routes.table.models
        return {
            model: plan.release_generation
            for model, plan in self.desired.models.items()
            if plan.live is not None and routes[model].live == plan.live
        }

    async def run(self) -> None:
        """Carry out desired states as they come."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while (missing := self._next_missing()) is not None:
                await self._load(*missing)
            self._forget_unwanted()
            self._publish()
            self.generation = self.desired.generation
            self._plane.telemetry.generation = self.generation
            self._on_change()

    def _next_missing(self) -> tuple[VersionName, VersionPlan] | None:
        """Return a version that is wanted, not loaded, and has not failed as it is."""
        for model, plan in self.desired.models.items():
            for version, one in plan.versions.items():
                served = self.loaded.get((model, version))
                failure = self.failed.get((model, version))
                if served is not None and served.plan == one:
                    continue
                if failure is None or failure.digest != one.digest:
                    return VersionName(model, version, one.digest), one
        return None

    async def _load(self, name: VersionName, plan: VersionPlan) -> None:
        key = (name.model, name.version)
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            session = await loop.run_in_executor(self._threads, _open, name, plan, self._recorder)
            inputs = await loop.run_in_executor(
                self._threads, probe_inputs, plan, session.signature
            )
        except Exception as error:  # Whatever a model does to us, the others go on.
            log.exception("load_failed", model=name.model, version=name.version)
            self.failed[key] = _failure(name, plan, error)
            self._look_for_copy(key, self.failed[key], plan)
            self._on_change()
            return
        served = self._serve(name, plan, session)
        served.probe_inputs = inputs
        await prove(served)
        self.failed.pop(key, None)
        replaced = self.loaded.get(key)
        self.loaded[key] = served
        self.load_seconds[key] = time.perf_counter() - started
        self._publish()
        if replaced is not None:
            self._let_go(replaced)
        log.info("loaded", model=name.model, version=name.version, digest=name.digest[:12])
        self._on_change()

    def _look_for_copy(self, key: tuple[str, str], failure: Failure, plan: VersionPlan) -> None:
        """Try a version again when its private copy is back; control makes it anew."""
        if failure.error != COPY_GONE or self.failed.get(key) is not failure:
            return
        if plan.is_on_disk():
            del self.failed[key]
            self._changed.set()
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(COPY_SECONDS, self._look_for_copy, key, failure, plan)

    def _serve(self, name: VersionName, plan: VersionPlan, session: Session) -> ServedVersion:
        plane = self._plane
        served = ServedVersion(
            name,
            plan,
            session,
            plane.telemetry.of_version(
                name.model,
                name.version,
                name.digest,
                session.signature,
                is_batched=plan.is_batched,
            ),
            features=plan.features,
            max_output_bytes=plane.settings.max_output_bytes,
        )
        served.suspects = self._suspects.of(name.model)
        served.holder = plane.predictor.holders[name.model]
        served.open(
            plane.predictor.finished, plane.predictor.dropped, plane.hangs.hung, plane.watchdog
        )
        return served

    def _publish(self) -> None:
        """Put a route table in place that names what is loaded and wanted.

        While the version that shall answer is on its way, the one that answered before goes on.
        """
        before = self._plane.routes.table.models
        models = {}
        for model, plan in self.desired.models.items():
            versions = {
                version: self.loaded[model, version]
                for version in plan.versions
                if (model, version) in self.loaded
            }
            pending = dict(plan.pending)
            for version in plan.versions.keys() - versions.keys():
                pending[version] = (model, version) not in self.failed
            live = plan.live if plan.live in versions else None
            if live is None and plan.live is not None and model in before:
                live = before[model].live
                if live is not None and (model, live) in self.loaded:
                    versions[live] = self.loaded[model, live]
                else:
                    live = None
            for version, served in versions.items():
                served.telemetry.mirror(plan.mirror_bp if version == live else 0)
            # Plans name versions in the order of loading, and answers in that of their numbers.
            in_order = {version: versions[version] for version in sorted(versions, key=int)}
            models[model] = ModelRoute(
                live, in_order, pending, plan.release_generation, plan.canary
            )
        table, self._plane.routes.table = self._plane.routes.table, RouteTable(models)
        move_waiting(table, self._plane.routes.table)

    def _forget_unwanted(self) -> None:
        wanted = {
            (model, version): one
            for model, plan in self.desired.models.items()
            for version, one in plan.versions.items()
        }
        for key, failure in list(self.failed.items()):
            if key not in wanted or wanted[key].digest != failure.digest:
                del self.failed[key]
        unwanted = self.loaded.keys() - wanted.keys()
        dropped = [self.loaded.pop(key) for key in unwanted]
        if dropped:
            self._publish()
        for served in dropped:
            self.load_seconds.pop((served.model, served.version), None)
            self._let_go(served)

    def _let_go(self, served: ServedVersion) -> None:
        task = asyncio.create_task(self._drain(served))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def _drain(self, served: ServedVersion) -> None:
        await served.drain()
        log.info("unloaded", model=served.model, version=served.version)
        await asyncio.get_running_loop().run_in_executor(self._threads, give_memory_back)


def _failure(name: VersionName, plan: VersionPlan, error: Exception) -> Failure:
    """Return what control is told of a version that could not be loaded."""
    if not plan.is_on_disk():
        return Failure(
            name.digest, COPY_GONE, "keep its files in the repository: it is copied again"
        )
    fix = error.fix if isinstance(error, ModelInvalid) else "see the worker's log"
    text = str(error) if isinstance(error, TidegateError) else "a worker could not load it"
    return Failure(name.digest, text, fix)


def _open(name: VersionName, plan: VersionPlan, recorder: Recorder) -> Session:
    """Open and warm up a session; runs on the loader's thread."""
    loading = recorder.of_version(name.model, name.version, name.digest, 0)
    slot = loading.begin_load()
    try:
        session = _opened(plan)
    finally:
        loading.end(slot)
    inputs = session.signature.inputs
    count = 0 if any(spec.datatype.is_text for spec in inputs) else len(inputs)
    session.recording = recorder.of_version(name.model, name.version, name.digest, count)
    return session


def _opened(plan: VersionPlan) -> Session:
    session = Session.open(Path(plan.path), threads=plan.settings.threads)
    if plan.samples:
        inputs = samples.load(Path(plan.samples), session.signature)
        session.run(inputs)
        if plan.is_batched:
            for rows in (1, plan.settings.max_rows):
                session.run(samples.first_rows(inputs, rows))
    return session
