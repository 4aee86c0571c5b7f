"""Clients that do not read their answers: given up in time, and not before."""

import itertools
from collections.abc import Iterator
from functools import partial

import pytest

from server.http.connection import Connection
from tests.dataplane.conftest import PlanOf, StartWorker
from tests.support.asking import check_nothing_left, check_serving, infer_body, leftovers, turn
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import RawConnection, connected, post


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker with little patience for clients that do not read."""
    plans = {"affine": plan_of("affine"), "wide": plan_of("open")}
    folder = tmp_path_factory.mktemp("quick-writer")
    with InProcessWorker(
        folder, plans, write_timeout_seconds=0.3, keep_alive_seconds=1.5
    ) as worker:
        yield worker


def _wide(values: int, *headers: str) -> bytes:
    """Ask for an answer of about as many megabytes as millions of values are given."""
    head = infer_body([[]]).replace(b'"shape": [1, 0]', b'"shape": [1, %d]' % values)
    size = b'"parameters": {"binary_data_size": %d}' % (4 * values)
    head = head.replace(b'"data": [[]]', size)
    head = head[:-1] + b', "parameters": {"binary_data_output": true}}'
    length = f"Inference-Header-Content-Length: {len(head)}"
    return post("/v2/models/wide/infer", head + bytes(4 * values), length, *headers)


def unread(worker: InProcessWorker) -> int:
    """Return the bytes of answers that a worker could not hand to the system yet."""
    found: int = worker.on_loop(
        lambda: sum(
            connection._transport.get_write_buffer_size()
            for connection in worker.worker.plane.connections
            if isinstance(connection, Connection)
        )
    )
    return found


def is_less_unread(worker: InProcessWorker, than: int) -> bool:
    """Whether some of it has gone since."""
    return unread(worker) < than


@pytest.mark.parametrize("headers", [(), ("Connection: close",)])
def test_a_client_that_does_not_read_is_cut_off(
    quick: InProcessWorker, headers: tuple[str, ...]
) -> None:
    """A client that takes nothing of a large answer loses its connection, closing or not."""
    check_nothing_left(quick)
    with connected(quick.url) as client:
        client.send(_wide(8_000_000, *headers))  # More than sockets hold: the worker reads it.
        check_serving(quick)
        eventually(lambda: leftovers(quick)["connections"] == 0)
    check_nothing_left(quick)


def test_the_last_bytes_nobody_reads_are_given_up(quick: InProcessWorker) -> None:
    """An idle connection is gone in time even if a little of its last answer is still unread."""
    check_nothing_left(quick)
    with connected(quick.url) as client:
        while unread(quick) == 0:  # Each answer is smaller than what counts as a stalled client.
            client.send(_wide(10_000))
            turn(quick)
            eventually(lambda: leftovers(quick)["in_flight"] == 0)
        assert unread(quick) < 64 << 10
        eventually(lambda: leftovers(quick)["connections"] == 0)


def test_a_slow_client_that_reads_is_not_cut_off(
    start_worker: StartWorker, plan_of: PlanOf
) -> None:
    """Reading something of an answer starts the time anew, however long the whole takes."""

    def check_time(worker: InProcessWorker, seconds: float) -> None:
        """Let the connection look at its time-outs as if it were that much later."""

        def look() -> None:
            for connection in list(worker.worker.plane.connections):
                connection.check_time(worker.loop.time() + seconds)

        worker.on_loop(look)

    with start_worker({"wide": plan_of("open")}, write_timeout_seconds=1000) as worker:
        eventually(lambda: leftovers(worker)["connections"] == 0)
        with connected(worker.url) as client:
            client.send(_wide(8_000_000))
            eventually(lambda: leftovers(worker)["connections"] and client.link.recv(1))
            for step in range(1, 4):
                check_time(worker, step * 900)
                assert leftovers(worker)["connections"] == 1
                before = unread(worker)
                _read_some(client, 4 << 20)
                eventually(partial(is_less_unread, worker, before))
            later = itertools.count(3 * 900 + 1, 1001)

            def is_cut_off() -> bool:
                # What the system still takes a moment after the client has read counts as read.
                check_time(worker, next(later))
                return bool(leftovers(worker)["connections"] == 0)

            eventually(is_cut_off)


def _read_some(client: RawConnection, size: int) -> None:
    left = size
    while left > 0:
        piece = client.link.recv(min(left, 1 << 16))
        assert piece, "cut off"
        left -= len(piece)
