"""The endpoints of the protocol on the right ports, with the bodies and statuses that clients read.

Sources: Open Inference Protocol inference_rest.md; Triton's extensions for model repository,
model configuration and statistics.
"""

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

import server
from tests.support.gateway import Gateway, Reply, call
from tests.support.workshop import ROW, Workshop

PORTS = ["data", "control"]
BOTH = pytest.mark.parametrize("port", PORTS)

AFFINE = {
    "name": "affine",
    "versions": ["1"],
    "platform": "onnxruntime_onnx",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}


def ask(gateway: Gateway, port: str, method: str, path: str, body: bytes | None = None) -> Reply:
    """Make a request with any method."""
    parts = urlsplit(getattr(gateway, port))
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as link:
        link.request(method, path, body)
        answer = link.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, headers, answer.read())


@BOTH
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"live": True, "ready": True}),
        ("/v2/models/affine/ready", {"name": "affine", "ready": True}),
        ("/v2/models/affine/versions/1/ready", {"name": "affine", "ready": True}),
        ("/v2/models/affine", AFFINE),
        ("/v2/models/affine/versions/1", AFFINE),
        ("/v2/models/%61ffine", AFFINE),
        ("/v2/models/versions/versions/2", None),
    ],
)
def test_questions_about_health_and_models(
    shared_gateway: Gateway, port: str, path: str, body: Any
) -> None:
    """Both ports answer them alike: 200, JSON, the members that every client reads."""
    reply = ask(shared_gateway, port, "GET", path)

    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert "content-encoding" not in reply.headers
    if body is not None:
        assert reply.json == body
    else:
        assert (reply.json["name"], reply.json["versions"]) == ("versions", ["2"])


@BOTH
@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_server_metadata(shared_gateway: Gateway, port: str, path: str) -> None:
    """The server names itself and its extensions, with and without a slash at the end."""
    assert ask(shared_gateway, port, "GET", path).json == {
        "name": "tidegate",
        "version": server.__version__,
        "extensions": [
            "binary_tensor_data",
            "model_configuration",
            "model_repository",
            "model_repository(unload_dependents)",
            "parameters",
            "statistics",
        ],
    }


@BOTH
def test_the_list_of_models(shared_gateway: Gateway, port: str) -> None:
    """KServe's list of models holds every model that answers."""
    names = ask(shared_gateway, port, "GET", "/v2/models").json["models"]

    assert {"affine", "versions", "identity-bytes"} <= set(names)
    assert len(set(names)) == len(names)


@BOTH
def test_model_configuration(shared_gateway: Gateway, port: str) -> None:
    """The configuration is in Triton's JSON form, with what the model really runs with."""
    path = "/v2/models/versions/versions/1/config"
    reply = ask(shared_gateway, port, "GET", path)

    assert reply.json == {
        "name": "versions",
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": {"all": {}},
        "max_batch_size": 128,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [3]}],
        "instance_group": [{"name": "versions", "kind": "KIND_CPU", "count": 1}],
        "default_model_filename": "model.onnx",
        "parameters": {"intra_op_thread_count": {"string_value": "1"}},
        "model_transaction_policy": {"decoupled": False},
        "dynamic_batching": {
            "max_queue_delay_microseconds": 0,
            "preserve_ordering": True,
            "default_queue_policy": {"max_queue_size": 8192},
        },
    }


@BOTH
def test_an_unbatched_models_configuration(shared_gateway: Gateway, port: str) -> None:
    """A model with fixed rows has a batch size of 0 and its whole shape as dimensions."""
    config = ask(shared_gateway, port, "GET", "/v2/models/fixed/config").json

    assert config["max_batch_size"] == 0
    assert config["input"][0]["dims"] == [1, 3]
    assert "dynamic_batching" not in config


@BOTH
@pytest.mark.parametrize(
    ("path", "versions"),
    [
        ("/v2/models/versions/stats", ["1", "2"]),
        ("/v2/models/versions/versions/2/stats", ["2"]),
    ],
)
def test_statistics(shared_gateway: Gateway, port: str, path: str, versions: list[str]) -> None:
    """Statistics have every member of the extension for each version that is loaded."""
    rows = ask(shared_gateway, port, "GET", path).json["model_stats"]

    assert [row["version"] for row in rows] == versions
    for row in rows:
        assert row.keys() == {
            "name",
            "version",
            "last_inference",
            "inference_count",
            "execution_count",
            "inference_stats",
            "response_stats",
            "batch_stats",
            "memory_usage",
        }
        assert row["inference_stats"].keys() == {
            "success",
            "fail",
            "queue",
            "compute_input",
            "compute_infer",
            "compute_output",
            "cache_hit",
            "cache_miss",
        }
        for duration in row["inference_stats"].values():
            assert duration.keys() == {"count", "ns"}


@BOTH
def test_statistics_of_all_models(shared_gateway: Gateway, port: str) -> None:
    """One call gives the statistics of every loaded version."""
    rows = ask(shared_gateway, port, "GET", "/v2/models/stats").json["model_stats"]

    assert {("affine", "1"), ("versions", "1"), ("versions", "2")} <= {
        (row["name"], row["version"]) for row in rows
    }


@BOTH
@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": false}', b'{"ready": true}'])
def test_the_repositorys_index(shared_gateway: Gateway, port: str, body: bytes) -> None:
    """The index is a list with a row for each version, whatever of the allowed bodies is sent."""
    rows = ask(shared_gateway, port, "POST", "/v2/repository/index", body).json

    row = next(row for row in rows if row["name"] == "affine")
    assert row == {
        "name": "affine",
        "version": "1",
        "state": "READY",
        "reason": "",
        "digest": row["digest"],
        "live": True,
    }
    unbatched = next(row for row in rows if row["name"] == "batch-mean")
    assert "served unbatched" in unbatched["warnings"][0]


@BOTH
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "the body must be JSON or empty"),
        (b"[]", "'ready' must be true or false"),
        (b'{"ready": "yes"}', "'ready' must be true or false"),
        (b"[" * 250_000, "the body must be JSON or empty"),
        (b"\xff\xfe", "the body must be JSON or empty"),
    ],
)
def test_a_wrong_index_request(shared_gateway: Gateway, port: str, body: bytes, text: str) -> None:
    """A body that is not the extension's is a 400 on both ports, however deep or odd."""
    reply = ask(shared_gateway, port, "POST", "/v2/repository/index", body)

    assert (reply.status, reply.json["error"]) == (400, text)


def test_the_control_port_takes_no_large_body(shared_gateway: Gateway) -> None:
    """A body beyond what any call needs is a 413 in the form of every other error."""
    reply = ask(shared_gateway, "control", "POST", "/v2/repository/index", b" " * (1 << 20) + b" ")

    assert (reply.status, reply.json["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_only_the_control_port_changes_models(shared_gateway: Gateway, verb: str) -> None:
    """Whoever can predict cannot thereby unload: the data port points to the other one."""
    path = f"/v2/repository/models/affine/{verb}"
    reply = ask(shared_gateway, "data", "POST", path, b"{}")

    assert (reply.status, reply.json["code"]) == (404, "not_found")
    assert reply.json["error"] == "models are loaded and unloaded on the control port, not here"
    assert shared_gateway.infer("affine", ROW).status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"parameters": {}}', b'{"parameters": null}', b'{"other": 1}']
)
def test_a_load_of_what_is_loaded_changes_nothing(shared_gateway: Gateway, body: bytes) -> None:
    """Every form of the call's body that clients send loads the model again: the same one."""
    path = "/v2/repository/models/affine/load"
    before = shared_gateway.index()["affine", "1"]

    reply = ask(shared_gateway, "control", "POST", path, body)

    assert reply.status == 200
    assert reply.json == {"model": "affine", "versions": [before]}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "the body must be JSON or empty"),
        (b"[]", "the body must be an object, 'parameters' in it too"),
        (b'{"parameters": []}', None),
        (b'{"parameters": [1]}', "the body must be an object, 'parameters' in it too"),
        (b'{"parameters": {"speed": 1}}', "parameter 'speed' is not known"),
        (b'{"parameters": {"config": 7}}', "'config' must be a JSON object in a string"),
    ],
)
def test_a_wrong_load_request(shared_gateway: Gateway, body: bytes, text: str | None) -> None:
    """A load call that cannot be read or followed is a 400 that names what is wrong."""
    path = "/v2/repository/models/affine/load"
    reply = ask(shared_gateway, "control", "POST", path, body)

    if text is None:
        assert reply.status == 200  # An empty list holds no parameter, as an empty object does.
    else:
        assert (reply.status, reply.json["error"]) == (400, text)


@BOTH
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/", None, None),
        ("/v3", 404, "not_found"),
        ("/v2/models/affine/nothing", 404, "not_found"),
        ("/v2/models/affine/", 404, "not_found"),
        ("/v2/health/ready/", 404, "not_found"),
        ("/v2/models/affine/versions/1/infer/more", 404, "not_found"),
        ("/v2/models/nobody", 404, "model_not_found"),
        ("/v2/models/nobody/ready", 404, "model_not_found"),
        ("/v2/models/nobody/config", 404, "model_not_found"),
        ("/v2/models/nobody/stats", 404, "model_not_found"),
        ("/v2/models/affine/versions/9", 404, "version_not_found"),
        ("/v2/models/affine/versions/9/ready", 404, "version_not_found"),
        ("/v2/models/affine/versions/9/config", 404, "version_not_found"),
        ("/v2/models/affine/versions/9/stats", 404, "version_not_found"),
        ("/v2/models/affine/versions/one/ready", 404, "version_not_found"),
        ("/v2/models/" + "x" * 500, 404, "model_not_found"),
    ],
)
def test_what_is_not_there(
    shared_gateway: Gateway, port: str, path: str, status: int | None, code: str | None
) -> None:
    """Unknown paths, models and versions are 404 with a text, a code and an id, on both ports."""
    reply = ask(shared_gateway, port, "GET", path)

    if status is None:
        assert reply.status < 500  # Whatever stands at the root in time: no failure.
        return
    assert reply.status == status, reply.body
    assert reply.json.keys() == {"error", "code", "request_id"}
    assert reply.json["code"] == code
    assert len(reply.json["error"]) < 300
    assert reply.headers["x-request-id"] == reply.json["request_id"]


@BOTH
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2", {"GET", "HEAD"}),
        ("DELETE", "/v2/models/affine", {"GET", "HEAD"}),
        ("PUT", "/v2/models/affine/config", {"GET", "HEAD"}),
        ("POST", "/v2/models/affine/stats", {"GET", "HEAD"}),
        ("GET", "/v2/repository/index", {"POST"}),
        ("GET", "/v2/repository/models/affine/load", {"POST"}),
        ("OPTIONS", "/v2/health/live", {"GET", "HEAD"}),
        ("PATCH", "/v2/health/live", {"GET", "HEAD"}),
    ],
)
def test_wrong_methods(
    shared_gateway: Gateway, port: str, method: str, path: str, allowed: set[str]
) -> None:
    """A method that a route does not have is a 405 which names those that it has."""
    reply = ask(shared_gateway, port, method, path)

    assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
    assert set(reply.headers["allow"].split(", ")) == allowed
    assert reply.json["error"].startswith(f"{method} is not possible on {path}; ")


@pytest.mark.parametrize("path", ["/v2/models/affine/infer", "/v1/models/affine:predict"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_inference_is_posted(shared_gateway: Gateway, method: str, path: str) -> None:
    """Inference knows POST only."""
    reply = ask(shared_gateway, "data", method, path)

    assert reply.status == 405
    assert reply.headers["allow"] == "POST"


@BOTH
@pytest.mark.parametrize(
    "path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/affine", "/v2/nothing"]
)
def test_head_is_get_without_a_body(shared_gateway: Gateway, port: str, path: str) -> None:
    """HEAD gives the status and the headers of GET, the length of its body included."""
    got = ask(shared_gateway, port, "GET", path)
    head = ask(shared_gateway, port, "HEAD", path)

    assert (head.status, head.body) == (got.status, b"")
    changing = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in got.headers.items() if k not in changing
    }


@pytest.mark.parametrize("name", ["affin%65", "%61%66%66ine"])
def test_percent_encoded_names_infer_like_plain_ones(shared_gateway: Gateway, name: str) -> None:
    """Clients that encode names get the same bytes as those that do not."""
    plain = shared_gateway.infer("affine", ROW)
    encoded = shared_gateway.infer(name, ROW)

    assert (encoded.status, encoded.body) == (200, plain.body)


def test_the_state_of_a_model_in_the_first_protocol(shared_gateway: Gateway) -> None:
    """V1 answers in the words of TensorFlow Serving and of KServe at once."""
    reply = call(shared_gateway.data + "/v1/models/versions").json

    assert (reply["name"], reply["ready"]) == ("versions", True)
    assert [row["version"] for row in reply["model_version_status"]] == ["1", "2"]
    assert {row["state"] for row in reply["model_version_status"]} == {"AVAILABLE"}
    assert "affine" in call(shared_gateway.data + "/v1/models").json["models"]


def test_predictions_are_for_the_data_port(shared_gateway: Gateway) -> None:
    """The control port runs no model."""
    body = json.dumps({"instances": ROW}).encode()
    for path in ("/v2/models/affine/infer", "/v1/models/affine:predict"):
        assert ask(shared_gateway, "control", "POST", path, body).status == 404


def test_control_on_an_unloaded_model(shared_gateway: Gateway) -> None:
    """Metadata of a model that nobody answers for is a 503 that says so, not a 404 of 'None'."""
    shop = Workshop(shared_gateway, shared_gateway.state_dir.parent / "models")
    assert shop.unload("reciprocal").status == 200
    try:
        reply = call(shared_gateway.control + "/v2/models/reciprocal")
        assert (reply.status, reply.json["code"]) == (503, "model_unavailable")
        assert reply.json["error"] == "no version of model 'reciprocal' answers; see the index"
    finally:
        assert shared_gateway.load("reciprocal").status == 200
