"""From start to stop: whenever it is told to end, a gateway ends whole and leaves nothing."""

import functools
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.repository import samples
from server.settings import ModelSettings
from server.tensors import DATATYPES, Signature, TensorSpec
from server.wire import desired
from server.wire.desired import DesiredState, ModelPlan, VersionPlan
from tests.conftest import StartGateway
from tests.support import models
from tests.support.clients import ROW, can_bind
from tests.support.gateway import (
    PATIENCE_SECONDS,
    START_SECONDS,
    Gateway,
    Launched,
    call,
    descendants,
    eventually,
    is_running,
    launched,
    log_lines,
    running,
)

ENDLESS = np.array([[2**62]], np.int64)
"""What keeps `models.loop` busy for ever."""


def events(launch: Launched) -> list[str]:
    """Return the events in the log so far."""
    return [line["event"] for line in log_lines(launch.log_path)]


def end(launch: Launched, number: int = signal.SIGTERM) -> int:
    """Send a signal as the system or a terminal would; return the exit code.

    Nothing of the gateway may be left, and nothing may have gone wrong on the way.
    """
    family = descendants(launch.process.pid)
    if number == signal.SIGINT:
        os.killpg(launch.process.pid, number)  # Ctrl-C reaches everybody.
    else:
        launch.process.send_signal(number)
    code = launch.process.wait(PATIENCE_SECONDS)
    assert family
    assert not any(map(is_running, family))
    log = launch.log_path.read_text()
    assert "Traceback" not in log
    assert "KeyboardInterrupt" not in log
    return code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["started", "worker_joined"])
def test_a_signal_while_it_starts_ends_it(
    repository: Path, tmp_path: Path, moment: str, number: int
) -> None:
    """Whether children are still being started or already talk to each other, all end well."""
    models.put(repository, "a", 1, models.affine())
    with launched(repository, tmp_path / "state") as launch:
        eventually(lambda: moment in events(launch), START_SECONDS)

        assert end(launch, number) == 0


def test_ctrl_c_while_a_version_is_checked_ends_it(repository: Path, tmp_path: Path) -> None:
    """The checking process ends with the others, even amid a model that never ends."""
    folder = models.put(repository, "loop", 1, models.loop())
    golden: dict[str, Any] = {"inputs/x": ENDLESS, "outputs/y": ENDLESS}
    np.savez(folder / "golden.npz", **golden)
    with launched(repository, tmp_path / "state") as launch:

        def is_checking() -> bool:
            commands = [
                Path(f"/proc/{pid}/cmdline").read_bytes() for pid in descendants(launch.process.pid)
            ]
            return any(b"server.repository.verifier" in command for command in commands)

        eventually(is_checking, START_SECONDS)

        assert end(launch, signal.SIGINT) == 0


def test_a_stop_does_not_wait_for_a_load(repository: Path, tmp_path: Path) -> None:
    """A worker that is opening a model when it is told to end has nothing to finish."""
    plan = endless_load(repository, tmp_path)
    state = DesiredState(1, {"loop": ModelPlan("1", {"1": plan})}, str(repository))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "desired.json").write_bytes(desired.sealed(desired.encode(state)))
    with launched(repository, tmp_path / "state") as launch:
        eventually(lambda: busy_threads(launch), START_SECONDS)

        assert end(launch) == 0
        assert "killed" not in events(launch)


def endless_load(repository: Path, tmp_path: Path) -> VersionPlan:
    """Plan a version whose warm-up never ends.

    Nor does its check, or control might have another plan for it before the worker has begun.
    """
    folder = models.put(repository, "loop", 1, models.loop())
    golden: dict[str, Any] = {"inputs/x": ENDLESS, "outputs/y": ENDLESS}
    np.savez(folder / "golden.npz", **golden)
    spec = TensorSpec("x", DATATYPES["INT64"], (-1, 1))
    samples.save(tmp_path / "samples.npz", Signature((spec,), ()), [ENDLESS])
    return VersionPlan(
        digest="0" * 64,
        path=str(folder / "model.onnx"),
        samples=str(tmp_path / "samples.npz"),
        settings=ModelSettings(),
        is_batched=True,
        batch_seconds=0.0,
    )


def busy_threads(launch: Launched) -> bool:
    """Whether a loader's thread of some worker is running a model."""
    for pid in descendants(launch.process.pid):
        for task in Path(f"/proc/{pid}/task").iterdir():
            ticks = int((task / "stat").read_text().rpartition(")")[2].split()[11])
            is_worker = b"server.dataplane.process" in (task / "cmdline").read_bytes()
            if is_worker and task.name != str(pid) and ticks > 20:
                return True
    return False


def test_a_stop_while_a_worker_is_in_back_off_is_clean(
    start: StartGateway, repository: Path
) -> None:
    """A child that is not there need not be waited for, and is not started any more."""
    models.put(repository, "a", 1, models.affine())
    with start() as gateway:
        for ends in (1, 2, 3):  # It comes back at once, after a second, and after two.
            (worker,) = eventually(gateway.workers)
            os.kill(worker, signal.SIGKILL)
            eventually(functools.partial(_has_ended_times, gateway, ends))

        family = descendants(gateway.process.pid)
        assert gateway.stop() == 0
        assert not any(map(is_running, family))
        assert len(gateway.logged("started")) == 4


def _has_ended_times(gateway: Gateway, times: int) -> bool:
    return len(gateway.logged("ended")) == times


def test_its_ports_are_free_after_the_stop(start: StartGateway, repository: Path) -> None:
    """What it held is given back, and the next start on the same ports finds all as it was."""
    models.put(repository, "a", 1, models.affine())
    with start() as gateway:
        assert gateway.infer("a", ROW).status == 200
        addresses = (gateway.data, gateway.control)
        assert not any(map(can_bind, addresses))
        # Made when monitoring has begun, some moments after the gateway is ready.
        eventually((gateway.state_dir / "self-references").exists)

        assert gateway.stop() == 0
        assert all(map(can_bind, addresses))
        assert sorted(path.name for path in gateway.state_dir.iterdir()) == [
            "desired.json",
            "lock",
            "self-references",
            "store",
            "tidegate.db",
            "verdicts",
        ]
    data, control = (int(address.rsplit(":", 1)[1]) for address in addresses)
    with start(port=data, control_port=control) as gateway:
        assert (gateway.data, gateway.control) == addresses
        assert gateway.infer("a", ROW).status == 200


def test_a_state_directory_with_a_long_path_works(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unix sockets have short paths only; theirs goes elsewhere, and is removed in the end."""
    models.put(repository, "a", 1, models.affine())
    state_dir = tmp_path / ("d" * 120) / "state"
    state_dir.parent.mkdir()
    with tempfile.TemporaryDirectory() as elsewhere:
        monkeypatch.setenv("TMPDIR", elsewhere)
        with running(repository, state_dir) as gateway:
            assert gateway.infer("a", ROW).status == 200
            (made,) = Path(elsewhere).glob("tidegate-*")
            assert (made / "control.sock").is_socket()
            assert made.stat().st_mode & 0o777 == 0o700

            assert gateway.stop() == 0
            assert not made.exists()


def test_both_ports_answer_for_their_health(shared_gateway: Gateway) -> None:
    """Both planes say that they live and that they are ready, each for itself."""
    for port in (shared_gateway.data, shared_gateway.control):
        assert call(port + "/v2/health/live").json == {"live": True}
        assert call(port + "/v2/health/ready").json == {"live": True, "ready": True}


def test_the_log_is_json_and_holds_no_feature_values(start: StartGateway, repository: Path) -> None:
    """Each line after the summary has a time, a level, a process and an event, and no data."""
    secret = 73194.5
    models.put(repository, "a", 1, models.affine())
    models.put(repository, "gather", 1, models.gather())
    models.put(repository, "broken", 1, b"not a model")
    with start() as gateway:
        assert gateway.infer("a", [[secret] * 3]).status == 200
        assert gateway.infer("a", [[secret] * 4]).status == 400
        assert gateway.infer("a", [[secret, "x" + str(secret), 1]]).status == 400
        index: dict[str, Any] = {"name": "index", "datatype": "INT64", "shape": [1]}
        assert gateway.infer("gather", [{**index, "data": [7319450]}]).status == 500
        # The supervisor asks a worker for what it prints last.
        eventually(lambda: "\ncurl " in gateway.log_path.read_text())
        os.kill(gateway.workers()[0], signal.SIGKILL)
        eventually(lambda: gateway.logged("ended"))
        assert gateway.stop() == 0

        log = gateway.log_path.read_text()
        assert "73194" not in log
        lines = [line for line in log.splitlines() if line.startswith("{")]
        for line in map(json.loads, lines):
            assert {"timestamp", "level", "process", "event"} <= line.keys()
        assert {"supervisor", "control", "worker-0"} == {
            line["process"] for line in map(json.loads, lines)
        }
        # The last plain line is that of the summary, wherever lines of other processes fell.
        plain = [line for line in log.splitlines() if line and not line.startswith("{")]
        assert plain[-1].startswith("curl "), plain
