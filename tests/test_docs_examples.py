"""What the documents show is what a gateway with the example models does."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from sklearn.datasets import load_breast_cancer

from tests.support import documents, models
from tests.support.documents import ROOT, Block, Example, in_code, page, tables
from tests.support.gateway import Gateway, call, eventually, running

pytestmark = pytest.mark.alone
SOMETIMES = {"keys.json", "keys.json.lock", "jwks.json"} | {
    f"{name}.json.damaged" for name in ("desired", "intents")
}
"""What is in a state directory only where callers have keys, or where a disk has done harm."""

DATA, CONTROL = "http://127.0.0.1:8000", "http://127.0.0.1:8001"
TIDEGATE = [sys.executable, "-m", "server"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with the example models, on other ports than the documents name.

    It exports all that it can, and judges quickly; one version has no profile, and learns.
    """
    state_dir = tmp_path_factory.mktemp("docs") / "state"
    repository = shutil.copytree(ROOT / "models", state_dir.parent / "models")
    (repository / "diabetes-risk" / "1" / "profile.json").unlink()
    settings = {
        "monitor_bin_metrics": "on",
        "monitor_self_reference_rows": 500,
        "monitor_window_seconds": 0.5,
        "capture_bp": 10_000,
    }
    with running(repository, state_dir, **settings) as one:
        yield one


def ask(command: documents.Curl, gateway: Gateway) -> Any:
    """Do what a documented curl command does, at this gateway's ports; return its JSON."""
    url = command.url.replace(DATA, gateway.data).replace(CONTROL, gateway.control)
    assert url != command.url, "an example names the ports that `make serve` has"
    request = urllib.request.Request(url, command.body, command.headers, method=command.method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return documents.parsed(answer.read())
    except urllib.error.HTTPError as error:
        return documents.parsed(error.read())


CONSOLE = [one for block in documents.blocks("console") for one in documents.examples(block)]


@pytest.mark.parametrize("example", CONSOLE, ids=lambda example: example.where)
def test_an_example_answers_what_is_shown(gateway: Gateway, example: Example) -> None:
    """Each curl line of the documents gets the answer that stands below it."""
    got = ask(documents.curl(example.words), gateway)

    assert documents.difference(documents.parsed(example.output), got) == ""


def python_blocks() -> list[tuple[Block, str]]:
    """Return each Python block with the text block that shows what it prints, empty if none."""
    found = []
    for block in documents.blocks("python"):
        after = page(block.page).split(block.text, 1)[1]
        shown = re.match(r"```\n\n```text\n(.*?)^```", after, re.MULTILINE | re.DOTALL)
        found.append((block, shown[1] if shown else ""))
    return found


@pytest.mark.parametrize(("block", "shown"), python_blocks(), ids=str)
def test_a_python_example_prints_what_is_shown(
    gateway: Gateway, block: Block, shown: str, tmp_path: Any
) -> None:
    """Each Python block runs, and prints what stands below it."""
    code = block.text.replace(DATA.removeprefix("http://"), gateway.data.removeprefix("http://"))
    code = code.replace("time.sleep(1)", "time.sleep(0.05)")  # This gateway judges as much faster.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == shown


def test_the_readme_s_rows_raise_its_alert(gateway: Gateway) -> None:
    """After the README's Python lines, the feature and the words that it shows lead the report."""
    (block,) = [one for one, _ in python_blocks() if "the mean radius" in one.text]
    shown = page(block.page).split(block.text, 1)[1]

    def leading() -> Any:
        report = call(gateway.control + "/v1/models/breast-cancer/drift?version=2").json
        (first, *_) = report["versions"][0]["columns"]
        return first if any(alert["state"] == "firing" for alert in first["alerts"]) else None

    test_a_python_example_prints_what_is_shown(gateway, block, "", ROOT)
    first = eventually(leading)
    assert first["name"] == "mean radius"
    assert first["alerts"][0]["words"] in shown
    assert f"largest value {first['range']['size']}" in shown


def test_the_readme_shows_what_is_served(gateway: Gateway) -> None:
    """The table in the README is that of `tidegate model list`, and both addresses follow it."""
    listed = subprocess.run(
        [*TIDEGATE, "model", "list"],
        env={**os.environ, "TIDEGATE_URL": gateway.control, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    table = "\n".join(line.rstrip() for line in listed.stdout.splitlines())

    shown = next(block.text for block in documents.blocks("text") if block.page == "README.md")
    assert shown.startswith(table + "\n\n")
    log = gateway.log_path.read_text()
    for line in shown.removeprefix(table).split("\n"):
        assert line.replace(DATA, gateway.data).replace(CONTROL, gateway.control) in log


def test_the_documented_check_succeeds() -> None:
    """The check that docs and docstring name finds that the example model can be served."""
    done = subprocess.run(
        [*TIDEGATE, "model", "check", "models/breast-cancer/2", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert documents.parsed(done.stdout)[0]["golden_rows"] > 0


@pytest.mark.usefixtures("exported")  # By then a version has learned what is usual.
def test_everything_in_the_state_directory_is_documented(gateway: Gateway) -> None:
    """What a gateway keeps is what docs/operations.md lists, but for what it writes in between."""
    assert gateway.load("digits").status == 200  # Writes down what operators ask for.
    rows = tables(page("docs/operations.md"), "Entry")

    documented = {name.split("/")[0] for row in rows for name in in_code(row["Entry"])}

    def kept() -> set[str]:
        return {path.name for path in gateway.state_dir.iterdir() if path.suffix != ".tmp"}

    eventually(lambda: documented - SOMETIMES <= kept())
    assert documented - SOMETIMES == kept() - SOMETIMES
    assert documented >= SOMETIMES


@pytest.fixture(scope="module")
def exported(gateway: Gateway) -> dict[str, Metric]:
    """Return every exported family by the name of its samples, none of them without samples."""
    row = {"name": "features", "datatype": "FP32", "shape": [1, 10], "data": [0.0] * 10}
    body = {"inputs": [row]}
    answered = call(f"{gateway.data}/v2/models/diabetes/infer", body)
    label = [{"prediction_id": answered.headers["x-prediction-id"], "label": 152.0}]
    assert call(f"{gateway.control}/v1/feedback", json.dumps(label).encode()).status == 200
    late = {**body, "parameters": {"timeout": 1}}
    # Refused unread, or told in the queue, by what the model has been seen to need.
    assert call(f"{gateway.data}/v2/models/diabetes/infer", late).status in (503, 504)
    odd = {"inputs": [{**row, "data": [25.0] * 10}]}
    assert call(f"{gateway.data}/v2/models/diabetes/infer", odd).status == 200
    _crash_a_worker(gateway)
    _start_trials(gateway)

    def families() -> dict[str, Metric]:
        _send_people(gateway, 4.0)
        found = list(text_string_to_metric_families(gateway.metrics()))
        return {} if any(not one.samples for one in found) else {named(one): one for one in found}

    learned = 'tidegate_monitor_effect{feature="bmi",model="diabetes-risk"'
    eventually(lambda: _send_people(gateway, 0.0) and learned in gateway.metrics())
    eventually(
        lambda: _send_people(gateway, 4.0) and "tidegate_monitor_alert{" in gateway.metrics()
    )
    result: dict[str, Metric] = eventually(families)
    return result


def _start_trials(gateway: Gateway) -> None:
    """Have one more model, with a canary and a shadow beside its live version."""
    folder = gateway.state_dir.parent / "models" / "shadowed"
    for version in ("1", "2", "3"):
        shutil.copytree(ROOT / "models" / "digits" / "1", folder / version)
    (folder / "model.toml").write_text('release = "manual"\nversion_policy = "specific:1,3"\n')
    release = f"{gateway.control}/v1/models/shadowed/release"
    for part, version in (("shadow", "2"), ("canary", "1")):
        eventually(partial(_begin, f"{release}/{part}", version))


def _crash_a_worker(gateway: Gateway) -> None:
    """Have a model kill its worker, and wait for the next one."""
    models.put(gateway.state_dir.parent / "models", "crashing", 1, models.crashing())
    eventually(lambda: gateway.index()["crashing", "1"]["live"])
    fatal = {"name": "x", "datatype": "INT32", "shape": [1, 1], "data": [-2]}
    with pytest.raises(ConnectionError):
        gateway.infer("crashing", [fatal])
    eventually(lambda: gateway.infer("crashing", [{**fatal, "data": [0]}]).status == 200)


def _begin(url: str, version: str) -> bool:
    return call(url, {"version": version, "actor": "a test"}).status == 200


def _send_people(gateway: Gateway, bmi: float) -> bool:
    """Have a hundred people judged, whose body mass index is shifted by so much."""
    rng = random.Random(5)
    people = [
        {
            "sex": rng.choice(("male", "female")),
            "age": rng.randint(20, 80),
            "bmi": rng.gauss(26.0, 4.0) + 4.0 * bmi,
            "bp": rng.gauss(95.0, 14.0),
        }
        for _ in range(100)
    ]
    url = f"{gateway.data}/v1/models/diabetes-risk:predict"
    return call(url, {"instances": people}).status == 200


def named(family: Metric) -> str:
    """Return a family's name as its samples and the documents write it."""
    return family.name + {"counter": "_total"}.get(family.type, "")


def test_every_exported_metric_is_documented_and_no_other(exported: dict[str, Metric]) -> None:
    """The tables of docs/metrics.md name exactly the families that a gateway exports."""
    rows = tables(page("docs/metrics.md"), "Metric")

    assert sorted(in_code(row["Metric"])[0] for row in rows) == sorted(exported)


def test_metrics_have_the_documented_type_and_labels(exported: dict[str, Metric]) -> None:
    """Type and labels of each family are those of its row."""
    for row in tables(page("docs/metrics.md"), "Metric"):
        name = in_code(row["Metric"])[0]
        assert row["Type"] == exported[name].type, name
        for sample in exported[name].samples:
            assert sample.labels.keys() - {"le"} == set(in_code(row["Labels"])) - {"le"}, name


def test_metrics_named_anywhere_are_exported(exported: dict[str, Metric]) -> None:
    """A metric that a page mentions, in a query for instance, exists; recorded ones have colons."""
    known = {sample.name for family in exported.values() for sample in family.samples}
    for path in documents.pages():
        for name in re.findall(
            r"\btidegate_\w+[a-z](?!\w|…|_|:)", path.read_text(encoding="utf-8")
        ):
            assert name in known | exported.keys(), f"{path.name}: {name}"


def test_the_first_prediction_is_of_a_real_row_and_right() -> None:
    """The README's first row is scikit-learn's own, and its answer is the known diagnosis."""
    data = load_breast_cancer()
    first = next(example for example in CONSOLE if example.where.startswith("README.md"))
    body = documents.parsed(documents.curl(first.words).body or b"")
    answer = documents.parsed(first.output)

    assert body["inputs"][0]["data"] == data.data[0].tolist()
    assert answer["outputs"][0]["data"] == [data.target_names[data.target[0]]]
