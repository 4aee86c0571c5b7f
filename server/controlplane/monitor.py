"""All versions under observation: who is watched, when counts are judged, when they are kept.

Decides which loaded version is watched by which reference: the profile beside the model if it has
one, else one that is learned from its first rows. Versions are told apart by name, number and the
digest of their files, and each has counts of its own: what a version answers never counts for
another one, live or not. Rows of refused and failed requests are in no batch record, so they are
nowhere.

Every second, or in turns if there are many versions, what waits is counted and what is due is
judged; every few seconds what is new goes to the store. If the store cannot be used, watching goes
on, and what is new waits, bounded.

Concurrency: event loop only. Judging, building references and reporting work on a thread, on values
that do not change meanwhile; one thing at a time.
Lifetime: `run` is one task for the life of control; `close` writes what is left.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from prometheus_client.metrics_core import Metric

from server.controlplane import monitor_metrics, self_references
from server.controlplane.known import KnownModel, KnownVersion
from server.controlplane.monitor_keeping import Keeper
from server.controlplane.monitor_metrics import MonitorSources
from server.controlplane.monitor_report import drift_report
from server.controlplane.watched import Watched
from server.errors import VersionNotFound
from server.monitoring.cohorts import Baseline, baseline_of
from server.monitoring.drift import Limits, Reading
from server.monitoring.fitting import differences
from server.monitoring.locating import Version
from server.monitoring.observer import Observer, Pace
from server.monitoring.profile import Profile
from server.monitoring.report import performance
from server.monitoring.self_reference import SelfReference
from server.operator_errors import MonitoringOff
from server.settings import Settings
from server.store.database import Store
from server.wire.desired import ModelPlan, VersionPlan
from server.wire.record import BatchRecords, Content

log = structlog.get_logger()

TICK_SECONDS = 1.0
VERSIONS_A_TURN = 50
MOST_TURNS = 5
"""Of many versions each has its turn once in so many ticks: to count a few rows costs as much as to
count some hundred."""

Key = tuple[str, str]
Some = TypeVar("Some")


def in_turn(versions: Sequence[Some], turn: int) -> Sequence[Some]:
    """Return those of all versions whose turn it is."""
    turns = min(MOST_TURNS, 1 + len(versions) // VERSIONS_A_TURN)
    return versions[turn % turns :: turns]


class Monitor:
    """The versions that are watched."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        models: Mapping[str, KnownModel],
        plans: Callable[[], Mapping[str, ModelPlan]],
        is_settled: Callable[[], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Watch what `plans` load once the repository `is_settled`; `models` are what is known."""
        self.is_on = settings.monitor == "on"
        self.watched: dict[Key, Watched] = {}
        self.unwatched_rows = 0
        """Rows of versions, or of files, that were not watched when they came."""
        self.keeper = Keeper(store, settings.state_dir)
        self._settings = settings
        self._models = models
        self._plans = plans
        self._clock = clock
        self._limits = Limits(
            settings.monitor_false_alarms_per_month,
            settings.monitor_window_seconds,
            settings.monitor_window_rows,
        )
        self._pace = Pace(settings.monitor_window_rows, settings.monitor_window_seconds)
        self._flush_due = 0.0
        self._turn = 0
        self._is_settled = is_settled
        self.realised: Callable[[Version, Baseline | None], Sequence[Reading]] | None = None
        """Tells what labels say of a live version, held to its reference; None without labels."""
        self._there: frozenset[Key] = frozenset()
        """Versions in the repository when others were last forgotten."""

    def take(self, records: BatchRecords) -> None:
        """Take in the records of one message; the batches of a mirror come reduced as well."""
        if not self.is_on or records.content is Content.MIRROR:
            return
        watched = self.watched.get((records.model, records.version))
        if watched is None or watched.digest != records.digest:
            self.unwatched_rows += records.rows
            return
        try:
            self.unwatched_rows += watched.take(records)
        except Exception:  # Whatever is wrong with these rows, the next ones may be good.
            self.unwatched_rows += records.rows
            log.exception("rows_not_watched", model=records.model, version=records.version)

    async def run(self) -> None:
        """Watch, for ever."""
        while self.is_on:
            try:
                await self.tick()
            except Exception:  # The next second tries again; nothing else depends on this task.
                log.exception("monitoring_failed")
            await asyncio.sleep(TICK_SECONDS)

    async def close(self) -> None:
        """Write what is left."""
        if self.is_on:
            await self.keeper.flush(self.watched, self._plans(), self._clock())

    async def tick(self) -> None:
        """Do what is due."""
        now = self._clock()
        await self._follow(now)
        self._turn += 1
        for watched in in_turn(list(self.watched.values()), self._turn):
            try:
                await self._advance(watched, now)
            except Exception:  # It costs one version's judgement, and not that of all.
                log.exception("judging_failed", model=watched.model, version=watched.version)
        # A clock that steps back must not keep counts from the store until it is where it was.
        wait = self._settings.monitor_flush_seconds
        if not 0.0 < self._flush_due - now <= wait:
            self._flush_due = now + wait
            await self.keeper.flush(self.watched, self._plans(), now)

    async def report(self, model: KnownModel, version: str | None) -> dict[str, Any]:
        """Return the drift report of a model, or of one version of it.

        Raises:
            VersionNotFound: the model has no such version.
            MonitoringOff: nothing is watched.

        """
        if not self.is_on:
            raise MonitoringOff("monitoring is switched off")
        if version is not None and version not in model.versions:
            raise VersionNotFound(f"model '{model.name}' has no version '{version[:32]}'")
        plan = self._plans().get(model.name)
        chosen = [
            one
            for (name, number), one in sorted(self.watched.items())
            if name == model.name and version in (None, number)
        ]
        live = plan.live if plan is not None else None
        return await drift_report(model.name, live, chosen, self._clock())

    def estimated(self, model: str) -> dict[str, Any]:
        """Return performance as it is estimated without labels, by version of a model."""
        now = self._clock()
        return {
            version: performance(one.observer.snapshot(now))
            for (name, version), one in self.watched.items()
            if name == model and one.observer is not None
        }

    def metrics(self) -> list[Metric]:
        """Return the families of monitoring as they are now; none if it is off."""
        if not self.is_on:
            return []
        return monitor_metrics.collect(
            MonitorSources(
                self.watched.values(),
                self.unwatched_rows,
                self.keeper.alarms,
                with_bins=self._settings.monitor_bin_metrics == "on",
            )
        )

    async def _advance(self, watched: Watched, now: float) -> None:
        if watched.observer is not None:
            await self._judge(watched, watched.observer, now)
        elif watched.learning is not None and watched.learning.is_full:
            await self._learned(watched, now)

    # Who is watched.

    async def _follow(self, now: float) -> None:
        """Watch what is loaded, by the references there are now."""
        loaded = {
            (model, version): plan
            for model, one in self._plans().items()
            for version, plan in one.versions.items()
        }
        for key in self.watched.keys() - loaded.keys():
            await self._leave(key, now)
        for key, plan in loaded.items():
            known = self._known(key)
            if known is None or known.plan is None or known.plan.digest != plan.digest:
                continue  # On its way in or out: what is watched goes on being watched.
            given = known.profile.hash if known.profile is not None else ""
            watched = self.watched.get(key)
            if watched is None or (watched.digest, watched.given) != (plan.digest, given):
                await self._leave(key, now)
                await self._enter(key, known, plan, now)
        await self._forget_gone()

    def _known(self, key: Key) -> KnownVersion | None:
        model = self._models.get(key[0])
        return model.versions.get(key[1]) if model is not None else None

    async def _enter(self, key: Key, known: KnownVersion, plan: VersionPlan, now: float) -> None:
        if known.verdict is None:
            return  # Served as it was before a restart, until its files have been looked at.
        model, version = key
        profile, signature = known.profile, known.verdict.signature
        given = "" if profile is None else profile.hash
        watched = Watched(model, version, plan.digest, given)
        if profile is None:
            profile = await asyncio.to_thread(
                self_references.read, self._settings.state_dir, model, version, plan.digest
            )
            if profile is not None and differences(profile, model, signature, plan.features):
                profile = None  # Its columns have other names now.
        if profile is None:
            rows = self._settings.monitor_self_reference_rows
            watched.learning = SelfReference(signature, plan.features, rows)
        else:
            watched.observer = await self._observer(key, profile, now)
        self.watched[key] = watched
        state = "learning" if profile is None else "watching"
        log.info("monitoring", model=model, version=version, state=state)

    async def _observer(self, key: Key, profile: Profile, now: float) -> Observer:
        observer = Observer(profile, self._limits, self._pace, now)
        cells, alerts = await self.keeper.load(key, profile, now)
        observer.restore(cells, alerts, now)
        return observer

    async def _leave(self, key: Key, now: float) -> None:
        if key in self.watched:
            await self.keeper.flush(self.watched, self._plans(), now)
            del self.watched[key]

    async def _learned(self, watched: Watched, now: float) -> None:
        profile, halves = await asyncio.to_thread(watched.build)
        await asyncio.to_thread(self_references.write, self._settings.state_dir, profile)
        watched.halves, watched.learning = halves, None
        watched.observer = Observer(profile, self._limits, self._pace, now)
        log.info(
            "self_reference_learned",
            model=watched.model,
            version=watched.version,
            rows=profile.created_from.rows,
            halves_differ=[one.column for one in halves],
        )

    # What it says.

    async def _judge(self, watched: Watched, observer: Observer, now: float) -> None:
        plan = self._plans().get(watched.model)
        is_live = plan is not None and plan.live == watched.version
        events = observer.judge_volume(now, is_live=is_live)
        if is_live and self.realised is not None:
            of = Version(watched.model, watched.version, watched.digest)
            readings = self.realised(of, baseline_of(observer.profile.score))
            events += observer.judge_realised(readings, now)
        if observer.tick(now):
            question = observer.question(now)
            found = await asyncio.to_thread(question.answer)
            events += observer.step(question, found, now)
        for event in events:
            self.keeper.note((watched.model, watched.version), observer.profile, event, now)

    async def _forget_gone(self) -> None:
        """Forget what was kept of versions that have left the repository."""
        known = {
            (name, version): one.plan.digest
            for name, model in self._models.items()
            for version, one in model.versions.items()
            if one.plan is not None
        }
        if known.keys() != self._there and self._is_settled():
            self._there = frozenset(known)
            there = {key: one.digest for key, one in self.watched.items()}
            await self.keeper.forget_all_but(known | there)
