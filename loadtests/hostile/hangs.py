"""Models that hang beside a good one: an endless loop, and a node that nothing can break off.

First the good model alone; then, each second, somebody asks the loop to go on for ever, with a
deadline of 300 ms; then, one after another, somebody asks for a node that computes for longer than
anybody waits, and the worker that it runs in is replaced. No version is taken out.
"""

import itertools
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from loadtests import targets
from loadtests.control import Control
from loadtests.hostile.beside import GoodClients, Ledger, ask, spread
from loadtests.hostile.models import affine, looping, put, unstoppable

WORKERS = 2
QUIET_SECONDS = 10.0
DEADLINE_SECONDS = 0.3
ENDLESS = 2**60
BOXES = 40_000
"""They keep a node busy for a quarter of a minute."""
KERNEL_SECONDS = 12.0
"""From one such request to the next: the worker is given up, and the next one starts."""


def measure(loops: int, kernels: int) -> dict[str, Any]:
    """Ask a good model alone, beside so many endless loops, and beside so many endless nodes."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", "good", affine())
        put(scratch / "models", "loop", looping(), 'execution = "thread"\n')
        put(scratch / "models", "kernel", unstoppable(), 'execution = "thread"\n')
        control = Control(targets.free_port())
        flags = ("--control-port", str(control.port), "--max-version-faults", "0")
        ledger, late, unready = Ledger(), [Late(), Late()], list[float]()
        with targets.tidegate(scratch, scratch / "models", WORKERS, "tidegate", *flags) as target:
            for model in ("loop", "kernel"):
                control.first_live(model)
            with GoodClients(target.port, ledger):
                times = [time.perf_counter()]
                time.sleep(QUIET_SECONDS)
                times.append(time.perf_counter())
                for _ in range(loops):
                    late[0].ask(target.port, "loop", ENDLESS)
                    time.sleep(1.0 - DEADLINE_SECONDS)
                times.append(time.perf_counter())
                stop = threading.Event()
                watch = threading.Thread(target=_watch, args=(control, stop, unready))
                watch.start()
                for _ in range(kernels):
                    late[1].ask(target.port, "kernel", BOXES)
                    time.sleep(KERNEL_SECONDS - DEADLINE_SECONDS)
                stop.set()
                watch.join()
                times.append(time.perf_counter())
    quiet, beside_loops, beside_kernels = (ledger.part(*span) for span in itertools.pairwise(times))
    return {
        "good, alone": quiet,
        "endless loops": late[0].found(),
        "good, beside loops": beside_loops,
        "p99 ratio beside loops": round(beside_loops["p99 ms"] / quiet["p99 ms"], 2),
        "endless nodes": late[1].found(),
        "seconds that a worker was missing": spread(unready),
        "good, beside nodes": beside_kernels,
        "p99 ratio beside nodes": round(beside_kernels["p99 ms"] / quiet["p99 ms"], 2),
    }


class Late:
    """Callers of a model that does not come back."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.seconds: list[float] = []
        """After the deadline, until the answer."""

    def ask(self, port: int, model: str, number: int) -> None:
        """Ask with a deadline, and note when the answer came."""
        tensor = {"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [number]}
        body = orjson.dumps({"inputs": [tensor]})
        milliseconds = str(round(DEADLINE_SECONDS * 1000))
        started = time.perf_counter()
        self.outcomes[ask(port, model, body, **{"X-Request-Timeout-Ms": milliseconds})] += 1
        self.seconds.append(time.perf_counter() - started - DEADLINE_SECONDS)

    def found(self) -> dict[str, Any]:
        """Return what was seen."""
        return {
            "outcomes": dict(self.outcomes),
            "seconds from deadline to answer": spread(self.seconds),
        }


def _watch(control: Control, stop: threading.Event, unready: list[float]) -> None:
    """Note for how long control says each time that not every worker serves what it should."""
    since: float | None = None
    while not stop.wait(0.02):
        now = time.perf_counter()
        if control.get("/v2/health/ready")[0] == 200:
            if since is not None:
                unready.append(now - since)
            since = None
        elif since is None:
            since = now
