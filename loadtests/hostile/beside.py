"""A good model that is asked at a fixed rate while something else is done to its gateway.

The latency of a request counts from when it was due, so that a pause is felt by all that were due
in it.
"""

import contextlib
import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from loadtests.clients import Crew

CLIENTS = 4
PAUSE_SECONDS = 0.02
"""Between the requests of one client."""
HUNG_SECONDS = 5.0
GOOD = orjson.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
)


@dataclass
class Ledger:
    """What the clients of the good model saw."""

    asked: list[tuple[float, float, str]] = field(default_factory=list)
    """When each request was due, its seconds, and what became of it."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def part(self, first: float, last: float) -> dict[str, Any]:
        """Return what became of the requests that were due between two times."""
        mine = [one for one in self.asked if first <= one[0] < last]
        good = [seconds for _, seconds, outcome in mine if outcome == "200"]
        p50, p99 = np.quantile(good, (0.5, 0.99)) * 1000 if good else (np.nan, np.nan)
        return {
            "outcomes": dict(Counter(outcome for _, _, outcome in mine)),
            "p50 ms": round(float(p50), 2),
            "p99 ms": round(float(p99), 2),
            "hung": sum(seconds > HUNG_SECONDS for _, seconds, _ in mine),
        }


def spread(seconds: list[float]) -> str:
    """Return the least, the most and the median of some times."""
    if not seconds:
        return "none"
    low, middle, high = np.quantile(seconds, (0.0, 0.5, 1.0))
    return f"{low:.2f} to {high:.2f}, median {middle:.2f}"


def ask(port: int, model: str, body: bytes, **headers: str) -> str:
    """Ask on a connection of its own; return the status and code, or what went wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", f"/v2/models/{model}/infer", body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
    return str(answer.status) if answer.status == 200 else f"{answer.status} {_code(content)}"


def _code(content: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(orjson.loads(content)["code"])
    return "?"


class GoodClients(Crew):
    """Ask the good model at a rate until the block ends."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        super().__init__([self._run] * CLIENTS)
        self._port = port
        self._ledger = ledger

    def _run(self) -> None:
        due = time.perf_counter()
        while not self.stop.wait(max(0.0, due - time.perf_counter())):
            outcome = ask(self._port, "good", GOOD)
            took = time.perf_counter() - due
            with self._ledger.lock:
                self._ledger.asked.append((due, took, outcome))
            due += PAUSE_SECONDS
