"""What monitoring keeps over a restart: counts, alerts, the log of their changes, what was learned.

Decides when the store is asked and what waits while it cannot be used: sub-windows and changes of
alerts, bounded. Does not know who is watched, nor when to write.

Concurrency: event loop only; one call at a time, but for `note`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from server.controlplane import monitor_store, self_references
from server.controlplane.monitor_store import Batch, Evidence, LoggedEvent
from server.controlplane.watched import Watched
from server.monitoring.alerts import AlertEvent, Change, DriftAlert
from server.monitoring.drift import Key as ColumnKey
from server.monitoring.observer import Observer
from server.monitoring.profile import Profile
from server.operator_errors import StoreUnavailable
from server.statistics.sequential import AlertState
from server.statistics.window import Cell
from server.store.database import Store
from server.store.keys import AlertKey, Subject
from server.wire.desired import ModelPlan

log = structlog.get_logger()

MAX_LOGGED = 1000
"""Changes of alerts that wait for the store; beyond it, the oldest are only in the log."""

Key = tuple[str, str]
"""Model and version."""


class Keeper:
    """What is in the store, and what waits for it."""

    def __init__(self, store: Store, state_dir: Path) -> None:
        self.alarms: Counter[tuple[str, str, str]] = Counter()
        """Alerts that began to fire, by model, version and rule."""
        self.wake_notifier: Callable[[], None] | None = None
        """To be called when there is something to tell a webhook; None without one."""
        self._store = store
        self._state_dir = state_dir
        self._states: dict[AlertKey, tuple[AlertState, Evidence]] = {}
        """Alerts as the store has them."""
        self._is_open = False
        """Whether the store was asked for what an earlier process left."""
        self._logged: dict[Key, list[LoggedEvent]] = {}

    async def load(
        self, key: Key, profile: Profile, now: float
    ) -> tuple[Sequence[Cell], Mapping[ColumnKey, DriftAlert]]:
        """Return the cells of the last day and the alerts of a version; none if it cannot be."""
        try:
            await self._open_store()
            work = monitor_store.work_of_loading(Subject(*key, profile.hash), now)
            cells = await self._store.run(work)
        except StoreUnavailable:
            return [], {}  # The store has said so itself.
        return cells, monitor_store.alerts_of(key, profile, self._states)

    def note(self, key: Key, profile: Profile, event: AlertEvent, now: float) -> None:
        """Count, log and remember that something has happened to an alert."""
        entries = self._logged.setdefault(key, [])
        entries.append(monitor_store.logged(key, profile, event, now))
        del entries[:-MAX_LOGGED]
        rule, place = event.key
        if event.change is Change.RAISED:
            self.alarms[(*key, rule.value)] += 1
        if event.change in (Change.RAISED, Change.CLEARED):
            reading = event.alert.reading
            is_raised = event.change is Change.RAISED
            tell = log.warning if is_raised else log.info
            tell(
                "alert_raised" if is_raised else "alert_cleared",
                model=key[0],
                version=key[1],
                rule=rule.value,
                column=monitor_store.column_name(profile, place),
                words="" if reading is None else reading.words,
            )

    async def flush(
        self, watched: Mapping[Key, Watched], plans: Mapping[str, ModelPlan], now: float
    ) -> None:
        """Write what is new; if that fails, it waits for the next time."""
        batches = self._batches(watched, now)
        if not batches:
            return
        try:
            await self._open_store()
            new = [batch for _, batch in batches]
            news = monitor_store.news_of(
                self._states, new, plans, is_told=self.wake_notifier is not None
            )
            work = monitor_store.work_of_saving(new, news, now)
            await self._store.run(work, is_durable=any(batch.events for batch in new))
        except StoreUnavailable:
            return  # The store has said so itself.
        for observer, batch in batches:
            observer.saved(batch.cells)
            self._states.update(batch.states)
            key = (batch.subject.model, batch.subject.version)
            self._logged[key] = self._logged.get(key, [])[len(batch.events) :]
        if self.wake_notifier is not None and news.events:
            self.wake_notifier()

    def _batches(self, watched: Mapping[Key, Watched], now: float) -> list[tuple[Observer, Batch]]:
        batches: list[tuple[Observer, Batch]] = []
        for key, one in watched.items():
            observer = one.observer
            if observer is not None:
                cells, opened = observer.unsaved(now)
                alerts = observer.alerts
                states = monitor_store.states_of(key, observer.profile, alerts, self._states)
                events = tuple(self._logged.get(key, ()))
                subject = Subject(*key, observer.profile.hash)
                batch = Batch(subject, cells, opened, states, events)
                if not batch.is_empty:
                    batches.append((observer, batch))
        return batches

    async def _open_store(self) -> None:
        """Take over what an earlier process left, once."""
        if not self._is_open:
            found = await self._store.run(monitor_store.work_of_opening())
            self._states, self._is_open = dict(found) | self._states, True

    async def forget_all_but(self, digests: Mapping[Key, str]) -> None:
        """Forget what was kept of all versions but these, whose files have these digests."""
        try:
            await self._store.run(monitor_store.work_of_forgetting(frozenset(digests)))
        except StoreUnavailable:
            return  # The next change of the repository tries again.
        kept = {(*key, digest) for key, digest in digests.items()}
        await asyncio.to_thread(self_references.keep_only, self._state_dir, kept)
