"""A model that kills its worker once a second, beside a good one.

Each killing request has rows of its own, so that none of them is quarantined, and no version is
taken out (`max_version_faults = 0`): what is left is what a death costs. The good model is asked at
a fixed rate; its latency counts from when a request was due.
"""

import contextlib
import http.client
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from loadtests import targets
from loadtests.control import Control
from loadtests.hostile.models import affine, crashing, put

WORKERS = 2
CLIENTS = 4
PAUSE_SECONDS = 0.02
"""Between the requests of one client."""
QUIET_SECONDS = 10.0
HUNG_SECONDS = 5.0
READY_SECONDS = 2.0
KILLER = -2
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


def measure(kills: int) -> dict[str, Any]:
    """Ask a good model for a while, then kill a worker each second, `kills` times."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", "good", affine())
        put(scratch / "models", "bad", crashing())
        control = Control(targets.free_port())
        flags = ("--control-port", str(control.port), "--max-version-faults", "0")
        ledger, deaths, ready = Ledger(), Counter[str](), list[float]()
        with targets.tidegate(scratch, scratch / "models", WORKERS, "tidegate", *flags) as target:
            control.first_live("bad")
            with _clients(target.port, ledger):
                began = time.perf_counter()
                time.sleep(QUIET_SECONDS)
                killing = time.perf_counter()
                watch = threading.Thread(target=_watch, args=(control, kills, ready))
                watch.start()
                for number in range(kills):
                    deaths[_ask(target.port, "bad", _killer(number))] += 1
                    time.sleep(max(0.0, killing + number + 1 - time.perf_counter()))
                watch.join()
                ended = time.perf_counter()
    quiet, busy = ledger.part(began, killing), ledger.part(killing, ended)
    return {
        "killing requests": dict(deaths),
        "replaced": len(ready),
        "seconds until all are ready": _spread(ready),
        f"not ready in {READY_SECONDS:g} s": sum(one > READY_SECONDS for one in ready),
        "good, before": quiet,
        "good, meanwhile": busy,
        "p99 ratio": round(busy["p99 ms"] / quiet["p99 ms"], 2),
    }


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    low, middle, high = np.quantile(seconds, (0.0, 0.5, 1.0))
    return f"{low:.2f} to {high:.2f}, median {middle:.2f}"


def _killer(number: int) -> bytes:
    """Return a request that kills, with a number of its own."""
    tensor = {"name": "x", "datatype": "INT32", "shape": [1, 2], "data": [KILLER, number]}
    return orjson.dumps({"inputs": [tensor]})


def _ask(port: int, model: str, body: bytes) -> str:
    """Ask on a connection of its own; return the status and code, or what went wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", f"/v2/models/{model}/infer", body)
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


@contextlib.contextmanager
def _clients(port: int, ledger: Ledger) -> Iterator[None]:
    """Ask the good model at a rate until the block ends."""
    stop = threading.Event()
    threads = [threading.Thread(target=_client, args=(port, stop, ledger)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _client(port: int, stop: threading.Event, ledger: Ledger) -> None:
    due = time.perf_counter()
    while not stop.wait(max(0.0, due - time.perf_counter())):
        outcome = _ask(port, "good", GOOD)
        took = time.perf_counter() - due
        with ledger.lock:
            ledger.asked.append((due, took, outcome))
        due += PAUSE_SECONDS


def _watch(control: Control, kills: int, ready: list[float]) -> None:
    """Note how long each time passes from a worker's end until all are ready again."""
    since: float | None = None
    deadline = time.perf_counter() + kills + targets.START_SECONDS
    quiet_since = time.perf_counter()
    while (now := time.perf_counter()) < deadline:
        is_ready = control.get("/v2/health/ready")[0] == 200
        if not is_ready and since is None:
            since = now
        elif is_ready and since is not None:
            ready.append(now - since)
            since, quiet_since = None, now
        if since is None and now - quiet_since > max(3.0, HUNG_SECONDS) and ready:
            return
        time.sleep(0.02)
