"""The state of a model in the words of V1, for all versions or for one."""

from pathlib import Path

import pytest

from server.wire.desired import DesiredState, ModelPlan
from tests.dataplane.conftest import PlanOf
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import Reply, call, eventually

AVAILABLE = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.fixture
def status(tmp_path: Path, plan_of: PlanOf) -> "Status":
    """Ask for the state of a model of two versions, of which the first is live."""
    versions = {"1": plan_of("affine"), "2": plan_of("two-outputs")}
    model = ModelPlan("1", versions, {"3": True, "4": False})
    return Status(tmp_path, DesiredState(1, {"m": model}, is_settled=True))


class Status:
    """A worker for one question."""

    def __init__(self, folder: Path, state: DesiredState) -> None:
        self._folder = folder
        self._state = state

    def ask(self, path: str) -> Reply:
        """Start a worker, wait until it has the state, ask."""
        with InProcessWorker(self._folder, {}) as worker:
            worker.on_loop(worker.worker.loader.want, self._state_after(worker))
            eventually(lambda: len(worker.worker.loader.loaded) == 2)
            return call(f"{worker.url}/v1/models/{path}")

    def _state_after(self, worker: InProcessWorker) -> DesiredState:
        generation = worker.worker.loader.desired.generation + 1
        return DesiredState(generation, self._state.models, is_settled=True)


def test_without_a_version_every_loaded_one_is_told(status: Status) -> None:
    """The answer lists each loaded version and says that the model answers."""
    reply = status.ask("m")

    assert reply.status == 200
    assert reply.json == {
        "name": "m",
        "ready": True,
        "model_version_status": [{"version": "1", **AVAILABLE}, {"version": "2", **AVAILABLE}],
    }


def test_with_a_version_only_that_one_is_told(status: Status) -> None:
    """Who asks for one version is told of that one, live or not."""
    reply = status.ask("m/versions/2")

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
    status: Status, path: str, answer: int, code: str
) -> None:
    """A version that is unknown, on its way or broken is answered as an inference on it would."""
    reply = status.ask(path)

    assert (reply.status, reply.json["code"]) == (answer, code)
