"""The end of connections: a request that is on its way when the worker stops is not lost."""

import contextlib

import pytest

from tests.dataplane.conftest import PlanOf, StartWorker
from tests.support.asking import AFFINE, affine_data, data_of, infer_body, leftovers
from tests.support.gateway import eventually
from tests.support.raw import RawConnection, connected, post

ROWS = [[1, 2, 3]]
GOOD = post(AFFINE, infer_body(ROWS))


def check_last(client: RawConnection) -> None:
    """See that a request is answered, and that its answer says that it is the last."""
    client.send(GOOD)
    answer = client.read()
    assert data_of(answer) == affine_data(ROWS)
    assert answer.header("connection") == "close"
    assert client.is_closed()


def test_a_connection_used_a_moment_ago_may_ask_once_more(
    start_worker: StartWorker, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that no longer accepts answers one more request on connections that are in use."""
    monkeypatch.setattr("server.http.connection.QUIET_SECONDS", 30.0)
    plans = {"affine": plan_of("affine")}
    with start_worker(plans, drain_timeout_seconds=60) as worker, contextlib.ExitStack() as stack:
        used, fresh = (stack.enter_context(connected(worker.url)) for _ in range(2))
        used.send(GOOD)
        assert data_of(used.read()) == affine_data(ROWS)
        fresh.send(GOOD[:20])
        eventually(lambda: leftovers(worker)["connections"] >= 2)
        worker.stop()
        eventually(lambda: worker.worker.plane.is_draining)
        eventually(lambda: _refuses(worker.url))
        check_last(used)
        fresh.send(GOOD[20:])
        answer = fresh.read()
        assert (data_of(answer), answer.header("connection")) == (affine_data(ROWS), "close")
        assert fresh.is_closed()
    assert worker.exit_code == 0


def test_a_connection_that_stays_quiet_is_closed(
    start_worker: StartWorker, plan_of: PlanOf
) -> None:
    """Nobody waits long for clients that ask nothing."""
    plans = {"affine": plan_of("affine")}
    with start_worker(plans, drain_timeout_seconds=600) as worker, contextlib.ExitStack() as stack:
        used, unused = (stack.enter_context(connected(worker.url)) for _ in range(2))
        used.send(GOOD)
        assert data_of(used.read()) == affine_data(ROWS)
        worker.stop()
        assert used.is_closed()
        assert unused.is_closed()
    assert worker.exit_code == 0


def _refuses(url: str) -> bool:
    try:
        with connected(url, 1.0):
            return False
    except OSError:
        return True
