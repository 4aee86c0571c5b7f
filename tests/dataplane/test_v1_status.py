"""The state of a model in the words of V1, for all versions or for one."""

from collections.abc import Iterator

import pytest

from server.wire.desired import DesiredState, ModelPlan
from tests.dataplane.conftest import PlanOf
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import Reply, call, eventually

AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[str]:
    """A worker with a model of two loaded versions, one on its way and one that failed."""
    versions = {"1": plan_of("affine"), "2": plan_of("two-outputs")}
    models = {"m": ModelPlan("1", versions, {"3": True, "4": False})}
    with InProcessWorker(tmp_path_factory.mktemp("v1"), {}) as one:
        loader = one.worker.loader
        one.on_loop(loader.want, DesiredState(2, models, is_settled=True))
        eventually(lambda: loader.generation == 2)
        yield one.url


def status(url: str, path: str) -> Reply:
    """Ask for the state of a model."""
    return call(f"{url}/v1/models/{path}")


def test_without_a_version_every_loaded_one_is_told(url: str) -> None:
    """The answer lists each loaded version and says that the model answers."""
    reply = status(url, "m")

    assert reply.status == 200
    assert reply.json == {
        "name": "m",
        "ready": True,
        "model_version_status": [{"version": "1", **AVAILABLE}, {"version": "2", **AVAILABLE}],
    }


def test_with_a_version_only_that_one_is_told(url: str) -> None:
    """Who asks for one version is told of that one, live or not."""
    reply = status(url, "m/versions/2")

    assert reply.status == 200
    assert reply.json["model_version_status"] == [{"version": "2", **AVAILABLE}]


@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        ("m/versions/9", 404, "version_not_found"),
        ("m/versions/3", 503, "model_loading"),
        ("m/versions/4", 503, "model_unavailable"),
        ("nobody", 404, "model_not_found"),
    ],
)
def test_a_version_that_is_not_served_is_never_told_as_available(
    url: str, path: str, answer: int, code: str
) -> None:
    """A version that is unknown, on its way or broken is answered as an inference on it would."""
    reply = status(url, path)

    assert reply.status == answer
    assert reply.json.get("code") == code
