"""The worker's life: it listens when it can answer, drains in order, and says how it ended."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.dataplane import process
from server.settings import Settings
from server.wire import channel, desired
from server.wire.channel import Charter
from tests.dataplane.conftest import PlanOf, StartWorker
from tests.support.asking import (
    AFFINE,
    ask,
    check_serving,
    data_of,
    infer_body,
    leftovers,
    turn,
)
from tests.support.dataplane import InProcessWorker, SilentChannel
from tests.support.dataplane import desired as state_of
from tests.support.gateway import call, eventually
from tests.support.raw import connected, get, post

HELD = "/v2/models/held/infer"
GOOD = infer_body([[1, 2, 3]])
STOPPING = b'{"live":true,"ready":false,"reason":"the server is stopping"}'


@pytest.fixture
def plans(plan_of: PlanOf) -> dict[str, Any]:
    """A model that answers at once, and one that waits for a second row."""
    return {
        "affine": plan_of("affine"),
        "held": plan_of("affine", max_rows=2, max_delay_ms=10_000),
    }


def is_listening(worker: InProcessWorker) -> bool:
    """Whether new connections are taken."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", worker.port), 1).close()
        return True
    return False


def test_a_draining_worker_is_not_ready_but_answers(
    start_worker: StartWorker, plans: dict[str, Any]
) -> None:
    """After the stop, for the delay: not ready, still accepting, and every answer says close."""
    with (
        start_worker(plans, drain_delay_seconds=3) as worker,
        connected(worker.url) as kept,
        connected(worker.url) as cold,
    ):
        check_serving(worker, kept)
        check_serving(worker, cold)
        worker.stop()
        eventually(lambda: worker.worker.plane.is_draining)

        ready = ask(worker, get("/v2/health/ready"))
        assert (ready.status, ready.body) == (503, STOPPING)
        assert ready.header("connection") == "close"
        until = time.monotonic() + 0.5  # Far longer than a stop without the delay would take.
        while time.monotonic() < until:
            assert ask(worker, get("/v2/health/live")).status == 200
        for client, path in ((kept, AFFINE), (cold, AFFINE + "?cold")):
            client.send(post(path, GOOD))
            answer = client.read()
            assert data_of(answer) == [3, 5, 7]
            assert answer.header("connection") == "close"
            assert client.is_closed()
        check_serving(worker)
    assert worker.exit_code == 0


@pytest.mark.parametrize("path", [HELD, HELD + "?cold", "/v1/models/held:predict"])
def test_what_waits_is_answered_before_the_end(
    start_worker: StartWorker, plans: dict[str, Any], path: str
) -> None:
    """A request in the queue when the worker stops is finished; then it closes, and code 0."""
    body = b'{"instances": [[1, 2, 3]]}' if "predict" in path else GOOD
    with (
        start_worker(plans) as worker,
        connected(worker.url) as idle,
        connected(worker.url) as waiting,
    ):
        with connected(worker.url) as second:
            waiting.send(post(path, body))
            second.send(post(HELD, GOOD)[:-1])
            eventually(lambda: leftovers(worker)["queued_rows"] == 1)
            turn(worker)
            worker.stop()
            assert idle.is_closed()
            eventually(lambda: not is_listening(worker))
            assert leftovers(worker)["in_flight"] == 1
            second.send(post(HELD, GOOD)[-1:])  # A request that was under way is taken, too.
            answers = [waiting.read(), second.read()]
        assert [answer.status for answer in answers] == [200, 200]
        assert b"[3.0,5.0,7.0]" in answers[0].body
        assert data_of(answers[1]) == [3, 5, 7]
        assert waiting.is_closed()
    assert worker.exit_code == 0


def test_readiness_waits_for_a_settled_state(
    start_worker: StartWorker, plans: dict[str, Any]
) -> None:
    """A worker answers from its first state on, and is ready when control has seen everything."""
    with start_worker(plans, is_settled=False) as worker:
        assert call(worker.url + "/v2/health/ready").status == 503
        check_serving(worker)
        worker.on_loop(worker.worker.loader.want, state_of(2, plans))
        eventually(lambda: call(worker.url + "/v2/health/ready").status == 200)


@contextlib.contextmanager
def spawned(
    folder: Path, plans: dict[str, Any], **more: Any
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a real worker process, as the supervisor does; control is not there, only its file."""
    settings = Settings(state_dir=folder, repository=folder / "models", **more)
    models = state_of(7, plans).models
    saved = desired.DesiredState(7, models, str(settings.repository), is_settled=True)
    (folder / desired.FILE_NAME).write_bytes(desired.sealed(desired.encode(saved)))
    ours, theirs = socket.socketpair()
    with socket.socket() as probe, ours, theirs:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        charter = Charter(settings, "worker-0", 0, 1, port, str(folder / "nobody.sock"))
        command = [sys.executable, "-m", "tests.support.start_child", "server.dataplane.process"]
        child = subprocess.Popen(
            [*command, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            ours.sendall(channel.encode_charter(charter))
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: call(url + "/v2/health/ready").status == 200)
            yield child, url
        finally:
            child.kill()
            child.wait()


def test_a_worker_without_control_serves_the_last_state(
    tmp_path: Path, plans: dict[str, Any]
) -> None:
    """A worker process that finds no control takes the state on disk; SIGTERM ends it with 0.

    A client that never finishes its request holds up the end, but nothing of it is lost.
    """
    with spawned(tmp_path, plans, drain_timeout_seconds=0.1) as (child, url):
        assert call(url + AFFINE, GOOD).json["outputs"][0]["data"] == [3, 5, 7]
        with connected(url) as client:
            client.send(post(AFFINE, GOOD)[:-1])
            child.terminate()
            assert child.wait(60) == 0


def test_what_takes_too_long_is_cut_off(tmp_path: Path, plans: dict[str, Any]) -> None:
    """A request that still waits when the time to drain is over is told so; the code is 3."""
    with (
        spawned(tmp_path, plans, drain_timeout_seconds=0.1) as (child, url),
        connected(url) as client,
    ):
        client.send(post(HELD, GOOD) + get("/v2"))
        client.send(post(HELD, GOOD)[:-1])
        assert call(url + AFFINE, GOOD).status == 200  # By now, the other one waits.
        child.terminate()
        answer = client.read()
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert b'"code":"shutting_down"' in answer.body
        assert client.read().status == 200
        assert child.wait(60) == 3
        assert client.is_closed()


def test_a_stop_before_the_first_state_ends_at_once(tmp_path: Path) -> None:
    """A worker that has nothing to serve yet can be stopped all the same."""
    charter = Charter(
        Settings(state_dir=tmp_path), "worker-0", 0, 1, 0, str(tmp_path / "nobody.sock")
    )

    async def play() -> int:
        stop = asyncio.Event()
        stop.set()
        return await process.main(charter, SilentChannel(), stop)  # type: ignore[arg-type]

    assert asyncio.run(play()) == 0
