"""What the data port answers besides inference, and how it refuses."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from server.wire.desired import DesiredState, ModelPlan
from tests.dataplane.conftest import MODELS, PlanOf
from tests.support.asking import ask, check_nothing_left, error_of, infer_body
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import RawAnswer, connected, get, post

PREDICT = json.dumps({"instances": [[1, 2, 3]]}).encode()
INFER = infer_body([[1, 2, 3]])


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker whose models are in every state there is."""
    affine = replace(plan_of("affine"), features={"x": ["a", "b", "c"]})
    plans = {
        "m": ModelPlan("1", {"1": affine, "2": plan_of("open")}, {"3": True, "4": False}),
        "loading": ModelPlan(None, {}, {"1": True}),
        "broken": ModelPlan(None, {}, {"1": False}),
        "my model~1": ModelPlan("1", {"1": affine}),
    }
    with InProcessWorker(tmp_path_factory.mktemp("states"), {}) as worker:
        loader = worker.worker.loader
        worker.on_loop(loader.want, DesiredState(2, plans, is_settled=True))
        eventually(lambda: loader.generation == 2)
        yield worker


def document(answer: RawAnswer, status: int = 200) -> Any:
    """Return the JSON of an answer of a status."""
    assert answer.status == status, answer.body
    assert answer.header("content-type") == "application/json"
    return json.loads(answer.body)


def test_health_has_the_bodies_that_clients_read(states: InProcessWorker) -> None:
    """Liveness and readiness say so in the body as well as in the status."""
    assert document(ask(states, get("/v2/health/live"))) == {"live": True}
    assert document(ask(states, get("/v2/health/ready"))) == {"live": True, "ready": True}


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_describes_itself(states: InProcessWorker, path: str) -> None:
    """Both forms of the path give name, version and extensions."""
    described = document(ask(states, get(path)))
    assert described.keys() == {"name", "version", "extensions"}
    assert described["name"] == "tidegate"
    assert "binary_tensor_data" in described["extensions"]


@pytest.mark.parametrize("path", ["/v2/models", "/v1/models"])
def test_models_are_listed(states: InProcessWorker, path: str) -> None:
    """All known models are listed, whatever their state."""
    listed = document(ask(states, get(path)))
    assert listed == {"models": ["m", "loading", "broken", "my model~1"]}


def test_a_model_is_described(states: InProcessWorker) -> None:
    """Metadata has tensors, platform, feature names and all versions, or just the one asked for."""
    tensor = {"datatype": "FP32", "shape": [-1, 3]}
    described = document(ask(states, get("/v2/models/m")))
    assert described == {
        "name": "m",
        "versions": ["1", "2"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", **tensor, "parameters": {"features": ["a", "b", "c"]}}],
        "outputs": [{"name": "y", **tensor}],
    }
    other = document(ask(states, get("/v2/models/m/versions/2")))
    assert (other["versions"], other["inputs"][0]["shape"]) == (["2"], [-1, -1])


@pytest.mark.parametrize(
    ("path", "status", "ready"),
    [
        ("m", 200, True),
        ("m/versions/1", 200, True),
        ("m/versions/2", 200, True),
        ("loading", 503, False),
        ("broken", 503, False),
    ],
)
def test_readiness_of_a_model(
    states: InProcessWorker, path: str, status: int, *, ready: bool
) -> None:
    """A model is ready when something answers for it; a version, when it is loaded."""
    answer = document(ask(states, get(f"/v2/models/{path}/ready")), status)
    name = path.split("/")[0]
    assert (answer["name"], answer["ready"]) == (name, ready)
    assert answer.get("reason") == (
        None if ready else f"model '{name}' has no version that answers"
    )


def test_a_configuration_has_the_form_of_triton(states: InProcessWorker) -> None:
    """Load tools find batch size, tensors and instances where they look for them."""
    config = document(ask(states, get("/v2/models/m/versions/1/config")))
    assert (config["name"], config["max_batch_size"]) == ("m", 128)
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}]
    assert document(ask(states, get("/v2/models/m/config"))) == config


_NOBODY = {
    "nobody": (404, "model_not_found", None),
    "nobody/versions/1": (404, "model_not_found", None),
    "m/versions/9": (404, "version_not_found", None),
    "m/versions/3": (503, "model_loading", "1"),
    "m/versions/4": (503, "model_unavailable", None),
    "loading": (503, "model_loading", "1"),
    "loading/versions/1": (503, "model_loading", "1"),
    "broken": (503, "model_unavailable", None),
    "broken/versions/1": (503, "model_unavailable", None),
}


@pytest.mark.parametrize("model", sorted(_NOBODY))
@pytest.mark.parametrize("route", ["infer", "predict", "metadata", "config"])
def test_nobody_answers(states: InProcessWorker, model: str, route: str) -> None:
    """Unknown is 404, on its way 503 with Retry-After, failed 503 without, on every route."""
    status, code, retry_after = _NOBODY[model]
    request = {
        "infer": post(f"/v2/models/{model}/infer", INFER),
        "predict": post(f"/v1/models/{model}:predict", PREDICT),
        "metadata": get(f"/v2/models/{model}"),
        "config": get(f"/v2/models/{model}/config"),
    }[route]
    with connected(states.url) as client:
        for _ in range(2):  # The connection goes on after it.
            client.send(request)
            answer = client.read()
            assert error_of(answer) == (status, code)
            assert answer.header("retry-after") == retry_after
            assert answer.header("connection") is None


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v2", "GET, HEAD"),
        ("/v2/health/ready", "GET, HEAD"),
        ("/v2/models/m", "GET, HEAD"),
        ("/v2/models/m/infer", "POST"),
        ("/v2/models/m/versions/1/infer", "POST"),
        ("/v1/models/m:predict", "POST"),
        ("/v2/repository/index", "POST"),
    ],
)
@pytest.mark.parametrize("method", ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"])
def test_methods_that_are_not_possible(
    states: InProcessWorker, path: str, allowed: str, method: str
) -> None:
    """A wrong method is 405, names the right ones, and HEAD gets the same without a body."""
    if method in allowed:
        return
    request = post(path, INFER).replace(b"POST", method.encode(), 1)
    with connected(states.url) as client:
        client.send(request)
        answer = client.read(has_body=method != "HEAD")
        assert answer.status == 405
        assert sorted((answer.header("allow") or "").split(", ")) == allowed.split(", ")
        if method != "HEAD":
            assert error_of(answer) == (405, "method_not_allowed")
            assert f"{method} is not possible on {path}".encode() in answer.body
        client.send(get("/v2/health/live"))
        assert document(client.read()) == {"live": True}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v3",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/m/infer/",
        "/v2/models/m/versions//infer",
        "/v2/models/m/versions/1/2/infer",
        "/v2/models/m%2Fversions%2f1/infer",
        "/v2/models/m/../m/infer",
        "/" + "x" * 4000,
        "*",
    ],
)
def test_unknown_paths(states: InProcessWorker, path: str) -> None:
    """A path without a route is 404 in the one form of errors, shortened, on an open connection."""
    with connected(states.url) as client:
        client.send(post(path, INFER))
        answer = client.read()
        if answer.status == 404:
            assert error_of(answer)[1] in ("not_found", "model_not_found", "version_not_found")
        else:
            assert error_of(answer) == (405, "method_not_allowed")
        assert len(answer.body) < 400
        client.send(get("/v2/health/live"))
        assert document(client.read()) == {"live": True}


def test_a_head_request_gets_the_headers_alone(states: InProcessWorker) -> None:
    """HEAD is answered like GET, with the length of the body that it does not send."""
    with connected(states.url) as client:
        client.send(get("/v2/models/m"))
        whole = client.read()
        client.send(get("/v2/models/m").replace(b"GET", b"HEAD"))
        alone = client.read(has_body=False)
        client.send(get("/v2/models/m"))
        assert client.read().body == whole.body
    assert alone.status == 200
    assert alone.header("content-length") == str(len(whole.body))


@pytest.mark.parametrize("name", ["my%20model~1", "my%20model%7E1", "%6Dy%20model~%31"])
def test_names_are_percent_decoded_once(states: InProcessWorker, name: str) -> None:
    """However a client encodes a model's name, it reaches the model; the answer has it plain."""
    answer = document(ask(states, post(f"/v2/models/{name}/infer", INFER)))
    assert (answer["model_name"], answer["outputs"][0]["data"]) == ("my model~1", [3, 5, 7])
    twice = ask(states, post(f"/v2/models/{name.replace('%', '%25')}/infer", INFER))
    assert error_of(twice) == (404, "model_not_found")


def test_models_are_changed_elsewhere(states: InProcessWorker) -> None:
    """Loading and unloading on the data port is refused with the way to go."""
    for verb in ("load", "unload"):
        answer = ask(states, post(f"/v2/repository/models/m/{verb}", b"{}"))
        assert error_of(answer) == (404, "not_found")
        assert b"on the control port" in answer.body


@pytest.mark.parametrize(
    "request_",
    [
        get("/v2/models/stats"),
        get("/v2/models/m/stats"),
        get("/v2/models/m/versions/1/stats"),
        post("/v2/repository/index", b""),
    ],
)
def test_what_control_knows_is_unavailable_without_it(
    states: InProcessWorker, request_: bytes
) -> None:
    """Without control, statistics and index are 503; predictions go on."""
    answer = ask(states, request_)
    assert error_of(answer) == (503, "control_unavailable")
    assert answer.header("retry-after") == "1"
    assert ask(states, post("/v2/models/m/infer", INFER)).status == 200


@pytest.mark.parametrize(
    ("given", "echoed"), [("abc-1.2_3", True), ("x" * 64, True), ("x" * 65, False), ("a b", False)]
)
@pytest.mark.parametrize("path", ["/v2/models/nobody/infer", "/v2/models/m/infer", "/nowhere"])
def test_the_caller_finds_its_request_id_in_an_error(
    states: InProcessWorker, given: str, path: str, *, echoed: bool
) -> None:
    """An id that is safe to log is echoed in header and body; another is replaced by ours."""
    answer = ask(states, post(path, b"{", f"X-Request-Id: {given}"))
    assert error_of(answer)[0] in (400, 404)
    assert (answer.header("x-request-id") == given) is echoed


def test_v1_takes_rows_and_columns(states: InProcessWorker) -> None:
    """`instances` gives `predictions`, `inputs` gives `outputs`, and features have names."""
    url = "/v1/models/m:predict"
    rows = ask(states, post(url, PREDICT))
    columns = ask(states, post(url, json.dumps({"inputs": {"x": [[1, 2, 3]]}}).encode()))
    named = ask(states, post(url, json.dumps({"instances": [{"c": 3, "a": 1, "b": 2}]}).encode()))
    assert document(rows) == {"predictions": [[3, 5, 7]]}
    assert document(columns) == {"outputs": [[3, 5, 7]]}
    assert document(named) == {"predictions": [[3, 5, 7]]}
    bad = ask(states, post(url, b'{"instances": [[1, 2]]}'))
    assert error_of(bad) == (400, "invalid_input")
    assert b"expected shape [-1, 3]" in bad.body


def test_v1_answers_requests_that_share_a_batch_apart(worker: InProcessWorker) -> None:
    """Pipelined and concurrent V1 requests get their own rows, unbatched models whole outputs."""
    with connected(worker.url) as first, connected(worker.url) as second:
        for number in range(5):
            body = json.dumps({"instances": [[number, 0, 0]]}).encode()
            first.send(post("/v1/models/affine:predict", body))
            second.send(post("/v1/models/batch-mean:predict", body))
        for number in range(5):
            assert document(first.read()) == {"predictions": [[2 * number + 1, 1, 1]]}
            assert document(second.read()) == {"predictions": [[0, 0, 0]]}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_is_described_and_ready(worker: InProcessWorker, name: str) -> None:
    """Whatever its tensors, a loaded model has metadata, a configuration and is ready."""
    assert document(ask(worker, get(f"/v2/models/{name}")))["name"] == name
    assert document(ask(worker, get(f"/v2/models/{name}/config")))["name"] == name
    assert document(ask(worker, get(f"/v2/models/{name}/ready")))["ready"] is True


def test_nothing_is_left_of_all_these(states: InProcessWorker) -> None:
    """Refused and answered requests alike leave nothing behind."""
    check_nothing_left(states)
