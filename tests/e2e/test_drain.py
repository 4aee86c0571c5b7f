"""Stopping: what has been asked is answered, what is new is sent elsewhere, what hangs is cut."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.conftest import StartGateway
from tests.support import models, raw
from tests.support.clients import ROW
from tests.support.gateway import (
    PATIENCE_SECONDS,
    Gateway,
    Reply,
    call,
    descendants,
    eventually,
    is_running,
    log_lines,
)

CLOSE = "close"


@contextlib.contextmanager
def sent(gateway: Gateway, turns: int, requests: int) -> Iterator[list[Reply]]:
    """Send requests to `models.loop`, each on a thread; the list has their answers at the end."""
    answers: list[Reply] = []
    tensor = {"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [turns]}

    def ask() -> None:
        answers.append(gateway.infer("loop", [tensor]))

    threads = [threading.Thread(target=ask, name="client") for _ in range(requests)]
    for thread in threads:
        thread.start()
    yield answers
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def in_flight(gateway: Gateway) -> float:
    """Return how many requests wait or run in worker 0."""
    return gateway.metric('tidegate_in_flight_requests{worker="0"}')


def put_loop(repository: Path) -> None:
    """Put a model that can be kept busy for ever, without the event loop."""
    models.put(repository, "loop", 1, models.loop())
    (repository / "loop" / "model.toml").write_text('execution = "thread"\nmax_rows = 1\n')


def endless(connection: raw.RawConnection) -> None:
    """Ask `models.loop` for an answer that takes for ever."""
    tensor = {"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [2**62]}
    connection.send(raw.post("/v2/models/loop/infer", orjson.dumps({"inputs": [tensor]})))


def test_a_worker_that_drains_is_not_ready_and_answers_all_the_same(
    start: StartGateway, repository: Path
) -> None:
    """Balancers are told at once; those who still come are answered, and asked to leave.

    The time for that does not run out, whatever the machine does besides: a second signal ends it.
    """
    models.put(repository, "a", 1, models.affine())
    with start(drain_delay_seconds=600) as gateway, raw.connected(gateway.data) as kept:
        body = orjson.dumps(
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": ROW}]}
        )
        kept.send(raw.post("/v2/models/a/infer", body))
        assert kept.read().header("connection") != CLOSE
        gateway.process.send_signal(signal.SIGTERM)

        ready = gateway.data + "/v2/health/ready"
        eventually(lambda: call(ready).status == 503)
        assert call(gateway.data + "/v2/health/live").status == 200
        answer = gateway.infer("a", ROW)
        assert (answer.status, answer.headers["connection"]) == (200, CLOSE)
        kept.send(raw.post("/v2/models/a/infer", body))
        answered = kept.read()
        assert (answered.status, answered.header("connection")) == (200, CLOSE)
        assert kept.is_closed()

        eventually(lambda: call(gateway.control + "/v2/health/ready").status == 503)
        assert gateway.stop() == 3


def test_what_waits_is_finished_before_the_end(start: StartGateway, repository: Path) -> None:
    """Requests that wait for a slow model when the stop comes get their answers."""
    put_loop(repository)
    with start(request_timeout_ms=60_000, drain_timeout_seconds=60) as gateway:
        with sent(gateway, turns=200_000, requests=5) as answers:
            eventually(lambda: in_flight(gateway) >= 2)
            code = gateway.stop()

        assert code == 0
        assert [answer.status for answer in answers] == [200] * 5
        assert gateway.logged("killed") == []


def test_every_count_reaches_control_before_a_worker_ends(
    start: StartGateway, repository: Path
) -> None:
    """The last requests before the stop are in the metrics, answered errors too."""
    models.put(repository, "a", 1, models.affine())
    with start() as gateway:
        (worker,) = gateway.workers()
        for _ in range(20):
            assert gateway.infer("a", ROW).status == 200
        assert gateway.infer("a", [[1.0]]).status == 400
        os.kill(worker, signal.SIGTERM)
        eventually(lambda: not is_running(worker))

        def counted() -> bool:
            ok = gateway.metric('tidegate_requests_total{model="a",outcome="ok",version="1"}')
            return ok == 20

        eventually(counted)
        assert gateway.metric('tidegate_rows_total{model="a",version="1"}') == 20
        assert gateway.metric("tidegate_river_rows_total") == 20
        code = 'tidegate_requests_total{model="a",outcome="invalid_input",version="1"}'
        assert gateway.metric(code) == 1
        eventually(lambda: gateway.logged("ended"))
        assert [line["how"] for line in gateway.logged("ended")] == ["exit code 0"]


def test_what_takes_too_long_is_cut_off(start: StartGateway, repository: Path) -> None:
    """After the time for draining a request loses its connection, and the exit code says so."""
    put_loop(repository)
    with start(drain_timeout_seconds=1) as gateway, raw.connected(gateway.data) as connection:
        endless(connection)
        eventually(lambda: in_flight(gateway) == 1)
        family = descendants(gateway.process.pid)

        assert gateway.stop() == 3
        assert gateway.logged("killed") == []
        (said,) = [line for line in log_lines(gateway.log_path) if "logger" in line]
        assert (said["logger"], said["process"]) == ("uvicorn.error", "worker-0")
        assert connection.read_to_end() == b""
        assert not any(map(is_running, family))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(
    start: StartGateway, repository: Path, number: int
) -> None:
    """An operator who asks twice does not want to wait for what drains."""
    put_loop(repository)
    with start(drain_timeout_seconds=600) as gateway, raw.connected(gateway.data) as connection:
        endless(connection)
        eventually(lambda: in_flight(gateway) == 1)
        family = descendants(gateway.process.pid)
        os.killpg(gateway.process.pid, number)
        eventually(lambda: call(gateway.data + "/v2/health/ready").status == 503)
        assert gateway.process.poll() is None

        os.killpg(gateway.process.pid, number)

        assert gateway.process.wait(PATIENCE_SECONDS) == 3
        assert not any(map(is_running, family))
        assert {line["child"] for line in gateway.logged("killed")} <= {"worker-0", "control"}
        assert "KeyboardInterrupt" not in gateway.log_path.read_text()


def test_idle_connections_do_not_hold_up_the_end(start: StartGateway, repository: Path) -> None:
    """A client that keeps its connection and asks nothing is sent away once balancers know."""
    models.put(repository, "a", 1, models.affine())
    with (
        start(drain_delay_seconds=0.5, drain_timeout_seconds=600) as gateway,
        raw.connected(gateway.data) as connection,
    ):
        connection.send(raw.get("/v2/health/live"))
        assert connection.read().status == 200

        assert gateway.stop() == 0
        assert connection.is_closed()
