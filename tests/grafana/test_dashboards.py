"""The dashboards are whole, and each of their queries has an answer from a real gateway."""

import contextlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer

from tests.grafana.test_prometheus import assert_all_is_well, configuration
from tests.grafana.test_rules import documented_series, rules
from tests.support import prometheus
from tests.support.documents import ROOT
from tests.support.gateway import Gateway, call, eventually, running
from tests.support.prometheus import Prometheus

BOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
COLUMNS = 24
FEATURES = ("mean radius", "label")
MODEL = "breast-cancer"
EMPTY_WHEN_ALL_IS_WELL = {"count(up", "tidegate_shadow_findings_total"}
"""Beginnings or names of what has no series before something happens."""


def board(path: Path) -> dict[str, Any]:
    """Return a dashboard."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def panels(path: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that show something."""
    return [panel for panel in board(path)["panels"] if panel["type"] != "row"]


def queries(path: Path) -> list[str]:
    """Return the queries of a dashboard's panels and annotations."""
    of_panels = [target["expr"] for panel in panels(path) for target in panel["targets"]]
    notes = board(path)["annotations"]["list"]
    return of_panels + [note["expr"] for note in notes if "expr" in note]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    """Panels are within the grid and on no other, say what they show, and use known variables."""
    found = board(path)
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        at = panel["gridPos"]
        cells = {
            (at["x"] + right, at["y"] + down) for right in range(at["w"]) for down in range(at["h"])
        }
        assert max(x for x, _ in cells) < COLUMNS, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert found["uid"] == path.stem
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    variables = {one["name"] for one in found["templating"]["list"]}
    used = {name for query in queries(path) for name in re.findall(r"\$(\w+)", query)}
    assert used - {"__rate_interval"} <= variables
    for panel in panels(path):
        assert panel["datasource"]["uid"] == "${datasource}"
        assert re.search(r"\btidegate_\w+|\bup\b|\bALERTS\b|A row for each", panel["description"])


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_names_only_series_that_there_are(path: Path) -> None:
    """They are exported, or recorded by a rule; also those that variables are made of."""
    text = " ".join(queries(path)) + str(board(path)["templating"])
    named = set(re.findall(r"\btidegate_[\w:]+", text))

    assert named <= documented_series() | {str(rule.get("record")) for rule in rules()}


@contextmanager
def traffic(gateway: Gateway) -> Iterator[None]:
    """Send rows of the real data, and labels of some, until the block ends."""
    data = load_breast_cancer()
    over = threading.Event()

    def send() -> None:
        number = 0
        while not over.wait(0.05):
            rows = data.data[number % 500 : number % 500 + 20].copy()
            rows[:, 0] *= 3.0  # What monitoring raises an alert of, and the dashboards show.
            tensor = {
                "name": "features",
                "datatype": "FP32",
                "shape": list(rows.shape),
                "data": rows.tolist(),
            }
            answer = gateway.infer(MODEL, [tensor])
            label = data.target_names[data.target[number % 500]]
            labels = [
                {"prediction_id": answer.headers["x-prediction-id"], "row": 0, "label": str(label)}
            ]
            call(gateway.control + "/v1/feedback", json.dumps(labels).encode())
            number += 20

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def filled_in(query: str, feature: str) -> str:
    """Return a query as Grafana would ask it for everything, and for one feature."""
    values = {
        "__rate_interval": "10s",
        "job": ".*",
        "instance": ".*",
        "model": MODEL,
        "version": "2",
        "feature": feature,
    }
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], query)


def has_answer(server: Prometheus, query: str) -> bool:
    """Say whether a query has an answer, for a feature of one kind or the other."""
    return any(server.query(filled_in(query, feature)) for feature in FEATURES)


def every_query() -> set[str]:
    """Return the queries of all dashboards, but those that ask for what must not happen."""
    asked = {query for path in BOARDS for query in queries(path)}
    return {query for query in asked if not any(name in query for name in EMPTY_WHEN_ALL_IS_WELL)}


_COMPARISON = re.compile(r"""("[^"]*"|\{[^}]*\})|(>=|<=|==|!=|>|<)(?!\s*bool)""")
"""A whole text or selector, which is left alone, or a comparison."""


_BEGIN_WITH_TROUBLE = (
    "tidegate_model:bad_requests:",
    "tidegate_model:failed_requests:",
    "tidegate_model:shed_requests:",
    "tidegate_model:usual_rows:",
    "tidegate_data_check_rows_total",
    "tidegate_version_faults_total",
    "tidegate_webhook_tries_total",
    'tidegate_release_gate{verdict="fail"}',
    'reach{rule="missing"}',
    'reach{rule="novel"}',
    'reach{rule="type"}',
)
"""Parts of expressions that have no answer before the first trouble, or before the first hours."""


def every_alert() -> set[str]:
    """Return what alerts ask, so that the answer is 0 or 1 where there would be none."""
    asked = {str(rule["expr"]) for rule in rules() if "alert" in rule}
    return {
        _COMPARISON.sub(lambda found: found[1] or f"{found[2]} bool", expr)
        for expr in asked
        if not any(name in expr for name in (*EMPTY_WHEN_ALL_IS_WELL, *_BEGIN_WITH_TROUBLE))
    }


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The example model with a third version, which is the first one again."""
    path = tmp_path / "models"
    shutil.copytree(ROOT / "models" / MODEL, path / MODEL)
    shutil.copytree(path / MODEL / "1", path / MODEL / "3")
    settings = path / MODEL / "model.toml"
    text = settings.read_text(encoding="utf-8").replace("latest:2", "all")
    settings.write_text(f'release = "manual"\n{text}', encoding="utf-8")
    return path


@pytest.mark.alone
def test_every_query_has_an_answer(repository: Path, tmp_path: Path) -> None:
    """With traffic, labels, a shadow and a canary: no panel of any dashboard stays empty."""
    settings = {"monitor_bin_metrics": "on", "monitor_window_seconds": 0.3}
    with (
        running(repository, tmp_path / "state", **settings) as gateway,
        traffic(gateway),
        prometheus.running(
            tmp_path, configuration(tmp_path, [gateway.control.removeprefix("http://")])
        ) as server,
    ):
        seen_twice = "count_over_time(tidegate_release_generation[1m]) > 1"
        eventually(lambda: server.query(seen_twice), 30.0)
        release = f"{gateway.control}/v1/models/{MODEL}/release"
        why = {"reason": "a test", "actor": "ann"}
        assert call(f"{release}/promote", {"version": 2, **why}).status == 200
        assert call(f"{release}/shadow", {"version": 1, **why}).status == 200
        assert call(f"{release}/canary", {"version": 3, "steps": [5000], **why}).status == 200

        missing = every_query() | every_alert()

        def all_were_answered() -> bool:
            missing.difference_update([query for query in missing if has_answer(server, query)])
            return not missing

        with contextlib.suppress(AssertionError):
            eventually(all_were_answered, 60.0)
        assert not missing, "\n".join(sorted(missing))
        assert_all_is_well(server)
