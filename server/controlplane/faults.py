"""Faults of versions, as they are told: count them, take a version out, suspect who ran then.

Decides what follows from a fault, by `release/faults.py` and `suspects.py`. Faults come from the
supervisor (a worker died) and from workers (a run hung). What was counted is lost with control,
which is no harm: a version that goes on failing is counted anew. That a version is taken out is
part of its release state, and is kept.

Concurrency: event loop only.
Lifetime: `run` is one task for the life of control.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from server.controlplane.known import KnownModel
from server.controlplane.releases import Releases, Wish
from server.controlplane.suspects import SuspectTable
from server.errors import TidegateError
from server.release import faults
from server.release.actions import Action, Verb
from server.repository.policy import SYSTEM
from server.wire import suspects
from server.wire.fault import Fault

log = structlog.get_logger()

EXPIRY_SECONDS = 5.0
MAX_WATCHED = 1000
"""Versions whose faults are counted; the oldest are forgotten first."""


class Workers(Protocol):
    """Who is told of suspects."""

    def suspect(self, message: bytes) -> None:
        """Tell all workers, those that are still to come too."""


class Faults:
    """What is known of faults since control started."""

    def __init__(
        self,
        models: Mapping[str, KnownModel],
        releases: Releases,
        workers: Workers,
        limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limit` faults close together have a version taken out; 0 never has."""
        self.counts: Counter[tuple[str, str, str]] = Counter()
        """By model, version and kind."""
        self.quarantines = 0
        """Requests that were quarantined."""
        self.table = SuspectTable()
        self._models = models
        self._releases = releases
        self._workers = workers
        self._limit = limit
        self._clock = clock
        self._recent: dict[tuple[str, str], list[tuple[float, str]]] = {}
        """Times and kinds, by model and digest."""

    def reported(self, report: Mapping[str, Any]) -> None:
        """Take what the supervisor says."""
        try:
            if "fault" in report:
                self.take(Fault.from_json(report["fault"]))
        except Exception:  # Whatever is said, control goes on.
            log.exception("fault_not_understood")

    def take(self, fault: Fault) -> None:
        """Do what follows from a fault."""
        log.error(
            "version_fault",
            model=fault.model,
            version=fault.version,
            kind=fault.kind,
            worker=fault.worker,
            how=fault.how,
        )
        self.counts[fault.model, fault.version, fault.kind] += 1
        now = self._clock()
        self._suspect(fault, now)
        key = (fault.model, fault.digest)
        before = self._recent.pop(key, [])
        times = faults.recent([at for at, _ in before], now)
        recent = [*before[len(before) - len(times) :], (now, str(fault.kind))]
        self._recent[key] = recent
        if len(self._recent) > MAX_WATCHED:
            del self._recent[next(iter(self._recent))]
        if faults.is_too_many(len(recent), self._limit):
            self._take_out(fault, [kind for _, kind in recent])

    def _take_out(self, fault: Fault, kinds: Sequence[str]) -> None:
        model = self._models.get(fault.model)
        known = model.versions.get(fault.version) if model is not None else None
        if known is None or known.plan is None or known.plan.digest != fault.digest:
            return  # It has gone, or other files are there by now.
        if faults.failure(self._releases.route(fault.model), fault.digest):
            return  # It is on its way out, and some worker still had it.
        wish = Wish(SYSTEM, faults.reason(kinds), evidence={"last_fault": fault.to_json()})
        try:
            self._releases.change_now(fault.model, Action(Verb.FAIL, fault.version), wish)
        except TidegateError as error:
            log.warning("version_not_taken_out", model=fault.model, error=str(error))
            return
        del self._recent[fault.model, fault.digest]

    # Requests.

    def _suspect(self, fault: Fault, now: float) -> None:
        if not fault.suspects:
            return
        for one in self.table.add(fault.model, fault.suspects, now, was_alone=fault.was_alone):
            self.quarantines += 1
            log.error("quarantined", model=fault.model, version=fault.version, request=one)
        self._tell(now)

    def _tell(self, now: float) -> None:
        self._workers.suspect(suspects.encode(self.table.seconds_left(now)))

    async def run(self) -> None:
        """Let suspects go when their time is over, for ever."""
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            now = self._clock()
            if self.table.expire(now):
                self._tell(now)
