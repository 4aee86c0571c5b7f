"""Alerts are raised, stay while the change does, end soon after it, and do not flap."""

from collections.abc import Sequence

from server.monitoring.alerts import Alerts, Change, DriftAlert, reach, step_alerts
from server.monitoring.drift import Key, Reading
from server.monitoring.rate_plans import Rule
from server.statistics.sequential import Alert, AlertRule, AlertState

RULE = AlertRule(alpha=1e-6, min_effect=1.0, min_rows=200, consecutive=2, clear_ratio=0.7)
KEY: Key = (Rule.DRIFT, 3)

STRONG, WEAK, NONE = 1e-12, 1e-5, 0.5
"""Reaches of 2, of 0.83 and of about 0."""


def _reading(
    window: int, p: float, rows: int = 1000, start: float = 1e6, sure_rows: float = 0.0
) -> Reading:
    return Reading(window, rows, start, p, 5.0, f"window {window}", sure_rows)


def _run(*evaluations: Sequence[Reading], alerts: Alerts | None = None) -> tuple[Alerts, list[str]]:
    """Step through evaluations, ten seconds apart; return the alerts and what happened."""
    current, told = dict(alerts or {}), []
    for number, readings in enumerate(evaluations):
        current, events = step_alerts(current, {KEY: readings}, RULE, 1e6 + 10.0 * number)
        told += [event.change.value for event in events]
    return current, told


def test_two_evaluations_in_a_row_raise() -> None:
    """The first makes it pending, the second fires; it says since when, and which window told."""
    over = [_reading(0, NONE), _reading(1, STRONG)]

    alerts, told = _run(over, over)

    assert told == ["pending", "raised"]
    alert = alerts[KEY]
    assert alert.state == AlertState(Alert.FIRING, 1e6, 1e6 + 10.0, 2)
    assert alert.reading is not None
    assert alert.reading.words == "window 1"


def test_one_evaluation_alone_is_withdrawn() -> None:
    """A pending alert that is not over again is forgotten whole."""
    alerts, told = _run([_reading(0, STRONG)], [_reading(0, WEAK)])

    assert told == ["pending", "withdrawn"]
    assert not alerts


def test_windows_with_too_few_rows_say_nothing() -> None:
    """Neither raise nor clear: the alert stays as it is."""
    few = [_reading(0, STRONG, rows=199)]
    firing, _ = _run([_reading(0, STRONG)], [_reading(0, STRONG)])

    assert _run(few, few) == ({}, [])
    assert _run([_reading(0, NONE, rows=199)], alerts=firing) == (firing, [])


def test_a_long_window_does_not_hold_an_alert() -> None:
    """Once a window that would be sure to show the change is clean, longer ones are not heard."""
    over = [_reading(0, STRONG, sure_rows=900.0), _reading(1, STRONG, sure_rows=900.0)]
    after = [_reading(0, NONE), _reading(1, STRONG)]

    _, told = _run(over, over, after)

    assert told == ["pending", "raised", "cleared"]


def test_a_short_window_does_not_end_a_small_change() -> None:
    """While no clean window is long enough to have shown it, the alert stays."""
    over = [_reading(0, NONE), _reading(1, STRONG, rows=4000, sure_rows=3000.0)]

    alerts, told = _run(over, over, over, over)

    assert told == ["pending", "raised"]
    assert alerts[KEY].sure_rows == 3000.0


def test_between_raising_and_clearing_it_stays() -> None:
    """Evidence that would not raise, but is near it, keeps what fires, and starts nothing."""
    weak = [_reading(0, WEAK)]

    _, told = _run([_reading(0, STRONG)], [_reading(0, STRONG)], weak, weak)

    assert told == ["pending", "raised"]
    assert _run(weak, weak) == ({}, [])


def test_what_began_before_an_alert_was_cleared_is_over() -> None:
    """A window that still holds the old rows raises nothing; one that began later does."""
    over = [_reading(0, STRONG)]
    cleared, _ = _run(over, over, [_reading(0, NONE)])
    moment = cleared[KEY].cleared_seconds
    old, fresh = [_reading(3, STRONG, start=moment - 1.0)], [_reading(0, STRONG, start=moment)]

    assert moment == 1e6 + 20.0
    assert _run(old, old, alerts=cleared)[1] == []
    assert _run(fresh, fresh, alerts=cleared)[1] == ["pending", "raised"]


def test_an_improbable_change_that_is_small_raises_nothing() -> None:
    """The lesser of certainty and size counts."""
    small = Reading(0, 10**6, 1e6, 1e-200, 0.5, "small")

    assert reach(small, RULE) == 0.5
    assert _run([small], [small]) == ({}, [])


def test_alerts_without_readings_stay() -> None:
    """Nobody asked, so nothing changes."""
    firing, _ = _run([_reading(0, STRONG)], [_reading(0, STRONG)])

    after, events = step_alerts(firing, {}, RULE, 2e6)

    assert after == firing
    assert events == []


def test_a_quiet_alert_is_not_remembered() -> None:
    """What never was anything takes no room."""
    assert DriftAlert().is_quiet
    assert not DriftAlert(cleared_seconds=5.0).is_quiet
    assert not DriftAlert(cleared_seconds=5.0).is_raised
    assert list(Change) == ["pending", "raised", "cleared", "withdrawn"]
