"""Whether answers are right: each request of a pool before a run, and now and then during it.

The load generator looks at statuses only, to be cheap. A client beside it, on a connection of its
own, asks ten times a second and keeps the answers; they are read when the run is over, so that
reading them takes nothing from anybody.

Concurrency: the client is a thread; its fields are read when it has ended.
Lifetime: one block around one run.
"""

import http.client
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
import orjson
from numpy.typing import NDArray

from loadtests.bench_models import Workload
from loadtests.peers.base import Request

PERIOD_SECONDS = 0.1
TIMEOUT_SECONDS = 30.0
_DTYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "INT32": "<i4"}
_LENGTH = "inference-header-content-length"

Reader = Callable[[bytes, Mapping[str, str]], NDArray[Any]]
"""From an answer's body and headers to the numbers of the last output: all, or only the first."""


@dataclass(frozen=True)
class Asked:
    """Requests of one workload, and what their answers must say."""

    port: int
    requests: Sequence[Request]
    read: Reader
    expected: Sequence[NDArray[Any]]
    """The last output of each request."""

    def judge(self, number: int, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """Say what is wrong with the answer to a request; nothing is an empty text."""
        if status != 200:
            return f"status {status}: {body[:200]!r}"
        try:
            got = self.read(body, headers)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return f"an answer cannot be read ({error!r}): {body[:200]!r}"
        there = self.expected[number].size
        if got.size not in (1, there):
            return f"{got.size} numbers, where the model gives {there}"
        wanted = self.expected[number][: got.size]
        if np.allclose(got, wanted, rtol=1e-3, atol=1e-5):
            return ""
        place = int(np.argmax(np.abs(got - wanted)))
        return f"request {number} is answered {got[place]}, not {wanted[place]}"


def session(model: Path | bytes) -> onnxruntime.InferenceSession:
    """Open a model's file or its content as it is, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def expected(model: Path | bytes, pool: Sequence[Workload]) -> list[NDArray[Any]]:
    """Return the numbers of the last output for each request, by onnxruntime alone."""
    opened = session(model)
    return [opened.run(None, dict(one.inputs))[-1].ravel() for one in pool]


def last_output(body: bytes, headers: Mapping[str, str]) -> NDArray[Any]:
    """Return the numbers of the last output of an answer of the Open Inference Protocol."""
    length = {name.lower(): value for name, value in headers.items()}.get(_LENGTH)
    if length is None:
        return np.array(orjson.loads(body)["outputs"][-1]["data"], np.float64)
    outputs = orjson.loads(body[: int(length)])["outputs"]
    sizes = [one["parameters"]["binary_data_size"] for one in outputs]
    start = int(length) + sum(sizes[:-1])
    part = body[start : start + sizes[-1]]
    return np.frombuffer(part, _DTYPES[outputs[-1]["datatype"]]).astype(np.float64)


def check(asked: Asked) -> str:
    """Ask each request once; say what is wrong with the first wrong answer, or nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", asked.port, timeout=TIMEOUT_SECONDS)
    try:
        for number in range(len(asked.requests)):
            problem = asked.judge(number, *_ask(connection, asked.requests[number]))
            if problem:
                return problem
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()
    return ""


def _ask(
    connection: http.client.HTTPConnection, request: Request
) -> tuple[int, dict[str, str], bytes]:
    connection.request("POST", request.path, request.body, dict(request.headers))
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


class Checker:
    """Asks beside a load from the beginning of a block to its end."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._answers: list[tuple[int, int, dict[str, str], bytes]] = []
        self._broken: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def answered(self) -> int:
        """How many requests of this client the server has answered."""
        return len(self._answers)

    def problems(self) -> tuple[list[str], list[str]]:
        """Say what is wrong with each request without an answer of status 200, and with answers."""
        failed, wrong = list(self._broken), list[str]()
        for number, status, headers, body in self._answers:
            problem = self._asked.judge(number, status, headers, body)
            if problem:
                (wrong if status == 200 else failed).append(problem)
        return failed, wrong

    def _run(self) -> None:
        port, requests = self._asked.port, self._asked.requests
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        turn = 0
        while not self._over.wait(PERIOD_SECONDS):
            try:
                self._answers.append((turn, *_ask(connection, requests[turn])))
            except (OSError, http.client.HTTPException) as error:
                self._broken.append(repr(error))
                connection.close()
            turn = (turn + 1) % len(requests)
        connection.close()
