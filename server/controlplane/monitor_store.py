"""What monitoring keeps over a restart, in the words of the store.

Decides how alerts are written as states and evidence, and what is read back: only what belongs to
the same profile, and to columns that it has. Knows the store's tables by its functions only.

Concurrency: `work` functions run on the store's thread and touch nothing but their arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from server.monitoring import notifier
from server.monitoring.alerts import AlertEvent, Change, DriftAlert
from server.monitoring.drift import WHOLE, Key, Reading
from server.monitoring.notifier import KEY_PREFIX, News
from server.monitoring.profile import Profile
from server.monitoring.rate_plans import Rule
from server.statistics.sequential import Alert, AlertState
from server.statistics.window import HOUR_SECONDS, Cell
from server.store.keys import AlertKey, Subject
from server.wire.desired import ModelPlan

if TYPE_CHECKING:
    from server.store.database import Connection

Evidence = dict[str, Any]
States = Mapping[AlertKey, tuple[AlertState, Evidence]]
Version = tuple[str, str]
"""Model and version."""

RESTORED_SECONDS = 25 * HOUR_SECONDS
"""What the longest window holds, and the hour that is open."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A change of an alert, for the log that only grows."""

    key: AlertKey
    before: Alert
    after: Alert
    evidence: Evidence
    at_seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one flush writes of one version."""

    subject: Subject
    cells: Sequence[Cell]
    open_cell: Cell | None
    states: States
    events: Sequence[LoggedEvent]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.cells or self.open_cell is not None or self.states or self.events)


def column_name(profile: Profile, place: int) -> str:
    """Return the name of a column; empty for what is about all of them."""
    return "" if place == WHOLE else profile.columns[place].column.name


def states_of(
    version: Version, profile: Profile, alerts: Mapping[Key, DriftAlert], before: States
) -> States:
    """Write the alerts of a version as states and evidence: those that are not as `before`."""
    now = {
        _store_key(version, profile, key): (alert.state, evidence_of(profile, alert))
        for key, alert in alerts.items()
    }
    nothing = (AlertState(), evidence_of(profile, DriftAlert()))
    for key in before:
        if (key.model, key.version) == version and before[key][0].alert is not Alert.INACTIVE:
            now.setdefault(key, nothing)  # Otherwise it would be back after a restart.
    return {key: one for key, one in now.items() if before.get(key) != one}


def logged(version: Version, profile: Profile, event: AlertEvent, now: float) -> LoggedEvent:
    """Write down what has happened to an alert."""
    before, after = _STEPS[event.change]
    evidence = evidence_of(profile, event.alert)
    return LoggedEvent(_store_key(version, profile, event.key), before, after, evidence, now)


_STEPS = {
    Change.PENDING: (Alert.INACTIVE, Alert.PENDING),
    Change.RAISED: (Alert.PENDING, Alert.FIRING),
    Change.CLEARED: (Alert.FIRING, Alert.INACTIVE),
    Change.WITHDRAWN: (Alert.PENDING, Alert.INACTIVE),
}


def evidence_of(profile: Profile, alert: DriftAlert) -> Evidence:
    """Return what an alert rests on, as JSON."""
    evidence: Evidence = {
        "profile": profile.hash,
        "sure_rows": alert.sure_rows,
        "cleared_seconds": alert.cleared_seconds,
        "onset_seconds": alert.onset_seconds,
    }
    if alert.reading is not None:
        evidence["reading"] = {name: getattr(alert.reading, name) for name in Reading.__slots__}
    return evidence


def alerts_of(version: Version, profile: Profile, states: States) -> dict[Key, DriftAlert]:
    """Read the alerts of a version back; what does not belong to its profile is left out."""
    places = {one.column.name: place for place, one in enumerate(profile.columns)} | {"": WHOLE}
    found = {}
    for key, (state, evidence) in states.items():
        is_ours = (key.model, key.version) == version and evidence.get("profile") == profile.hash
        if not is_ours or key.column not in places:
            continue
        try:
            rule, alert = Rule(key.rule), _alert(state, evidence)
        except (ValueError, TypeError, KeyError):
            continue  # Written by another release: it is raised again if it is still true.
        if not alert.is_quiet:
            found[rule, places[key.column]] = alert
    return found


def _alert(state: AlertState, evidence: Evidence) -> DriftAlert:
    reading, onset = evidence.get("reading"), evidence["onset_seconds"]
    return DriftAlert(
        state,
        float(evidence["sure_rows"]),
        float(evidence["cleared_seconds"]),
        None if onset is None else float(onset),
        None if reading is None else Reading(**reading),
    )


def _store_key(version: Version, profile: Profile, key: Key) -> AlertKey:
    rule, place = key
    return AlertKey(*version, rule.value, column_name(profile, place))


def work_of_opening() -> "Callable[[Connection], States]":
    """Return the first transaction of a process: close what was left open, read all alerts."""

    def work(connection: "Connection") -> States:
        from server.store import alerts, windows

        windows.close_open_cells(connection)
        return alerts.load_alerts(connection)

    return work


def work_of_loading(subject: Subject, now: float) -> "Callable[[Connection], list[Cell]]":
    """Return the transaction that reads the cells of a version."""

    def work(connection: "Connection") -> list[Cell]:
        from server.store import windows

        return windows.load_cells(connection, subject, now - RESTORED_SECONDS)

    return work


def news_of(
    before: States, batches: Sequence[Batch], plans: Mapping[str, ModelPlan], *, is_told: bool
) -> News:
    """Return what changes for a webhook when `batches` change the states that were `before`.

    Without one, `is_told` is False and there are no events.
    """
    after = dict(before)
    for batch in batches:
        after.update(batch.states)
    served = {(model, version) for model, plan in plans.items() for version in plan.versions}
    news = notifier.news(before, after, served)
    return news if is_told else replace(news, events=())


def work_of_saving(
    batches: Sequence[Batch], news: News, now: float
) -> "Callable[[Connection], None]":
    """Return the transaction that writes what is new of several versions, and whom to tell."""

    def work(connection: "Connection") -> None:
        from server.store import alerts, outbox, windows

        for batch in batches:
            if batch.cells or batch.open_cell is not None:
                windows.save_cells(connection, batch.subject, batch.cells, batch.open_cell)
            alerts.save_alerts(connection, batch.states, now)
            for event in batch.events:
                change = (event.before, event.after)
                alerts.append_log(connection, event.key, change, event.evidence, event.at_seconds)
        outbox.settle(connection, KEY_PREFIX, news.outstanding)
        for one in news.events:
            outbox.put(connection, one.event_id, one.dedupe_key, one.body, now)

    return work


def work_of_forgetting(versions: frozenset[Version]) -> "Callable[[Connection], None]":
    """Return the transaction that forgets all versions but these."""

    def work(connection: "Connection") -> None:
        from server.store import alerts, windows

        subjects = windows.load_subjects(connection)
        kept = {one for one in subjects if (one.model, one.version) in versions}
        windows.forget(connection, kept)
        alerts.forget_alerts(connection, versions)

    return work
