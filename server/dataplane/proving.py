"""Show that each live version answers: ask those that have not answered anybody for a while.

Decides nothing (`proof.py` does): puts probes into the real queues of versions, and says which
have not answered in time. What a probe does is counted apart from what callers do.

Concurrency: event loop only.
Lifetime: `probe_forever` is one task for the life of the worker.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from server.dataplane.proof import is_due, is_stale, patience_seconds
from server.dataplane.routes import Routes
from server.dataplane.served import ServedVersion
from server.engine.running import PROBE
from server.errors import QueueFull, TidegateError
from server.repository import samples
from server.tensors import Array, Data, Signature
from server.wire.desired import VersionPlan

log = structlog.get_logger()

TICK_SECONDS = 0.5
_TICKS_FOR_ALL = 6
"""Probes of many versions are spread over so many ticks, so that callers do not feel them."""


class Probe:
    """A request of our own, as an entry of the queue."""

    def __init__(self, served: ServedVersion, inputs: Sequence[Array]) -> None:
        self.arrived = time.perf_counter()
        self.deadline = self.arrived + patience_seconds(served.batcher.batch_seconds)
        self.rows = 1
        self.shape_key = PROBE
        self.shapes = tuple(array.shape for array in inputs)
        self.tensors: list[Data] = [
            array.ravel().tolist() if array.dtype == object else array.tobytes() for array in inputs
        ]
        self.is_gone = False
        self.over: asyncio.Future[TidegateError | None] = asyncio.Future()
        """None if the model answered."""

    def told(self, error: TidegateError | None) -> None:
        """Take note of what came of it; later news are none."""
        if not self.over.done():
            self.over.set_result(error)


def probe_inputs(plan: VersionPlan, signature: Signature) -> list[Array] | None:
    """Return what to ask a version with, from the inputs of its check; None if there are none."""
    if not plan.samples:
        return None
    inputs = samples.load(Path(plan.samples), signature)
    return samples.first_rows(inputs, 1) if plan.is_batched else inputs


async def prove(served: ServedVersion) -> None:
    """Ask a version before it is named to anybody, and wait for the answer, within limits."""
    probe = _ask(served)
    if probe is None:
        return
    error = await probe.over
    if error is not None:
        log.warning("probe_failed", model=served.model, version=served.version, error=error.code)


def _ask(served: ServedVersion) -> Probe | None:
    if served.probe_inputs is None:
        return None
    probe = Probe(served, served.probe_inputs)
    try:
        served.batcher.submit(probe)
    except QueueFull:  # Those who fill it will show whether it answers.
        return None
    return probe


class Prover:
    """The live versions of a worker, and whether they answer."""

    def __init__(self, routes: Routes) -> None:
        self.probes = 0
        """How many were sent."""
        self._routes = routes
        self._waiting: dict[ServedVersion, Probe] = {}
        self._unready: set[str] = set()

    async def probe_forever(self) -> None:
        """Ask whoever is due, again and again."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.perf_counter()
            self.probe(now)
            self._log_changes(self.unproven(now))

    def _log_changes(self, unproven: dict[str, str]) -> None:
        for model in unproven.keys() - self._unready:
            log.warning("not_ready", reason=unproven[model])
        for model in self._unready - unproven.keys():
            log.info("ready_again", model=model)
        self._unready = set(unproven)

    def probe(self, now: float) -> None:
        """Ask some of those whose last answer is too old, the oldest first."""
        self._waiting = {
            one: probe for one, probe in self._waiting.items() if not probe.over.done()
        }
        due = [
            (served.batcher.last_good, served)
            for served in self._live()
            if is_due(now - served.batcher.last_good, served.batcher.batch_seconds)
            and served not in self._waiting
        ]
        due.sort(key=lambda pair: pair[0])
        at_once = max(1, -(-len(self._routes.table.models) // _TICKS_FOR_ALL))
        for _, served in due[:at_once]:
            if (probe := _ask(served)) is not None:
                self.probes += 1
                self._waiting[served] = probe

    def _live(self) -> Iterator[ServedVersion]:
        for route in self._routes.table.models.values():
            if route.live is not None and route.versions[route.live].probe_inputs is not None:
                yield route.versions[route.live]

    def unproven(self, now: float) -> dict[str, str]:
        """Return why models are not ready, by model."""
        reasons = {}
        for served in self._live():
            age = now - served.batcher.last_good
            if is_stale(age, served.batcher.batch_seconds):
                since = "yet" if math.isinf(age) else f"for {age:.0f} seconds"
                subject = f"model '{served.model}' version {served.version}"
                reasons[served.model] = f"{subject} has not answered {since}"
        return reasons
