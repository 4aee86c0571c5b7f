"""What a request's values do that break a data check, on every path of a worker."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from server.monitoring.checks import Check, Policy
from tests.dataplane.conftest import PlanOf
from tests.support.asking import affine_data, ask, check_nothing_left, data_of, error_of, infer_body
from tests.support.dataplane import InProcessWorker
from tests.support.raw import post

PATHS = ["/v2/models/checked/infer", "/v2/models/checked/infer?cold"]
V1 = "/v1/models/checked:predict"
CHECKS = (
    Check("age", "x", 0, Policy.WARN, minimum=0, maximum=120),
    Check("bmi", "x", 1, Policy.REJECT, minimum=10, nullable=False),
    Check("s1", "x", 2, Policy.COUNT, maximum=5),
)
WARNING = "feature 'age' is -1 in row 0, expected 0 to 120"
REFUSAL = "feature 'bmi' is 9 in row 0, expected at least 10"


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """Run a worker whose one model has a check of each policy."""
    plan = replace(plan_of("affine", max_rows=8), checks=CHECKS)
    with InProcessWorker(tmp_path_factory.mktemp("checked"), {"checked": plan}) as worker:
        yield worker


def broken(worker: InProcessWorker) -> dict[tuple[str, str, str], int]:
    """Return what the version has counted since it was last asked."""

    def take() -> dict[tuple[str, str, str], int]:
        table = worker.worker.plane.routes.table
        tally = table.find("checked", None).served.telemetry.tally
        rows = dict(tally.broken)
        tally.broken.clear()
        return rows

    result: dict[tuple[str, str, str], int] = worker.on_loop(take)
    return result


@pytest.mark.parametrize("path", PATHS)
def test_good_values_are_answered_as_without_checks(checked: InProcessWorker, path: str) -> None:
    """Nothing is added to the answer, and nothing is counted."""
    answer = ask(checked, post(path, infer_body([[5, 20, 1]])))

    assert data_of(answer) == affine_data([[5, 20, 1]])
    assert "parameters" not in json.loads(answer.body)
    assert broken(checked) == {}


@pytest.mark.parametrize("path", PATHS)
def test_a_warning_comes_with_the_prediction(checked: InProcessWorker, path: str) -> None:
    """The answer has the numbers it always had, and says what is odd about the row."""
    answer = ask(checked, post(path, infer_body([[-1, 20, 1]], id="odd")))

    document = json.loads(answer.body)
    assert data_of(answer) == affine_data([[-1, 20, 1]])
    assert document["parameters"] == {"warnings": [WARNING]}
    assert list(document) == ["model_name", "model_version", "id", "parameters", "outputs"]
    assert broken(checked) == {("age", "range", "warn"): 1}


@pytest.mark.parametrize("path", [*PATHS, V1])
@pytest.mark.parametrize(
    ("row", "words"),
    [([-1, 9, 1], REFUSAL), ([1, None, 1], "feature 'bmi' is missing in row 0")],
)
def test_a_refusal_names_feature_row_and_value(
    checked: InProcessWorker, path: str, row: list[Any], words: str
) -> None:
    """400 with a code of its own; the model is not asked, and the next request is answered."""
    text = json.dumps(row).replace("null", "NaN")
    body = (
        f'{{"instances":[{text}]}}'
        if path == V1
        else f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,3],"data":{text}}}]}}'
    )
    answer = ask(checked, post(path, body.encode()))

    assert error_of(answer) == (400, "data_check_failed")
    assert json.loads(answer.body)["error"] == words
    assert broken(checked)["bmi", "range" if row[1] else "missing", "reject"] == 1
    again = ask(checked, post(PATHS[0], infer_body([[5, 20, 1]])))
    assert data_of(again) == affine_data([[5, 20, 1]])
    check_nothing_left(checked)


@pytest.mark.parametrize("path", PATHS)
def test_counting_changes_no_answer(checked: InProcessWorker, path: str) -> None:
    """A check that only counts leaves the answer alone, byte for byte."""
    odd = ask(checked, post(path, infer_body([[5, 20, 9]])))

    assert broken(checked) == {("s1", "range", "count"): 1}
    assert data_of(odd) == affine_data([[5, 20, 9]])
    assert "parameters" not in json.loads(odd.body)


def test_every_part_of_a_large_request_is_looked_at(checked: InProcessWorker) -> None:
    """A request of more rows than a batch is held to its checks as a whole."""
    rows = [[1, 20, 1]] * 15 + [[200, 20, 1]] * 5
    answer = ask(checked, post(PATHS[0], infer_body(rows)))

    assert json.loads(answer.body)["parameters"]["warnings"] == [
        "feature 'age' is 200 in row 15, expected 0 to 120 (5 such rows)"
    ]
    assert data_of(answer) == affine_data(rows)


def test_binary_tensors_are_looked_at(checked: InProcessWorker) -> None:
    """The values are what is checked, not the form in which they came; so is the answer's."""
    rows = np.array([[-1, 20, 1]], np.float32)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3]}
    head = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": rows.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    length = f"Inference-Header-Content-Length: {len(head)}"
    answer = ask(checked, post(PATHS[0], head + rows.tobytes(), length))

    size = int(answer.header("inference-header-content-length") or 0)
    assert json.loads(answer.body[:size])["parameters"] == {"warnings": [WARNING]}
    assert np.frombuffer(answer.body[size:], np.float32).tolist() == affine_data(rows.tolist())


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_v1_warns_beside_the_predictions(checked: InProcessWorker, form: str) -> None:
    """Callers of V1 are told too, in a member of its own."""
    answer = ask(checked, post(V1, json.dumps({form: [[-1, 20, 1]]}).encode()))

    document = json.loads(answer.body)
    assert document["warnings"] == [WARNING]
    assert next(iter(document)) == ("predictions" if form == "instances" else "outputs")
