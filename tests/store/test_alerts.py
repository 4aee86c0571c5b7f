"""Alerts in the store: states as they were saved, and a log that only grows."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, update

from server.statistics.sequential import Alert, AlertState
from server.store.alerts import (
    LogEntry,
    append_log,
    forget_alerts,
    load_alerts,
    read_log,
    save_alerts,
    trim_log,
)
from server.store.keys import AlertKey
from server.store.schema import ALERT
from tests.support.stores import in_memory

AGE = AlertKey("m", "1", "drift", "age")
FIRING = AlertState(Alert.FIRING, 100.0, 160.0, 2)
EVIDENCE = {"p": 1e-9, "words": "higher", "rows": [1000, None]}


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A store in memory, in a transaction."""
    with in_memory() as opened:
        yield opened


words = st.text(max_size=5)
keys = st.builds(AlertKey, words, words, words, words)
seconds = st.floats(0, 2e9)
states = st.builds(
    AlertState, st.sampled_from(Alert), seconds, st.none() | seconds, st.integers(0, 99)
)
evidence = st.dictionaries(words, st.integers(-5, 5) | seconds | words | st.none(), max_size=3)
saves = st.dictionaries(keys, st.tuples(states, evidence), max_size=5)


@settings(max_examples=50)
@given(st.lists(saves, max_size=4))
def test_the_last_state_of_each_alert_is_loaded(
    rounds: list[dict[AlertKey, tuple[AlertState, dict[str, Any]]]],
) -> None:
    """For all saves, each alert has the state it was last saved with, bit for bit."""
    expected = {}
    with in_memory() as connection:
        for number, saved in enumerate(rounds):
            save_alerts(connection, saved, number)
            expected.update(saved)

        assert load_alerts(connection) == expected


def test_alerts_of_versions_that_are_gone_are_forgotten(connection: Connection) -> None:
    """A version is kept with its model's name, so that of another model of that number is not."""
    all_keys = [AGE, AlertKey("m", "2", "drift", "age"), AlertKey("n", "1", "volume", "")]
    save_alerts(connection, {key: (FIRING, {}) for key in all_keys}, 0)

    assert forget_alerts(connection, {("m", "2"), ("n", "2")}) == 2
    assert set(load_alerts(connection)) == {all_keys[1]}
    assert forget_alerts(connection, set()) == 1
    assert load_alerts(connection) == {}


@pytest.mark.parametrize(
    "damage", [{"state": "fir\ufffdng"}, {"evidence": "{"}, {"evidence": b"\xff"}], ids=str
)
def test_an_unreadable_alert_is_left_out(connection: Connection, damage: dict[str, Any]) -> None:
    """It begins anew as one that was never raised; the others keep their state."""
    other = AlertKey("m", "1", "missing", "age")
    save_alerts(connection, {AGE: (FIRING, EVIDENCE), other: (FIRING, EVIDENCE)}, 0)
    connection.execute(update(ALERT).where(ALERT.c.rule == "drift").values(damage))

    assert load_alerts(connection) == {other: (FIRING, EVIDENCE)}


def test_the_log_tells_a_models_changes_newest_first(connection: Connection) -> None:
    """With times, both states and what they rest on, and of the asked model only."""
    other = AlertKey("other", "1", "drift", "age")
    append_log(connection, AGE, (Alert.PENDING, Alert.FIRING), EVIDENCE, 10.0)
    append_log(connection, other, (Alert.PENDING, Alert.FIRING), {}, 11.0)
    append_log(connection, AGE, (Alert.FIRING, Alert.INACTIVE), {}, 9.0)  # The clock stepped back.

    raised = LogEntry(10.0, AGE, Alert.PENDING, Alert.FIRING, EVIDENCE)
    cleared = LogEntry(9.0, AGE, Alert.FIRING, Alert.INACTIVE, {})
    assert read_log(connection, "m", 10) == [cleared, raised]
    assert read_log(connection, "m", 1) == [cleared]
    assert read_log(connection, "nobody", 10) == []


def test_the_log_is_trimmed_by_age(connection: Connection) -> None:
    """Entries before a moment go, those at it stay."""
    for at in (1.0, 2.0, 3.0):
        append_log(connection, AGE, (Alert.INACTIVE, Alert.PENDING), {}, at)

    assert trim_log(connection, 2.0) == 1
    assert [entry.at_seconds for entry in read_log(connection, "m", 9)] == [3.0, 2.0]
