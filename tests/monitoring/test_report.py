"""The report: what moved most comes first, and every number can be written."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from server.monitoring.alerts import DriftAlert
from server.monitoring.counting import RowCounter
from server.monitoring.drift import WHOLE, Judge, Limits, Reading, View
from server.monitoring.profile import Profile
from server.monitoring.rate_plans import Rule
from server.monitoring.report import (
    Snapshot,
    describe_windows,
    performance,
    report_columns,
    whole_alerts,
)
from server.statistics import distance
from server.statistics.sequential import Alert, AlertState
from tests.support.references import (
    mixed_profile,
    mixed_rows,
    normal_blocks,
    normal_profile,
    scored_profile,
    scored_rows,
)

MIXED = mixed_profile(5000)


def _snapshot(profile: Profile, inputs: Any, outputs: Any, rows: int, **changes: Any) -> Snapshot:
    judge = Judge(profile, Limits(), 2)
    counter = RowCounter(judge.layout)
    counter.add(rows, inputs, outputs)
    taken = counter.take()
    nothing = np.zeros(judge.layout.width, np.int64)
    views = [View("1", nothing, 5.0, 5.0), View("4", nothing, 5.0, 5.0)]
    views.append(View("16", taken.counts, 5.0, 15.0))
    values: dict[str, Any] = {
        "judge": judge,
        "views": views,
        "alerts": {},
        "extremes": (taken.minima, taken.maxima),
        "novel_words": taken.novel_words,
        "window_names": ["1", "4", "16", "cumulative"],
    }
    return Snapshot(**(values | changes))


def _normal(shift: Any, rows: int = 3000, **changes: Any) -> list[dict[str, Any]]:
    profile = normal_profile(3, importances=(0.1, 0.9, 0.5, 1.0))
    x = np.random.default_rng(2).standard_normal((rows, 3)) + shift
    blocks = normal_blocks(profile, x.astype(np.float32))
    return report_columns(_snapshot(profile, *blocks, rows, **changes))


def test_what_moved_most_and_matters_most_comes_first() -> None:
    """Two columns move alike, and the more important is told first; still columns come last."""
    columns = _normal([0.5, 0.5, 0.0])

    order = [column["name"] for column in columns if column["side"] == "input"]
    assert order == ["f1", "f0", "f2"]
    assert columns[0]["verdict"]["words"].startswith("location up")
    assert columns[0]["verdict"]["q"] < 0.01
    assert columns[-1]["verdict"]["q"] > 0.05


def test_columns_with_alerts_lead() -> None:
    """Whatever the numbers say now, what was raised is told first, with all that is known of it."""
    reading = Reading(1, 900, 50.0, 1e-9, 3.0, "location up", 640.0)
    state = AlertState(Alert.FIRING, 60.0, 70.0, 2)
    alerts = {
        (Rule.DRIFT, 2): DriftAlert(state, reading=reading, onset_seconds=50.0),
        (Rule.NOVEL, 1): DriftAlert(cleared_seconds=9.0),
    }

    columns = _normal([0.5, 0.5, 0.0], alerts=alerts)

    assert columns[0]["name"] == "f2"
    assert columns[0]["alerts"] == [
        {
            "rule": "drift",
            "state": "firing",
            "since_seconds": 60.0,
            "raised_seconds": 70.0,
            "onset_seconds": 50.0,
            "words": "location up",
            "window": "4",
            "rows": 900,
            "p": 1e-9,
        }
    ]
    assert all(column["alerts"] == [] for column in columns[1:])


def test_alerts_about_all_columns_are_told_apart() -> None:
    """They are no column's, and one without a reading has no words."""
    alerts = {(Rule.VOLUME, WHOLE): DriftAlert(AlertState(Alert.PENDING, 5.0, None, 1))}
    profile = normal_profile(3)
    x = np.zeros((5, 3), np.float32)
    snapshot = _snapshot(profile, *normal_blocks(profile, x), 5, alerts=alerts)

    (alert,) = whole_alerts(snapshot)

    assert alert["rule"] == "volume"
    assert "words" not in alert
    assert describe_windows(snapshot)[2] == {
        "name": "16",
        "rows": 5,
        "start_seconds": 5.0,
        "end_seconds": 15.0,
    }


def test_measures_are_those_of_the_counts() -> None:
    """PSI and its neighbours are computed from the counts that are shown."""
    column = next(one for one in _normal([0.5, 0.0, 0.0]) if one["name"] == "f0")
    reference, live = (
        np.round(np.array(column["histogram"][side]) * rows).astype(np.int64)
        for side, rows in (("reference", 20_000), ("live", 3000))
    )

    measures = column["measures"]
    assert measures["rows"] == 3000
    assert measures["psi"] == pytest.approx(distance.psi(reference, live), rel=1e-3)
    assert measures["kolmogorov"] == pytest.approx(distance.kolmogorov(reference, live), rel=1e-3)
    assert measures["wasserstein"] == pytest.approx(0.5, rel=0.3)
    assert measures["psi_floor"] == pytest.approx(21 * (1 / 3000 + 1 / 20_000), rel=1e-3)


def test_ranges_and_new_words_are_shown() -> None:
    """The reference's range beside the live one, and the categories that came with their rows."""
    inputs, outputs = mixed_rows(np.random.default_rng(1), 1000)
    inputs["amount"] *= 1000.0
    inputs["colour"][:3] = "mauve"
    groups = MIXED.layout.groups
    snapshot = _snapshot(MIXED, groups[0].blocks(inputs), groups[1].blocks(outputs), 1000)

    columns = {column["name"]: column for column in report_columns(snapshot)}

    assert columns["amount"]["range"]["size"] == "about 1,000 times larger"
    assert columns["colour"]["novel"] == [{"word": "mauve", "rows": 3}]
    assert columns["colour"]["histogram"]["categories"] == ["red", "green", "blue", None]
    rates = {rate["name"]: rate for rate in columns["colour"]["rates"]}
    assert rates["never seen"] == {"name": "never seen", "reference": 0.0, "live": 0.003}


@pytest.mark.parametrize("rows", [0, 1, 300])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, 3e38])
def test_every_number_can_be_written(rows: int, value: float) -> None:
    """No rows, one row, or rows of NaN, infinities and extremes: the report is strict JSON."""
    profile = normal_profile(2, 500)
    blocks = normal_blocks(profile, np.full((rows, 2), value, np.float32))
    columns = report_columns(_snapshot(profile, *blocks, rows))

    assert json.loads(json.dumps(columns, allow_nan=False)) == columns
    assert {column["verdict"]["has_enough_rows"] for column in columns} == {rows == 300}


def test_a_reference_without_rows_is_told_too() -> None:
    """An empty reference compares with nothing, and the report still stands."""
    profile = mixed_profile(0)
    inputs, outputs = mixed_rows(np.random.default_rng(1), 300)
    groups = profile.layout.groups
    snapshot = _snapshot(profile, groups[0].blocks(inputs), groups[1].blocks(outputs), 300)

    columns = report_columns(snapshot)

    json.dumps(columns, allow_nan=False)
    assert all(column["verdict"]["p"] == 1.0 for column in columns)
    assert Counter(len(column["alerts"]) for column in columns) == {0: 5}


def test_estimated_performance_is_told_with_its_assumption() -> None:
    """Live beside reference, from the counts of the score, and null where there is no score."""
    profile = scored_profile(5000)
    inputs, outputs, _ = scored_rows(np.random.default_rng(5), 3000, 0.5)
    groups = profile.layout.groups
    snapshot = _snapshot(profile, groups[0].blocks(inputs), groups[1].blocks(outputs), 3000)

    told = performance(snapshot)

    assert told is not None
    assert told["window"] == "16"
    assert told["live"]["rows"] == 3000
    assert 0.6 < told["live"]["accuracy"] < told["reference"]["accuracy"] < 0.9
    assert "concept drift" in told["assumption"]
    json.dumps(told, allow_nan=False)
    x = np.zeros((5, 3), np.float32)
    plain = normal_profile(3)
    assert performance(_snapshot(plain, *normal_blocks(plain, x), 5)) is None


def test_too_few_rows_join_no_list() -> None:
    """However strange a few rows are, their false discovery rate is 1."""
    columns = _normal([3.0, 0.0, 0.0], rows=100)

    strange = next(column for column in columns if column["name"] == "f0")
    assert strange["verdict"]["p"] < 1e-9
    assert strange["verdict"]["q"] == 1.0
