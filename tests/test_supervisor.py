"""The parent of all processes, on real processes: it starts, watches, replaces and refuses."""

import functools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from server.machine import usable_cores
from tests.conftest import StartGateway
from tests.support import models, raw
from tests.support.clients import ROW, asking
from tests.support.gateway import (
    Gateway,
    call,
    descendants,
    eventually,
    is_running,
    launched,
    log_lines,
    running,
)

STUCK_SECONDS = 4.0
"""Longer than a busy machine keeps a healthy process from turning; it beats four times a second."""
UNNAMED_SIGNAL = signal.SIGRTMIN + 6


def restarts(gateway: Gateway, workers: int) -> float:
    """Return how often control says that workers have been replaced."""
    return sum(
        gateway.metric(f'tidegate_worker_restarts_total{{worker="{number}"}}')
        for number in range(workers)
    )


def has_ended(gateway: Gateway, times: int) -> bool:
    """Whether children have ended that often."""
    return len(gateway.logged("ended")) == times


def turns(pid: int) -> int:
    """Return how often a process has gone to sleep by itself: a loop does so once a turn."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise KeyError(pid)


def test_a_killed_worker_is_replaced_while_the_other_serves(
    start: StartGateway, repository: Path
) -> None:
    """A worker that dies is started again at once and counted, and nobody else meets its end."""
    models.put(repository, "a", 1, models.affine())
    with start(workers=2) as gateway:
        killed, kept = gateway.workers()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: has_ended(gateway, 1))

        with asking(gateway, "a") as seen:
            eventually(lambda: restarts(gateway, 2) == 1)
            eventually(lambda: call(gateway.control + "/v2/health/ready").status == 200)

        assert seen.is_flawless
        assert kept in gateway.workers()
        assert killed not in gateway.workers()
        assert gateway.metric("tidegate_workers_connected") == 2
        (ended,) = gateway.logged("ended")
        assert (ended["how"], ended["restart_in_seconds"]) == ("SIGKILL", 0.0)
        assert gateway.stop() == 0


def test_a_worker_that_keeps_ending_waits_before_it_comes_back(
    start: StartGateway, repository: Path
) -> None:
    """The second end in a row is followed by a wait, the third by a longer one, then it serves."""
    models.put(repository, "a", 1, models.affine())
    with start() as gateway:
        for ends in (1, 2, 3):
            (worker,) = eventually(gateway.workers)
            os.kill(worker, signal.SIGKILL)
            eventually(functools.partial(has_ended, gateway, ends))

        waits = [line["restart_in_seconds"] for line in gateway.logged("ended")]
        assert waits == [0.0, 1.0, 2.0]
        assert eventually(lambda: gateway.infer("a", ROW)).status == 200
        eventually(lambda: restarts(gateway, 1) == 3)


def test_a_child_killed_by_a_signal_without_a_name_is_replaced_like_any_other(
    start: StartGateway, repository: Path
) -> None:
    """Real-time signals have no names in Python; ending by one must not end the supervisor."""
    models.put(repository, "a", 1, models.affine())
    with start() as gateway:
        os.kill(gateway.workers()[0], UNNAMED_SIGNAL)

        (ended,) = eventually(lambda: gateway.logged("ended"))
        assert ended["how"] == f"signal {UNNAMED_SIGNAL}"
        assert eventually(lambda: gateway.infer("a", ROW)).status == 200


def test_a_worker_that_does_not_turn_is_replaced(start: StartGateway, repository: Path) -> None:
    """A stopped process sends no heartbeat; it is noticed, killed and replaced."""
    models.put(repository, "a", 1, models.affine())
    with start(workers=2, stuck_seconds=STUCK_SECONDS) as gateway:
        stuck, kept = gateway.workers()
        os.kill(stuck, signal.SIGSTOP)

        eventually(lambda: not is_running(stuck))
        eventually(lambda: restarts(gateway, 2) == 1)

        assert [line["child"] for line in gateway.logged("stuck")] == [
            line["child"] for line in gateway.logged("ended")
        ]
        assert kept in gateway.workers()
        assert eventually(lambda: gateway.infer("a", ROW)).status == 200


def test_a_model_that_never_ends_on_the_event_loop_costs_its_worker_only(
    start: StartGateway, repository: Path
) -> None:
    """A heartbeat of the loop itself shows that a model blocks it, and the stack says where."""
    models.put(repository, "loop", 1, models.loop())
    settings = 'execution = "inline"\nhang_kill_seconds = 3600\n'  # Else it is broken off.
    (repository / "loop" / "model.toml").write_text(settings)
    tensor = {"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [2**62]}
    body = orjson.dumps({"inputs": [tensor]})
    with start(stuck_seconds=STUCK_SECONDS) as gateway:
        (stuck,) = gateway.workers()
        with raw.connected(gateway.data) as connection:
            connection.send(raw.post("/v2/models/loop/infer", body))
            with pytest.raises(ConnectionError):
                connection.read()

        (ended,) = eventually(lambda: gateway.logged("ended"))
        assert ended["how"] == "SIGABRT"
        assert "Fatal Python error: Aborted" in gateway.log_path.read_text()
        assert not is_running(stuck)
        answer = eventually(lambda: gateway.infer("loop", [{**tensor, "data": [3]}]))
        assert answer.json["outputs"][0]["data"] == [3]


def test_a_control_that_does_not_turn_is_replaced(start: StartGateway, repository: Path) -> None:
    """Control is watched as workers are, and predictions do not need it meanwhile."""
    models.put(repository, "a", 1, models.affine())
    with start(stuck_seconds=STUCK_SECONDS) as gateway, asking(gateway, "a") as seen:
        control = gateway.children()["control"]
        os.kill(control, signal.SIGSTOP)

        eventually(lambda: not is_running(control))
        eventually(lambda: call(gateway.control + "/v2/health/ready").status == 200)

        assert seen.is_flawless
        assert [line["child"] for line in gateway.logged("stuck")] == ["control"]


def test_a_pause_of_the_whole_gateway_replaces_nobody(
    start: StartGateway, repository: Path
) -> None:
    """A frozen container or a suspended job is no fault of the children: they go on after it."""
    models.put(repository, "a", 1, models.affine())
    with start(stuck_seconds=STUCK_SECONDS) as gateway:
        supervisor = gateway.process.pid
        children = sorted(gateway.children().values())
        for pid in (supervisor, *children):
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            gateway.process.wait(STUCK_SECONDS + 0.5)

        before = turns(supervisor)
        os.kill(supervisor, signal.SIGCONT)
        eventually(lambda: turns(supervisor) > before + 3)
        for pid in children:
            os.kill(pid, signal.SIGCONT)

        assert gateway.infer("a", ROW).status == 200
        assert sorted(gateway.children().values()) == children
        assert gateway.stop() == 0
        assert gateway.logged("stuck") == gateway.logged("ended") == []


def test_there_are_as_many_workers_as_usable_cores(repository: Path, tmp_path: Path) -> None:
    """Without a number, each core that the process may use gets a worker."""
    with launched(repository, tmp_path / "state", workers=0) as launch:
        eventually(lambda: len(_started(launch.log_path)) == 1 + usable_cores())
        launch.process.send_signal(signal.SIGTERM)
        launch.process.wait(60)
        workers = [f"worker-{number}" for number in range(usable_cores())]
        assert _started(launch.log_path) == ["control", *workers]


def test_workers_share_the_port(start: StartGateway, repository: Path) -> None:
    """Each worker accepts connections of its own on the one data port."""
    models.put(repository, "a", 1, models.affine())
    with start(workers=2) as gateway:
        connections = [raw.connected(gateway.data) for _ in range(40)]
        opened = [connection.__enter__() for connection in connections]
        try:
            samples = [f'tidegate_connections{{worker="{number}"}}' for number in (0, 1)]

            def shares() -> list[float] | None:
                values = [gateway.metric(sample) for sample in samples]
                return values if sum(values) == len(opened) else None

            assert min(eventually(shares)) > 0
        finally:
            for connection in connections:
                connection.__exit__(None, None, None)


def test_a_second_gateway_on_one_state_directory_is_refused(
    start: StartGateway, repository: Path
) -> None:
    """The second says who has the directory, exits with 2, and disturbs nothing."""
    models.put(repository, "a", 1, models.affine())
    with start() as gateway:
        second = _serve(repository, gateway.state_dir, port=0, control_port=0)

        assert second.returncode == 2
        assert f"is in use by process {gateway.process.pid}" in second.stderr
        assert "--state-dir" in second.stderr
        assert gateway.infer("a", ROW).status == 200
        assert gateway.metric("tidegate_workers_connected") == 1


@pytest.mark.parametrize("taken", ["data", "control"])
def test_a_second_gateway_on_one_port_is_refused(
    start: StartGateway, repository: Path, tmp_path: Path, taken: str
) -> None:
    """The second names the port and exits with 2, instead of taking half of the connections."""
    models.put(repository, "a", 1, models.affine())
    with start() as gateway:
        number = int(getattr(gateway, taken).rsplit(":", 1)[1])
        ports = {"port": 0, "control_port": 0} | {
            "port" if taken == "data" else "control_port": number
        }

        second = _serve(repository, tmp_path / "other", **ports)

        assert second.returncode == 2
        assert f"127.0.0.1:{number}" in second.stderr
        assert "Address already in use" in second.stderr


def test_the_data_port_is_held_while_no_worker_listens(repository: Path, tmp_path: Path) -> None:
    """A gateway whose workers are not there yet has its port all the same."""
    (tmp_path / "first" / "control.sock").mkdir(parents=True)  # Control cannot start.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with launched(repository, tmp_path / "first", port=port) as launch:
        eventually(lambda: "worker-0" in _started(launch.log_path))

        second = _serve(repository, tmp_path / "second", port=port, control_port=0)

        assert second.returncode == 2
        assert "Address already in use" in second.stderr


@pytest.mark.parametrize("seen", ["started", "ready"])
def test_nothing_is_left_of_a_killed_supervisor(
    repository: Path, tmp_path: Path, seen: str
) -> None:
    """However early it is killed, its children end with it, and another takes over their ports."""
    models.put(repository, "a", 1, models.affine())
    ports: dict[str, int] = {}
    with launched(repository, tmp_path / "state", workers=2) as launch:
        if seen == "started":
            eventually(lambda: _started(launch.log_path))
        else:
            eventually(lambda: "try it" in launch.log_path.read_text())
        family = descendants(launch.process.pid)
        launch.process.kill()
        launch.process.wait()
        assert family
        eventually(lambda: not any(map(is_running, family)))
    with running(repository, tmp_path / "state", **ports) as gateway:
        assert gateway.infer("a", ROW).status == 200


def _started(log_path: Path) -> list[str]:
    return [line["child"] for line in log_lines(log_path) if line["event"] == "started"]


def _serve(repository: Path, state_dir: Path, **ports: int) -> subprocess.CompletedProcess[str]:
    """Run a `serve` that is expected to refuse, until it ends."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in ports.items()]
    command = [sys.executable, "-m", "server", "serve", str(repository)]
    return subprocess.run(
        [*command, f"--state-dir={state_dir}", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
