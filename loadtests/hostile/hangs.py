"""Models that hang beside a good one: an endless loop, and a node that nothing can break off.

First the good model alone; then, each second, somebody asks the loop to go on for ever, with a
deadline of 300 ms; then, one after another, somebody asks for a node that computes for longer than
anybody waits, and the worker that it runs in is replaced. No version is taken out.
"""

import itertools
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from loadtests import targets
from loadtests.clients import Crew
from loadtests.control import Control
from loadtests.hostile.beside import GoodClients, Ledger, ask, spread
from loadtests.hostile.models import affine, looping, put, unstoppable

WORKERS = 2
QUIET_SECONDS = 10.0
DEADLINE_SECONDS = 0.3
ENDLESS = 2**60
BOXES = 40_000
"""They keep a node busy for a quarter of a minute."""
LOOK_SECONDS = 0.05
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
        flags = ("--control-port", str(control.port), "--max-version-faults", "1000")
        ledger, late, watch = Ledger(), [Late(), Late()], Watch(control)
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
                with watch:
                    for _ in range(kernels):
                        watch.asked.append(time.perf_counter())
                        late[1].ask(target.port, "kernel", BOXES)
                        time.sleep(KERNEL_SECONDS - DEADLINE_SECONDS)
                times.append(time.perf_counter())
    quiet, beside_loops, beside_kernels = (ledger.part(*span) for span in itertools.pairwise(times))
    return {
        "good, alone": quiet,
        "endless loops": late[0].found(),
        "good, beside loops": beside_loops,
        "p99 ratio beside loops": round(beside_loops["p99 ms"] / quiet["p99 ms"], 2),
        "endless nodes": late[1].found(),
        "workers at least": watch.fewest,
        "seconds from request to another worker": spread(watch.seconds_to_another()),
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


class Watch(Crew):
    """Look, until the block ends, which workers serve all they should."""

    def __init__(self, control: Control) -> None:
        super().__init__([self._run])
        self.asked: list[float] = []
        """When somebody asked for what makes a worker be given up."""
        self.fewest = WORKERS
        self._control = control
        self._came: list[float] = []
        """When a worker was there that had not been there before."""

    def _run(self) -> None:
        known: set[int] = set()
        while not self.stop.wait(LOOK_SECONDS):
            workers = self._control.get("/v1/models/kernel/release")[1]["workers"]
            self.fewest = min(self.fewest, len(workers))
            serving = {one["pid"] for one in workers if one["generation"] is not None}
            if known and serving - known:
                self._came.append(time.perf_counter())
            known |= serving

    def seconds_to_another(self) -> list[float]:
        """Return for each request how long it took until another worker served."""
        ends = [*self.asked[1:], float("inf")]
        return [
            came - asked
            for asked, end in zip(self.asked, ends, strict=True)
            for came in [next((one for one in self._came if asked <= one < end), float("inf"))]
        ]
