"""The alerts of Prometheus are in the state that the gateway's own alerts would be in."""

from pathlib import Path

import numpy as np
import pytest

from server.monitoring.alerts import DriftAlert, step_alerts
from server.monitoring.cumulating import CusumSums
from server.monitoring.drift import Key, View
from server.monitoring.rate_plans import Rule
from server.monitoring.together import Dependence
from server.statistics.sequential import Alert
from tests.support import prometheus
from tests.support.fleets import Fleet, varied_profile, varied_rows
from tests.support.prometheus import Expected

ALERTS = {
    Rule.DRIFT: "TidegateFeatureDrift",
    Rule.MISSING: "TidegateMissingValues",
    Rule.RANGE: "TidegateOutOfRange",
    Rule.NOVEL: "TidegateNovelCategories",
    Rule.TYPE: "TidegateTypeChange",
}


class OneGateway:
    """The alerts of a gateway that has all rows of a fleet, and looks at the same two windows."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._alerts: dict[Key, DriftAlert] = {}

    def step(self) -> dict[tuple[Rule, str], Alert]:
        """Judge as it is now; return the alerts that are raised."""
        fleet, judge = self._fleet, self._fleet.judge
        now = 60.0 * fleet.minute
        views = [
            View(name, fleet.window(minutes), max(0.0, now - 60.0 * minutes), now)
            for name, minutes in (("10m", 10), ("1h", 60))
        ]
        nothing = CusumSums(len(judge.screen.number_places)), Dependence(judge.layout, judge.bases)
        watched = [key for key, alert in self._alerts.items() if alert.is_raised]
        readings = judge.readings(views, *nothing, watched)
        self._alerts, _ = step_alerts(self._alerts, readings, judge.rule, now)
        return {
            (rule, judge.layout.columns[place].name): alert.state.alert
            for (rule, place), alert in self._alerts.items()
            if rule in ALERTS and alert.is_raised
        }


CODES = {Alert.INACTIVE: 0, Alert.PENDING: 1, Alert.FIRING: 2}


@pytest.mark.parametrize(
    ("replicas", "dose", "changed", "minutes", "features"),
    [
        (3, 0.25, range(4, 16), 16, ("normal", "skewed", "whole", "town", "label")),
        (1, 0.6, range(3, 12), 33, ("normal", "colour")),
    ],
    ids=["changed", "mended"],
)
def test_states_are_those_of_one_gateway_with_all_rows(
    tmp_path: Path,
    replicas: int,
    dose: float,
    changed: range,
    minutes: int,
    features: tuple[str, ...],
) -> None:
    """Minute by minute: inactive, pending or firing, on clean rows, changed ones, and after."""
    rng = np.random.default_rng(11)
    fleet = Fleet(varied_profile(), replicas, with_bins=True, features=features)
    gateway = OneGateway(fleet)
    expected, seen = [], []
    for minute in range(minutes):
        share = dose if minute in changed else 0.0
        fleet.take(*(varied_rows(rng, 150 // replicas, share) for _ in range(replicas)))
        raised = gateway.step()
        for rule, alert in ALERTS.items():
            for feature in features:
                state = raised.get((rule, feature), Alert.INACTIVE)
                seen.append(state)
                expected.append(Expected(_code(alert, feature), CODES[state], fleet.minute))

    prometheus.check(tmp_path / "test.yml", fleet.series, expected)
    assert set(seen) == set(Alert)
    assert (Alert.FIRING in seen[-len(ALERTS) * len(features) :]) == (minutes == changed.stop)


def _code(alert: str, feature: str) -> str:
    """Return the expression that is 0, 1 or 2: inactive, pending or firing."""
    pending, firing = (
        f'count(ALERTS{{alertname="{alert}", feature="{feature}", alertstate="{state}"}})'
        for state in ("pending", "firing")
    )
    return f"2 * {firing} or {pending} or vector(0)"
