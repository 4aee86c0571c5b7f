"""More of the same than anybody needs: read as far as it may go, and no further."""

import contextlib
from pathlib import Path

import pytest

from tests.dataplane.conftest import PlanOf
from tests.support.asking import (
    AFFINE,
    check_nothing_left,
    check_serving,
    error_of,
    turn,
)
from tests.support.dataplane import InProcessWorker
from tests.support.raw import connected, get

CHUNKS = 1_000_000
COLD = "/v2/models/affin%65/infer"
MAX_UNREAD_BYTES = 2 << 20
"""What may wait for one client that does not read: answers to what one piece of the stream asked,
and what the system had read before."""


@pytest.mark.parametrize("path", [AFFINE, COLD])
def test_a_million_chunks_in_one_body_are_refused(worker: InProcessWorker, path: str) -> None:
    """Most of them are not even read as chunks; the next request is answered as ever."""
    check_nothing_left(worker)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with connected(worker.url) as client:
        client.send(head + b"1\r\n \r\n" * CHUNKS + b"0\r\n\r\n" + get("/v2/hidden"))
        answer = client.read()
        assert error_of(answer) == (400, "bad_http")
        assert "65536 chunks" in answer.body.decode()
        assert client.is_closed()
    check_serving(worker)
    check_nothing_left(worker)


def test_a_pipeline_without_end_that_nobody_reads_is_cut_off(
    tmp_path: Path, plan_of: PlanOf
) -> None:
    """It is read no further while its answers wait, and so little waits for it."""
    plans = {"affine": plan_of("affine")}
    with InProcessWorker(tmp_path, plans, write_timeout_seconds=1.5) as worker:
        check_nothing_left(worker)
        flood = get("/v2/models/affine") * 500
        most = sent = 0
        with connected(worker.url) as client:
            client.link.settimeout(0.1)
            with contextlib.suppress(ConnectionError):
                while True:
                    with contextlib.suppress(TimeoutError):
                        sent += client.link.send(flood[sent % len(flood) :])
                    turn(worker)
                    most = max(most, worker.on_loop(unread, worker))
        assert 0 < most < MAX_UNREAD_BYTES
        check_serving(worker)
        check_nothing_left(worker)


def unread(worker: InProcessWorker) -> int:
    """Return the bytes of answers that the worker holds for its clients, on its event loop."""
    return sum(one.unread_bytes(float("inf")) for one in worker.worker.plane.connections)
