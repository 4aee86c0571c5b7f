"""Labels of a real gateway's predictions come back as accuracy, and outlive a crash."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import models
from tests.support.gateway import Gateway, Reply, call, eventually, running

PREDICTION_ID = "x-prediction-id"


@pytest.fixture
def gateway(repository: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that serves a regression: y = 2 x + 1."""
    models.put(repository, "m", 1, models.affine(dims=("N", 1)))
    with running(repository, tmp_path / "state") as found:
        yield found


def _push(gateway: Gateway, *items: Any) -> Reply:
    return call(gateway.control + "/v1/feedback", json.dumps(items).encode())


def _results(gateway: Gateway, *items: Any) -> list[str]:
    return [one["result"] for one in _push(gateway, *items).json["results"]]


def _role(gateway: Gateway) -> dict[str, Any]:
    report = call(gateway.control + "/v1/models/m/performance").json
    (version,) = report["versions"]
    (role,) = version["roles"]
    found: dict[str, Any] = role
    return found


def _kept(gateway: Gateway, rows: int) -> bool:
    return gateway.metric("tidegate_feedback_kept_rows") >= rows


def test_labels_come_back_as_figures_and_survive_a_kill(gateway: Gateway) -> None:
    """Joined, repeated, corrected, wrong and unknown labels; then control dies and nothing is lost.

    All in one gateway, because each part goes on from what the one before it left.
    """
    first = gateway.infer("m", [[1.0], [2.0]])
    own = gateway.infer("m", [[3.0]], X_Prediction_Id="order-17")
    assert own.headers[PREDICTION_ID] == "order-17"
    name = first.headers[PREDICTION_ID]
    eventually(lambda: _kept(gateway, 3))

    answer = _push(
        gateway,
        {"prediction_id": name, "label": 3.0},
        {"prediction_id": name, "row": 1, "label": 6.0},
        {"prediction_id": name, "row": 2, "label": 6.0},
        {"prediction_id": "order-17", "label": 7},
        {"prediction_id": name, "label": "many"},
        {"prediction_id": "5-0000002a", "label": 1},
        {"prediction_id": name, "label": 3.0},
        {"truth": 1},
    )
    assert answer.status == 200
    assert [one["result"] for one in answer.json["results"]] == [
        "joined", "joined", "rejected", "joined", "rejected", "expired", "duplicate", "rejected",
    ]  # fmt: skip
    assert answer.json["results"][2]["reason"] == "row: the prediction has 2 rows, got 2"
    role = _role(gateway)
    assert (role["role"], role["task"]) == ("live", "regression")
    assert (role["predicted"], role["labelled"], role["coverage"]) == (3, 3, 1.0)
    assert role["figures"]["mae"] == pytest.approx(1 / 3, rel=1e-5)

    assert _results(gateway, {"prediction_id": name, "row": 1, "label": 5.0}) == ["corrected"]
    assert _role(gateway)["figures"]["rmse"] == 0.0
    assert gateway.metric('tidegate_feedback_labels_total{result="corrected"}') == 1

    control = gateway.children()["control"]
    os.kill(control, signal.SIGKILL)
    eventually(lambda: gateway.children().get("control", control) != control)
    eventually(lambda: _role(gateway)["figures"]["rmse"] == 0.0)
    assert _role(gateway)["labelled"] == 3
    again = [
        {"prediction_id": name, "row": 1, "label": 5.0},
        {"prediction_id": "order-17", "label": 8},
    ]
    assert _results(gateway, *again) == ["duplicate", "corrected"]
    assert _role(gateway)["figures"]["mae"] == pytest.approx(1 / 3, rel=1e-5)


def test_a_label_that_is_quick_and_a_body_that_is_not_json(gateway: Gateway) -> None:
    """Sent at once, a label joins, or waits and joins then; a broken call is refused as a whole."""
    name = gateway.infer("m", [[1.0]]).headers[PREDICTION_ID]

    (result,) = _results(gateway, {"prediction_id": name, "label": 3.0})
    assert result in ("joined", "early")
    eventually(lambda: _role(gateway)["labelled"] == 1)
    broken = call(gateway.control + "/v1/feedback", b"{")
    assert (broken.status, broken.json["code"]) == (400, "bad_json")


@pytest.mark.alone
def test_one_label_scores_live_version_and_shadow(repository: Path, tmp_path: Path) -> None:
    """A candidate runs on copies; what it answered is compared by the labels of the live rows."""
    for version, boundary in ((1, 0.0), (2, 1.0)):
        models.put(repository, "m", version, models.classifier(boundary))
    (repository / "m" / "model.toml").write_text(
        'release = "manual"\nversion_policy = "specific:1"\n'
    )
    with running(repository, tmp_path / "state") as gateway:
        url = gateway.control + "/v1/models/m/release/shadow"
        body = {"version": "2", "actor": "a test"}
        eventually(lambda: call(url, body).status == 200)

        def accuracy() -> Any:
            name = gateway.infer("m", [[0.5, 0.0]]).headers[PREDICTION_ID]
            _push(gateway, {"prediction_id": name, "label": 1})
            (shadow,) = call(gateway.control + "/v1/models/m/release").json["gates"]["shadows"]
            return [gate for gate in shadow["gates"] if gate["gate"] == "accuracy"]

        (gate,) = eventually(accuracy, seconds=60.0)
        report = call(gateway.control + "/v1/models/m/performance").json

    assert (gate["verdict"], gate["observed"], gate["unit"]) == ("inconclusive", 1.0, "labels")
    roles = {one["version"]: one["roles"][0] for one in report["versions"]}
    assert (roles["1"]["role"], roles["1"]["figures"]["accuracy"]) == ("live", 1.0)
    assert (roles["2"]["role"], roles["2"]["figures"]["accuracy"]) == ("shadow", 0.0)
    (pair,) = report["pairs"]
    assert (pair["live"], pair["candidate"]) == ("1", "2")
    assert pair["live_only_right"] >= 1
    assert pair["both_right"] == pair["candidate_only_right"] == pair["neither_right"] == 0
