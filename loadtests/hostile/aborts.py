"""A model that kills its worker once a second, beside a good one.

Each killing request has rows of its own, so that none of them is quarantined, and no version is
taken out (`max_version_faults = 1000`): what is left is what a death costs. The good model is asked
at a fixed rate; its latency counts from when a request was due.
"""

import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from loadtests import targets
from loadtests.control import Control
from loadtests.hostile.beside import HUNG_SECONDS, GoodClients, Ledger, ask, spread
from loadtests.hostile.models import affine, crashing, put

WORKERS = 2
QUIET_SECONDS = 10.0
READY_SECONDS = 2.0
KILLER = -2


def measure(kills: int) -> dict[str, Any]:
    """Ask a good model for a while, then kill a worker each second, `kills` times."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", "good", affine())
        put(scratch / "models", "bad", crashing())
        control = Control(targets.free_port())
        flags = ("--control-port", str(control.port), "--max-version-faults", "1000")
        ledger, deaths, ready = Ledger(), Counter[str](), list[float]()
        with targets.tidegate(scratch, scratch / "models", WORKERS, "tidegate", *flags) as target:
            control.first_live("bad")
            with GoodClients(target.port, ledger):
                began = time.perf_counter()
                time.sleep(QUIET_SECONDS)
                killing = time.perf_counter()
                watch = threading.Thread(target=_watch, args=(control, kills, ready))
                watch.start()
                for number in range(kills):
                    deaths[ask(target.port, "bad", _killer(number))] += 1
                    time.sleep(max(0.0, killing + number + 1 - time.perf_counter()))
                watch.join()
                ended = time.perf_counter()
    quiet, busy = ledger.part(began, killing), ledger.part(killing, ended)
    return {
        "killing requests": dict(deaths),
        "replaced": len(ready),
        "seconds until all are ready": spread(ready),
        f"not ready in {READY_SECONDS:g} s": sum(one > READY_SECONDS for one in ready),
        "good, before": quiet,
        "good, meanwhile": busy,
        "p99 ratio": round(busy["p99 ms"] / quiet["p99 ms"], 2),
    }


def _killer(number: int) -> bytes:
    """Return a request that kills, with a number of its own."""
    tensor = {"name": "x", "datatype": "INT32", "shape": [1, 2], "data": [KILLER, number]}
    return orjson.dumps({"inputs": [tensor]})


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
