"""What fails costs what it must and nothing else: control, a crashing model, lost files."""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import StartGateway
from tests.support import models
from tests.support.clients import ROW, asking, listeners
from tests.support.gateway import Gateway, call, descendants, eventually, is_running


@contextlib.contextmanager
def without_control(gateway: Gateway) -> Iterator[None]:
    """Kill control and keep it from starting until the block ends: its socket's name is taken."""
    path = gateway.state_dir / "control.sock"
    path.unlink()
    path.mkdir()
    control = gateway.children()["control"]
    os.kill(control, signal.SIGKILL)
    eventually(lambda: not is_running(control))
    try:
        yield
    finally:
        path.rmdir()


def is_ready(address: str) -> bool:
    """Whether a port says that it is ready."""
    return call(address + "/v2/health/ready").status == 200


def ok(gateway: Gateway, model: str, version: int = 1) -> float:
    """Return how many requests of a version were answered well, as control counts."""
    return gateway.metric(
        f'tidegate_requests_total{{model="{model}",outcome="ok",version="{version}"}}'
    )


def test_a_killed_control_costs_no_prediction(start: StartGateway, repository: Path) -> None:
    """While control is replaced every request is answered, and afterwards it knows all it must."""
    models.put(repository, "a", 1, models.affine())
    with start(workers=2) as gateway, asking(gateway, "a") as seen:
        workers = gateway.workers()
        generation = gateway.metric("tidegate_generation")
        eventually(lambda: seen.answers)
        os.kill(gateway.children()["control"], signal.SIGKILL)
        eventually(lambda: gateway.logged("ended"))
        eventually(lambda: is_ready(gateway.control))

        counted = eventually(lambda: ok(gateway, "a"))
        eventually(lambda: ok(gateway, "a") > counted)
        assert gateway.workers() == workers
        assert gateway.metric("tidegate_workers_connected") == 2
        assert gateway.metric("tidegate_generation") > generation
        assert gateway.index()["a", "1"]["state"] == "READY"
        assert is_ready(gateway.data)
    assert seen.is_flawless


def test_workers_go_on_for_as_long_as_control_cannot_start(
    start: StartGateway, repository: Path
) -> None:
    """Without control workers serve, start and count; it catches up when it comes back."""
    models.put(repository, "a", 1, models.affine(offset=1))
    models.put(repository, "counted", 1, models.affine())
    with start(workers=2) as gateway, asking(gateway, "a") as seen:
        with without_control(gateway):
            models.put(repository, "a", 2, models.affine(offset=2))
            for _ in range(25):
                assert gateway.infer("counted", ROW).status == 200
            assert is_ready(gateway.data)
            assert gateway.infer("a", ROW).json["model_version"] == "1"
            answer = call(gateway.data + "/v2/models/stats")
            assert (answer.status, answer.json["code"]) == (503, "control_unavailable")

        eventually(lambda: gateway.infer("a", ROW).json["model_version"] == "2")
        eventually(lambda: is_ready(gateway.control))
        eventually(lambda: ok(gateway, "counted") == 25)
        assert gateway.metric('tidegate_rows_total{model="counted",version="1"}') == 25
    assert seen.is_flawless


def test_a_worker_started_without_control_serves_the_last_state(
    start: StartGateway, repository: Path
) -> None:
    """The desired state on disk is enough for a worker to load, to answer and to be ready."""
    models.put(repository, "a", 1, models.affine())
    with start(workers=2) as gateway, without_control(gateway):
        first, second = gateway.workers()
        missed = len(gateway.logged("control_missing"))  # At the start, if control was slow.
        os.kill(first, signal.SIGKILL)
        eventually(lambda: listeners(gateway.data) == 1)
        with asking(gateway, "a") as seen:
            eventually(lambda: listeners(gateway.data) == 2)
        assert seen.is_flawless
        assert len(gateway.logged("control_missing")) == missed + 1

        os.kill(second, signal.SIGKILL)  # From here on the one that was started must answer.
        eventually(lambda: listeners(gateway.data) == 1)
        assert gateway.infer("a", ROW).status == 200
        assert is_ready(gateway.data)


def test_the_checking_process_ends_with_control(start: StartGateway, repository: Path) -> None:
    """When control is killed amid a check, nobody is left who goes on checking."""
    models.put(repository, "a", 1, models.affine())
    with start() as gateway:
        control = gateway.children()["control"]
        models.put(repository, "b", 1, models.affine())
        (verifier,) = eventually(lambda: descendants(control))
        os.kill(control, signal.SIGKILL)

        eventually(lambda: not is_running(verifier))
        eventually(lambda: gateway.infer("b", ROW).status == 200)
        # Control is told by the worker, which answers already.
        eventually(lambda: gateway.index()["b", "1"]["state"] == "READY")


def test_a_model_that_crashes_its_worker_costs_what_that_worker_had(
    start: StartGateway, repository: Path
) -> None:
    """The caller loses its connection; the worker comes back and serves that model and others."""
    models.put(repository, "crashing", 1, models.crashing())
    models.put(repository, "a", 1, models.affine())
    fatal = [{"name": "x", "datatype": "INT32", "shape": [1, 1], "data": [-2]}]
    harmless = [{**fatal[0], "data": [0]}]
    with start(workers=2) as gateway:
        assert gateway.infer("crashing", harmless).json["outputs"][0]["data"] == [-(2**31)]
        failed: list[OSError] = []

        def ask() -> None:
            try:
                gateway.infer("crashing", fatal)
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=ask, name="client")
        thread.start()
        thread.join(60)
        assert len(failed) == 1
        (ended,) = eventually(lambda: gateway.logged("ended"))
        assert ended["how"] == "SIGFPE"

        with asking(gateway, "a") as seen:
            eventually(lambda: is_ready(gateway.control))
        assert seen.is_flawless
        assert gateway.infer("crashing", harmless).status == 200
        assert gateway.index()["crashing", "1"]["state"] == "READY"


def test_a_state_that_cannot_be_written_is_served_all_the_same(
    start: StartGateway, repository: Path
) -> None:
    """While the disk refuses, versions change and a gauge says 0; it recovers by itself."""
    models.put(repository, "a", 1, models.affine(offset=1))
    with start() as gateway, asking(gateway, "a") as seen:
        assert gateway.metric("tidegate_state_dir_writable") == 1
        obstacle = gateway.state_dir / "desired.tmp"
        obstacle.mkdir()
        models.put(repository, "a", 2, models.affine(offset=2))
        eventually(lambda: gateway.infer("a", ROW).json["model_version"] == "2")
        assert gateway.metric("tidegate_state_dir_writable") == 0
        assert b'"live":"1"' in (gateway.state_dir / "desired.json").read_bytes()

        obstacle.rmdir()

        eventually(lambda: gateway.metric("tidegate_state_dir_writable") == 1)
        assert b'"live":"2"' in (gateway.state_dir / "desired.json").read_bytes()
        assert len(gateway.logged("desired_state_not_saved")) == 1
    assert seen.is_flawless


def test_predictions_outlive_the_state_directory(start: StartGateway, repository: Path) -> None:
    """When it is removed, what is loaded goes on, and new versions can still come."""
    models.put(repository, "a", 1, models.affine(offset=1))
    with start() as gateway, asking(gateway, "a") as seen:
        eventually(lambda: seen.answers)
        for folder in (gateway.state_dir / "store").rglob("*"):
            folder.chmod(0o755)
        # Away at once: who removes file by file races with control, which writes others.
        shutil.rmtree(gateway.state_dir.rename(repository.parent / "removed"))

        eventually(lambda: gateway.metric("tidegate_state_dir_writable") == 0)
        models.put(repository, "a", 2, models.affine(offset=2))
        eventually(lambda: gateway.infer("a", ROW).json["model_version"] == "2")
        eventually(lambda: gateway.metric("tidegate_state_dir_writable") == 1)
        eventually((gateway.state_dir / "desired.json").exists)
    assert seen.is_flawless
