"""Questions to an in-process worker: requests in pieces, whole exchanges, and what is left over."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import RawAnswer, RawConnection, connected, post

AFFINE = "/v2/models/affine/infer"


def infer_body(rows: Any, name: str = "x", datatype: str = "FP32", **more: Any) -> bytes:
    """Return a V2 request in JSON; `rows` is a list of rows."""
    data = np.array(rows)
    tensor = {"name": name, "datatype": datatype, "shape": list(data.shape), "data": rows}
    return json.dumps({"inputs": [tensor], **more}).encode()


def affine_data(rows: Any) -> list[float]:
    """Return what the affine model answers, flat, in the shortest digits that mean each number."""
    return [float(str(value)) for value in (np.array(rows, np.float32) * 2 + 1).ravel()]


def data_of(answer: RawAnswer, output: int = 0) -> Any:
    """Return the data of an output of a successful answer."""
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["outputs"][output]["data"]


def error_of(answer: RawAnswer) -> tuple[int, str]:
    """Return the status and code of an error, having seen that it has the one form there is."""
    body = json.loads(answer.body)
    assert body.keys() == {"error", "code", "request_id"}, body
    assert answer.header("x-request-id") == body["request_id"]
    assert body["error"]
    return answer.status, body["code"]


def turn(worker: InProcessWorker) -> None:
    """Return when the worker has read everything that was sent to it before."""
    for _ in range(2):  # The first may be run before the sockets of the same turn are read.
        worker.on_loop(lambda: None)


def send_pieces(worker: InProcessWorker, client: RawConnection, pieces: Sequence[bytes]) -> None:
    """Send pieces so that the worker reads each of them by itself."""
    for piece in pieces:
        client.send(piece)
        turn(worker)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at some places, each taken modulo their length."""
    borders = sorted({place % len(data) for place in places} | {0}) if data else [0]
    ends = [*borders[1:], len(data)]
    return [data[start:end] for start, end in zip(borders, ends, strict=True)]


def ask(worker: InProcessWorker, request: bytes, *, has_body: bool = True) -> RawAnswer:
    """Send one request on a connection of its own; return its answer."""
    with connected(worker.url) as client:
        client.send(request)
        return client.read(has_body=has_body)


def check_serving(worker: InProcessWorker, client: RawConnection | None = None) -> None:
    """See that a good request is answered bit-exact, on a given or on a new connection."""
    rows = [[0.1, -2.5, 3e7]]
    request = post(AFFINE, infer_body(rows))
    if client is None:
        answer = ask(worker, request)
    else:
        client.send(request)
        answer = client.read()
    assert data_of(answer) == affine_data(rows)


def leftovers(worker: InProcessWorker) -> dict[str, int]:
    """Return everything that requests may leave behind and must not."""
    plane, loaded = worker.worker.plane, worker.worker.loader.loaded

    def look() -> dict[str, int]:
        return {
            "in_flight": plane.predictor.in_flight,
            "bytes": plane.budget.used,
            "queued_rows": sum(served.batcher.queued_rows for served in loaded.values()),
            "connections": len(plane.connections),
        }

    found: dict[str, int] = worker.on_loop(look)
    return found


def check_nothing_left(worker: InProcessWorker) -> None:
    """See that the worker comes to hold nothing for anybody; all connections must be closed."""
    eventually(lambda: not any(leftovers(worker).values()))
