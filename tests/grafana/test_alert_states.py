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
    ("replicas", "minutes", "features"),
    [
        (3, [(0.0, 150)] * 4 + [(0.25, 150)] * 12, ("normal", "skewed", "whole", "town", "label")),
        (
            1,
            [(0.0, 150)] * 3 + [(0.6, 150)] * 9 + [(0.12, 150)] * 12 + [(0.0, 150)] * 22,
            ("normal", "colour"),
        ),
        (1, [(0.6, 150)] * 20 + [(0.0, 8500), (0.0, 150), (0.0, 5000)], ("normal",)),
    ],
    ids=["changed", "mended", "diluted"],
)
def test_states_are_those_of_one_gateway_with_all_rows(
    tmp_path: Path, replicas: int, minutes: list[tuple[float, int]], features: tuple[str, ...]
) -> None:
    """Each minute, by share of changed rows and number of rows: inactive, pending or firing."""
    rng = np.random.default_rng(11)
    fleet = Fleet(varied_profile(), replicas, with_bins=True, features=features)
    gateway = OneGateway(fleet)
    expected, seen, raised = [], [], gateway.step()
    for dose, rows in minutes:
        fleet.take(*(varied_rows(rng, rows // replicas, dose) for _ in range(replicas)))
        raised = gateway.step()
        for rule, alert in ALERTS.items():
            for feature in features:
                state = raised.get((rule, feature), Alert.INACTIVE)
                seen.append(state)
                expected.append(Expected(_code(alert, feature), CODES[state], fleet.minute))

    prometheus.check(tmp_path / "test.yml", fleet.series, expected)
    assert set(seen) == set(Alert)
    is_firing = raised.get((Rule.DRIFT, "normal")) is Alert.FIRING
    assert is_firing == (minutes[-1][0] > 0.0)


def _code(alert: str, feature: str) -> str:
    """Return the expression that is 0, 1 or 2: inactive, pending or firing."""
    pending, firing = (
        f'count(ALERTS{{alertname="{alert}", feature="{feature}", alertstate="{state}"}})'
        for state in ("pending", "firing")
    )
    return f"2 * {firing} or {pending} or vector(0)"
