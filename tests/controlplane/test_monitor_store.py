"""Alerts in the words of the store, and back."""

import asyncio
from pathlib import Path

import numpy as np

from server.controlplane import monitor_store
from server.controlplane.monitor_store import Batch
from server.monitoring.alerts import AlertEvent, Change, DriftAlert
from server.monitoring.drift import WHOLE, Key, Reading
from server.monitoring.notifier import News
from server.monitoring.rate_plans import Rule
from server.statistics.sequential import Alert, AlertState
from server.statistics.window import Cell
from server.store.alerts import load_alerts, read_log
from server.store.database import Store
from server.store.keys import AlertKey, Subject
from server.store.windows import load_cells, load_subjects
from tests.support.references import normal_profile

NO_NEWS = News(frozenset(), ())
PROFILE = normal_profile(2, 500)
VERSION = ("m", "7")
READING = Reading(3, 900, 5.0, 1e-12, 3.5, "location up", 640.0)
FIRING = DriftAlert(AlertState(Alert.FIRING, 10.0, 20.0, 2), 640.0, 4.0, 8.0, READING)
PENDING = DriftAlert(AlertState(Alert.PENDING, 10.0, None, 1))
ALERTS: dict[Key, DriftAlert] = {
    (Rule.DRIFT, 0): FIRING,
    (Rule.VOLUME, WHOLE): PENDING,
    (Rule.RANGE, 1): DriftAlert(cleared_seconds=30.0),
}


def test_alerts_come_back_as_they_were() -> None:
    """Written and read again, each alert is the same, whatever version the profile was made of."""
    states = monitor_store.states_of(VERSION, PROFILE, ALERTS, {})

    assert monitor_store.alerts_of(VERSION, PROFILE, states) == ALERTS
    assert AlertKey("m", "7", "drift", "f0") in states
    assert AlertKey("m", "7", "volume", "") in states


def test_only_what_has_changed_is_written() -> None:
    """Nothing when nothing has; one that is quiet now is written as inactive, once."""
    states = dict(monitor_store.states_of(VERSION, PROFILE, ALERTS, {}))

    assert not monitor_store.states_of(VERSION, PROFILE, ALERTS, states)
    left = {key: alert for key, alert in ALERTS.items() if key[0] is not Rule.DRIFT}
    gone = monitor_store.states_of(VERSION, PROFILE, left, states)
    assert {key.rule: state.alert.value for key, (state, _) in gone.items()} == {
        "drift": "inactive"
    }
    states.update(gone)
    assert not monitor_store.states_of(VERSION, PROFILE, left, states)
    assert monitor_store.alerts_of(VERSION, PROFILE, states) == left


def test_what_is_not_the_profiles_is_left_out() -> None:
    """Another version, another profile, a column that is gone, a rule or a text nobody knows."""
    ((key, (state, evidence)),) = monitor_store.states_of(
        VERSION, PROFILE, {(Rule.DRIFT, 0): FIRING}, {}
    ).items()
    others = {
        AlertKey("m", "8", "drift", "f0"): (state, evidence),
        AlertKey("m", "7", "drift", "gone"): (state, evidence),
        AlertKey("m", "7", "whim", "f0"): (state, evidence),
        AlertKey("m", "7", "missing", "f0"): (state, evidence | {"profile": "another"}),
        AlertKey("m", "7", "range", "f0"): (state, evidence | {"reading": {"of": "another"}}),
        AlertKey("m", "7", "novel", "f0"): (state, {"profile": PROFILE.hash}),
    }

    assert monitor_store.alerts_of(VERSION, PROFILE, others) == {}
    assert monitor_store.alerts_of(VERSION, PROFILE, {key: (state, evidence)}) == {
        (Rule.DRIFT, 0): FIRING
    }


def test_each_change_is_logged_with_both_states() -> None:
    """From which state to which, and why."""
    entries = [
        monitor_store.logged(VERSION, PROFILE, AlertEvent((Rule.DRIFT, 0), change, FIRING), 50.0)
        for change in Change
    ]

    assert [(one.before.value, one.after.value) for one in entries] == [
        ("inactive", "pending"),
        ("pending", "firing"),
        ("firing", "inactive"),
        ("pending", "inactive"),
    ]
    assert entries[0].key == AlertKey("m", "7", "drift", "f0")
    assert entries[0].evidence["reading"]["p"] == 1e-12
    assert entries[0].at_seconds == 50.0


def test_a_flush_is_one_transaction_that_can_be_read_back(tmp_path: Path) -> None:
    """Cells, states and log of all versions; another process takes over what was open."""
    cells = [Cell(float(at), at + 1.0, np.array([at, 7])) for at in range(3)]
    states = monitor_store.states_of(VERSION, PROFILE, ALERTS, {})
    event = monitor_store.logged(
        VERSION, PROFILE, AlertEvent((Rule.DRIFT, 0), Change.RAISED, FIRING), 50.0
    )
    subject = Subject(*VERSION, PROFILE.hash)

    async def run() -> None:
        store = Store(tmp_path)
        batch = Batch(subject, cells[:2], cells[2], states, [event])
        await store.run(monitor_store.work_of_saving([batch], NO_NEWS, 60.0))
        assert not batch.is_empty
        found = await store.run(monitor_store.work_of_opening())
        assert monitor_store.alerts_of(VERSION, PROFILE, found) == ALERTS
        loaded = await store.run(monitor_store.work_of_loading(subject, 60.0))
        assert [cell.counts.tolist() for cell in loaded] == [[0, 7], [1, 7], [2, 7]]
        assert len(await store.run(lambda one: read_log(one, "m", 9))) == 1
        fresh = Batch(subject, [], Cell(9.0, 9.5, np.array([1, 1])), {}, [])
        await store.run(monitor_store.work_of_saving([fresh], NO_NEWS, 61.0))
        assert len(await store.run(lambda one: load_cells(one, subject, 0.0))) == 4
        await store.run(monitor_store.work_of_forgetting(frozenset({("m", "8")})))
        assert await store.run(load_subjects) == set()
        assert await store.run(load_alerts) == {}
        await store.close()

    asyncio.run(run())
    assert Batch(subject, [], None, {}, []).is_empty
