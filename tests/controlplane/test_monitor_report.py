"""What a report says of a version beside its columns."""

import asyncio
import json
from typing import Any

import numpy as np

from server.controlplane.monitor_report import drift_report
from server.controlplane.watched import Watched
from server.monitoring.drift import Limits
from server.monitoring.observer import Observer, Pace
from server.monitoring.profiling import Difference
from server.monitoring.self_reference import SelfReference
from server.wire import record
from tests.support.monitoring import WIDTH, affine_profile, message
from tests.support.references import signature


def _report(*watched: Watched, live: str | None = "1") -> Any:
    report = asyncio.run(drift_report("m", live, watched, 100.0))
    return json.loads(json.dumps(report, allow_nan=False))


def test_a_watched_version_tells_its_reference_and_its_budget() -> None:
    """By what it is watched, what it may cost, and the columns with what moved first."""
    profile = affine_profile(5000)
    observer = Observer(profile, Limits(alarms_per_month=2.0), Pace(), 0.0)
    halves = [Difference("x[0]", "location up", 0.4)]
    watched = Watched("m", "1", "d", profile.hash, observer, halves=halves)
    x = np.random.default_rng(1).standard_normal((300, WIDTH)).astype(np.float32)
    x[:, 2] += 2.0
    watched.take(record.decode(message("1", "d", x)))

    report = _report(watched)
    (version,) = report["versions"]

    assert (report["model"], report["live"], report["generated_seconds"]) == ("m", "1", 100.0)
    assert (version["state"], version["is_live"], version["rows"]) == ("watching", True, 300)
    assert version["reference"] == {
        "is_self_reference": False,
        "name": "train.csv",
        "rows": 5000,
        "hash": profile.hash,
        "cycle": None,
        "halves_differ": [{"column": "x[0]", "words": "location up", "effect": 0.4}],
    }
    assert version["budget"]["false_alarms_per_month"] == 2.0
    assert 0.0 < version["budget"]["alpha"] < 1e-5
    assert [one["name"] for one in version["windows"]] == ["1", "4", "16", "64", "day"]
    assert version["windows"][-1]["rows"] == 300
    assert {one["name"] for one in version["columns"][:2]} == {"x[2]", "y[2]"}


def test_a_learning_version_tells_how_far_it_is() -> None:
    """No windows, columns or budget yet, but the rows that it has."""
    tensors = signature({"x": ("FP32", WIDTH)}, {"y": ("FP32", WIDTH)})
    watched = Watched("m", "2", "d", "", learning=SelfReference(tensors, {}, 100))
    watched.take(record.decode(message("2", "d", np.zeros((30, WIDTH), np.float32))))

    (version,) = _report(watched)["versions"]

    assert version == {
        "version": "2",
        "is_live": False,
        "state": "learning",
        "rows": 30,
        "learned_rows": 30,
        "windows": [],
        "alerts": [],
        "performance": None,
        "columns": [],
    }


def test_a_model_without_watched_versions_has_an_empty_report() -> None:
    """Nothing is loaded: there is nothing to tell, and that is told."""
    assert _report(live=None)["versions"] == []
