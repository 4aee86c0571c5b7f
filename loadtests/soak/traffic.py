"""Good requests whose answers are checked, and one of every class of bad ones.

Decides what is sent and what may come back. A bad request has a connection of its own, which it may
leave in any state; it must be refused with a status from 400 to 499, or be closed.
"""

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import orjson

from loadtests.clients import Crew
from loadtests.switches import BODY, INPUT, OFFSETS

PATH = "/v2/models/adder/infer"
BAD_SHARE = 0.1
LEAVES = "leaves"
"""Outcome of a client that does not wait for an answer."""


def _post(body: bytes, *headers: str, path: str = PATH, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = [f"POST {path} HTTP/1.1", "Host: soak", f"Content-Length: {size}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _tensor(**changes: object) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": INPUT, **changes}
    return orjson.dumps({"inputs": [tensor]})


BAD: dict[str, bytes] = {
    "no JSON": _post(b'{"inputs": [' + b"\xff" * 20),
    "nested too deep": _post(b"[" * 5000),
    "other shape": _post(_tensor(shape=[1, 4])),
    "other datatype": _post(_tensor(datatype="INT64")),
    "no such input": _post(_tensor(name="y")),
    "text for numbers": _post(_tensor(data=["a", "b", "c"])),
    "no such model": _post(BODY, path="/v2/models/nobody/infer"),
    "no such version": _post(BODY, path="/v2/models/adder/versions/77/infer"),
    "no such path": _post(BODY, path="/v2/models/%00/../infer"),
    "too large": _post(b"", length=1 << 40),
    "unknown encoding": _post(BODY, "Content-Encoding: br"),
    "torn gzip": _post(b"\x1f\x8b\x08torn", "Content-Encoding: gzip"),
    "torn binary tensor": _post(BODY, "Inference-Header-Content-Length: 99999"),
    "two lengths": _post(BODY, "Content-Length: 3"),
    "length and chunks": _post(BODY, "Transfer-Encoding: chunked"),
    "torn chunk": b"POST / HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "large headers": _post(BODY, *(f"X-{number}: {'v' * 500}" for number in range(200))),
    "no HTTP": b"\x16\x03\x01\x00\xa5hello\r\n\r\n",
}
"""Requests that are refused, by class."""
LEAVING: dict[str, bytes] = {
    "leaves in the body": _post(BODY, length=len(BODY) + 100),
    "leaves before the answer": _post(BODY),
    "leaves in the headers": b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: so",
}
"""Requests whose client resets the connection."""


@dataclass
class Ledger:
    """What came of all requests."""

    good: int = 0
    wrong: list[str] = field(default_factory=list)
    bad: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Bad requests by class, and the status that they got."""
    accepted: list[str] = field(default_factory=list)
    """Bad requests that got something else than a refusal."""


def outcome_of(port: int, request: bytes, *, leaves: bool = False) -> str:
    """Send bytes on a connection of their own; return the status, or what else became of it."""
    with socket.create_connection(("127.0.0.1", port), 30) as link:
        try:
            link.sendall(request)
            if leaves:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return LEAVES
            link.shutdown(socket.SHUT_WR)
            head = link.recv(64)
        except ConnectionError:
            return "closed"
        except TimeoutError:
            return "hangs"
    return head[9:12].decode("latin-1") if head.startswith(b"HTTP/1.") else "closed"


def is_refusal(outcome: str) -> bool:
    """Say whether a bad request got what it may get."""
    return outcome in (LEAVES, "closed") or (len(outcome) == 3 and outcome.startswith("4"))


def check(answer: http.client.HTTPResponse) -> str:
    """Say what is wrong with an answer to a good request; nothing if it is right."""
    content = answer.read()
    if answer.status != 200:
        return f"status {answer.status}: {content[:200]!r}"
    document = orjson.loads(content)
    expected = [value + OFFSETS[document["model_version"]] for value in INPUT]
    got = document["outputs"][0]["data"]
    return "" if got == expected else f"version {document['model_version']} answered {got}"


class Traffic(Crew):
    """Clients at a rate of their own, until the block ends."""

    def __init__(self, port: int, rate: float, threads: int = 4, seed: int = 1) -> None:
        self.ledger = Ledger()
        self._port = port
        self._pause_seconds = threads / rate
        self._lock = threading.Lock()
        super().__init__(
            [partial(self._run, random.Random(seed + number)) for number in range(threads)]
        )

    def _run(self, rng: random.Random) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        due = time.monotonic()
        while not self.stop.wait(max(due - time.monotonic(), 0.0)):
            due = max(due + self._pause_seconds, time.monotonic() - 1.0)
            if rng.random() < BAD_SHARE:
                self._bad(rng)
            else:
                self._good(connection)
        connection.close()

    def _good(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.request("POST", PATH, BODY)
            problem = check(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            problem = repr(error)
            connection.close()
        with self._lock:
            self.ledger.good += 1
            if problem:
                self.ledger.wrong.append(problem)

    def _bad(self, rng: random.Random) -> None:
        leaves = rng.random() < len(LEAVING) / (len(BAD) + len(LEAVING))
        name, request = rng.choice(list((LEAVING if leaves else BAD).items()))
        try:
            outcome = outcome_of(self._port, request, leaves=leaves)
        except OSError as error:
            outcome = repr(error)
        with self._lock:
            self.ledger.bad[name, outcome] += 1
            if not is_refusal(outcome):
                self.ledger.accepted.append(f"{name}: {outcome}")


Step = Callable[[int], None]


def every(seconds: float, until: float, step: Step) -> None:
    """Do something now and then until a moment of the monotonic clock; it is told how often."""
    number, due = 0, time.monotonic()
    while (now := time.monotonic()) < until:
        if now >= due:
            step(number)
            number, due = number + 1, due + seconds
        time.sleep(min(max(due - time.monotonic(), 0.0), max(until - time.monotonic(), 0.0)))
