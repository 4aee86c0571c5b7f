"""What control knows, put together for each page of the console.

Decides where each fact of a page comes from, and which ones control does not have yet after it has
begun. What a page makes of them is decided in `server/console/`.

Concurrency: event loop only; what takes a while is worked out on a thread, from values that do not
change.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server import machine
from server.console.drift import DriftFacts
from server.console.lights import RaisedAlert, Watch
from server.console.model import PageFacts
from server.console.overview import ModelFacts, OverviewFacts
from server.console.release import ReleaseFacts
from server.console.system import SystemFacts, WorkerFacts
from server.console.traffic import Traffic
from server.controlplane.catalog import Catalog
from server.controlplane.fleet import Fleet, WorkerState
from server.controlplane.known import KnownModel
from server.controlplane.monitor import Monitor
from server.controlplane.monitor_store import column_name
from server.controlplane.operations import Operations
from server.controlplane.recent import STEP_SECONDS, Recent
from server.controlplane.release_operations import ReleaseOperations
from server.controlplane.releases import Releases
from server.controlplane.router import Router
from server.controlplane.totals import Totals
from server.controlplane.watched import Watched
from server.errors import TidegateError
from server.monitoring.history import History, history_of
from server.operator_errors import StoreUnavailable
from server.protocol import metadata
from server.statistics.sequential import Alert
from server.store.database import Store
from server.wire.channel import Charter
from server.wire.shadow import ShadowStatus

SHOWN_CHANGES = 25
MOST_STRETCHES = 32
"""Of a heat map."""
STORE_SECONDS = 1.0
"""How long a page waits for the store; then it says that it does not know."""
_SHOWN_SETTINGS = (
    *("max_rows", "max_delay_ms", "queue_rows", "threads", "instances", "execution"),
    *("version_policy", "release"),
)


@dataclass(frozen=True, slots=True)
class ConsoleSources:
    """The parts of control that pages are about."""

    charter: Charter
    catalog: Catalog
    operations: Operations
    releases: Releases
    release_operations: ReleaseOperations
    monitor: Monitor
    performance: Callable[[KnownModel], Awaitable[dict[str, Any]]]
    """Tells what labels say of a model."""
    totals: Totals
    recent: Recent
    store: Store
    fleet: Fleet
    router: Router
    is_ready: Callable[[], bool]
    lag_seconds: Callable[[], float]
    shadow: Callable[[], tuple[ShadowStatus | None, bool]]
    """Tells what the shadow process last said, and whether one is wanted."""


class ConsoleFacts:
    """Facts by page."""

    def __init__(self, sources: ConsoleSources, clock: Callable[[], float] = time.time) -> None:
        self._from = sources
        self._clock = clock

    def unknown(self) -> list[str]:
        """Say what control does not know yet."""
        found = []
        if not self._from.router.is_settled:
            found.append("what is in the repository")
        if not self._from.releases.is_known:
            found.append("how releases stand")
        if not self._from.is_ready():
            found.append("whether every worker serves what it should")
        if self._clock() - self._from.recent.began_seconds < 2 * STEP_SECONDS:
            found.append("traffic")
        return found

    async def overview(self) -> OverviewFacts:
        """Return what the first page is about."""
        traffic, index = self._from.recent.by_model(), self._from.operations.index()
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in index:
            rows.setdefault(row["name"], []).append(row)
        models = []
        for name, model in sorted(self._from.catalog.models.items()):
            models.append(self._model(model, rows.pop(name, []), traffic.get(name, ())))
            await asyncio.sleep(0)  # Judging candidates takes a while; others must not wait.
        broken = [row for left in rows.values() for row in left if not row["version"]]
        return OverviewFacts(models, self._from.recent.silence(), self.unknown(), broken)

    async def model(self, name: str) -> PageFacts:
        """Return what the page of a model is about.

        Raises:
            ModelNotFound: nobody goes by that name.

        """
        model = self._from.operations.find(name)
        tallies = self._from.totals.versions
        return PageFacts(
            name,
            self._from.operations.model_rows(model),
            await self._from.release_operations.status(name),
            self._from.recent.versions(name),
            self._from.recent.silence(),
            {version: one for (of, version), one in tallies.items() if of == name},
            _signature(model),
            _settings(model),
            self.unknown(),
        )

    async def drift(self, name: str, version: str | None, span: str) -> DriftFacts:
        """Return what the drift page of a model is about: of one version, or of the live one.

        Raises:
            ModelNotFound, VersionNotFound: nobody goes by that name.

        """
        model, monitor = self._from.operations.find(name), self._from.monitor
        if not monitor.is_on:
            return self._unwatched(name, "off")
        there = sorted(one for of, one in monitor.watched if of == name)
        live = self._from.releases.route(name).live
        chosen = version or (live if live in there else next(iter(there), None))
        if chosen is None or (version is None and chosen not in there):
            return self._unwatched(name, "unwatched")
        report = await monitor.report(model, chosen)
        told = next(iter(report["versions"]), None)
        watched = monitor.watched.get((name, chosen))
        if told is None or watched is None:
            return self._unwatched(name, "unwatched", [one for one in there if one != chosen])
        history, columns = await self._history(watched, span)
        return DriftFacts(
            name,
            told,
            [one for one in there if one != chosen],
            history,
            columns,
            await self._performance(model, chosen),
            told["state"],
            self._needed_rows,
            self.unknown(),
        )

    async def release(self, name: str) -> ReleaseFacts:
        """Return what the page of a release is about.

        Raises:
            ModelNotFound: nobody goes by that name.

        """
        operations = self._from.release_operations
        status = await operations.status(name)
        history = None
        try:
            async with asyncio.timeout(STORE_SECONDS):
                told = await operations.history(name, SHOWN_CHANGES, None, is_verified=False)
                history = told["entries"]
        except (StoreUnavailable, TimeoutError):
            pass
        samples = operations.samples(name, None)["shadows"] if status["shadows"] else []
        return ReleaseFacts(status, samples, history, self.unknown())

    def system(self) -> SystemFacts:
        """Return what the page of the gateway is about."""
        now, sources = self._clock(), self._from
        watched = sources.monitor.watched.values()
        counts = sum(one.observer.held_bytes for one in watched if one.observer is not None)
        settings = sources.charter.settings
        return SystemFacts(
            [_worker(one) for one in sources.fleet.workers],
            sources.charter.workers,
            sources.router.state.generation,
            now - sources.recent.began_seconds,
            sources.lag_seconds(),
            [
                ("Resident", machine.resident_bytes()),
                ("Of it, windows of counts", counts),
                ("Of it, recent traffic", sources.recent.held_bytes),
            ],
            sources.store.health,
            now,
            [
                ("Messages", sources.totals.record_messages),
                ("Batches", sources.totals.record_batches),
                ("Rows", sources.totals.record_rows),
                ("Rows that nobody watches", sources.monitor.unwatched_rows),
            ],
            {name: getattr(settings, name) for name in type(settings).model_fields},
            sources.charter.origins,
            self.unknown(),
            *sources.shadow(),
        )

    # Parts of these.

    def _model(
        self, model: KnownModel, rows: Sequence[Mapping[str, Any]], traffic: Sequence[Traffic]
    ) -> ModelFacts:
        route = self._from.releases.route(model.name)
        is_tried = bool(route.shadows) or route.canary is not None
        return ModelFacts(
            model.name,
            rows,
            route,
            traffic,
            self._watch(model.name, route.live),
            self._from.release_operations.gates(model.name) if is_tried else None,
        )

    def _watch(self, model: str, live: str | None) -> Watch:
        monitor = self._from.monitor
        if not monitor.is_on:
            return Watch("off")
        watched = monitor.watched.get((model, live or ""))
        return Watch("unwatched") if watched is None else watch_of(watched, self._needed_rows)

    @property
    def _needed_rows(self) -> int:
        return self._from.charter.settings.monitor_self_reference_rows

    def _unwatched(self, name: str, state: str, others: Sequence[str] = ()) -> DriftFacts:
        needed = self._needed_rows
        return DriftFacts(name, None, others, None, (), None, state, needed, self.unknown())

    async def _history(self, watched: Watched, span: str) -> tuple[History | None, list[str]]:
        observer = watched.observer
        if observer is None:
            return None, []
        cells = observer.cells(self._clock(), by_hour=span == "day")
        history = await asyncio.to_thread(history_of, observer.judge, cells, MOST_STRETCHES)
        return history, [one.column.name for one in observer.profile.columns]

    async def _performance(self, model: KnownModel, version: str) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                report = await self._from.performance(model)
        except (TidegateError, TimeoutError):
            return None
        return next((one for one in report["versions"] if one["version"] == version), None)


def watch_of(watched: Watched, needed_rows: int) -> Watch:
    """Return how a version is watched."""
    observer = watched.observer
    if observer is None:
        learned = watched.learning.rows if watched.learning is not None else 0
        return Watch("learning", watched.rows, learned, needed_rows)
    raised = [
        RaisedAlert(
            rule.value,
            alert.state.alert is Alert.FIRING,
            column_name(observer.profile, place),
            alert.reading.words if alert.reading is not None else "",
        )
        for (rule, place), alert in observer.alerts.items()
        if alert.is_raised
    ]
    return Watch("watching", watched.rows, alerts=raised)


def _worker(worker: WorkerState) -> WorkerFacts:
    status, hello = worker.status, worker.hello
    if status is None:
        return WorkerFacts(
            hello.worker, hello.pid, hello.restarts, None, None, 0, is_draining=False
        )
    return WorkerFacts(
        hello.worker,
        hello.pid,
        hello.restarts,
        status.generation,
        status.gauges,
        sum(len(versions) for versions in status.loaded.values()),
        status.is_draining,
    )


def _signature(model: KnownModel) -> list[tuple[str, str, str]]:
    """Return side, name and kind of each tensor of the live version, or of the newest one."""
    order = [model.route.live, *sorted(model.versions, key=int, reverse=True)]
    known = next(
        (
            one
            for version in order
            if version and (one := model.versions.get(version)) and one.verdict is not None
        ),
        None,
    )
    if known is None or known.verdict is None:
        return []
    told = metadata.model_metadata(model.name, [], known.verdict.signature, {})
    return [
        (side, one["name"], f"{one['datatype']} {one['shape']}")
        for side in ("inputs", "outputs")
        for one in told[side]
    ]


def _settings(model: KnownModel) -> list[tuple[str, str]]:
    if model.setup is None:
        return []
    return [(name, str(getattr(model.setup.settings, name))) for name in _SHOWN_SETTINGS]
