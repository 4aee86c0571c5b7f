"""Which alerts of a version are raised, kept and cleared, from what its windows say.

Decides which of the windows speaks for a column. To raise, it is the one whose evidence reaches
furthest. To stay, only windows are heard up to the first one that would be sure to show a change of
that size, so that an alert ends soon after its cause does, and not before: a day's window would
keep it firing for a day after the pipeline was mended, and one that is too short would miss a small
change as often as not. For the same reason nothing that began before an alert was cleared counts
for that column any more.

An alert is a value; `step_alerts` returns the next ones. How often in a row something must be over
is decided by `statistics/sequential.py`. Told the time. Does not know counts, stores or webhooks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from server.monitoring.drift import Key, Reading, Readings
from server.statistics.sequential import Alert, AlertRule, AlertState, Evaluation, step, strength


@dataclass(frozen=True, slots=True)
class DriftAlert:
    """Where one rule of one column is, and why."""

    state: AlertState = field(default_factory=AlertState)
    sure_rows: float = 0.0
    """Rows of a window that would be sure to show the change, as it was when last over."""
    cleared_seconds: float = 0.0
    """When it last stopped firing: windows that began earlier say nothing any more."""
    onset_seconds: float | None = None
    """When the change began, as far as counts tell; known once it fires."""
    reading: Reading | None = None
    """What was last said."""

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to remember."""
        return not self.is_raised and self.cleared_seconds == 0.0

    @property
    def is_raised(self) -> bool:
        """Whether it is pending or firing."""
        return self.state.alert is not Alert.INACTIVE


class Change(StrEnum):
    """What can happen to an alert."""

    PENDING = "pending"
    RAISED = "raised"
    CLEARED = "cleared"
    WITHDRAWN = "withdrawn"
    """It was pending, and the next evaluation was not over."""


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """Something happened to an alert."""

    key: Key
    change: Change
    alert: DriftAlert


Alerts = Mapping[Key, DriftAlert]
"""Those that are not quiet."""


def step_alerts(
    alerts: Alerts, readings: Readings, rule: AlertRule, now_seconds: float
) -> tuple[dict[Key, DriftAlert], list[AlertEvent]]:
    """Return the alerts after one more evaluation, and what has happened to them.

    An alert without readings stays as it is.
    """
    after = dict(alerts)
    events: list[AlertEvent] = []
    for key, found in readings.items():
        before = alerts.get(key, DriftAlert())
        alert = _step(before, found, rule, now_seconds)
        change = _change(before.state.alert, alert.state.alert)
        if change is not None:
            events.append(AlertEvent(key, change, alert))
        if alert.is_quiet:
            after.pop(key, None)
        else:
            after[key] = alert
    return after, events


def reach(reading: Reading, rule: AlertRule) -> float:
    """Return how near a reading is to raising: 1 or more does; the lesser of strength and size."""
    return min(strength(reading.p, rule.alpha), reading.effect / rule.min_effect)


def _step(
    alert: DriftAlert, readings: Sequence[Reading], rule: AlertRule, now_seconds: float
) -> DriftAlert:
    usable = [
        reading
        for reading in readings
        if reading.rows >= rule.min_rows and reading.start >= alert.cleared_seconds
    ]
    if not usable:
        return alert
    if alert.state.alert is Alert.FIRING:
        sure = next((at for at, one in enumerate(usable) if one.rows >= alert.sure_rows), None)
        usable = usable if sure is None else usable[: sure + 1]
    reading = max(usable, key=lambda one: reach(one, rule))
    evaluation = Evaluation(reading.p, reading.effect, reading.rows)
    state = step(alert.state, evaluation, rule, now_seconds)
    if state.alert is not Alert.INACTIVE:
        is_over = reach(reading, rule) >= 1.0
        sure_rows = reading.sure_rows if is_over else alert.sure_rows
        return replace(alert, state=state, sure_rows=sure_rows, reading=reading)
    has_cleared = alert.state.alert is Alert.FIRING
    cleared = now_seconds if has_cleared else alert.cleared_seconds
    return DriftAlert(state, cleared_seconds=cleared)


def _change(before: Alert, after: Alert) -> Change | None:
    if before is after:
        return None
    if after is Alert.FIRING:
        return Change.RAISED
    if after is Alert.PENDING:
        return Change.PENDING
    return Change.CLEARED if before is Alert.FIRING else Change.WITHDRAWN
