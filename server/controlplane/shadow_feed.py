"""Mirror records of live batches to the shadow process, and take what it has seen of candidates.

Decides what is mirrored: of each record that could be, whether it is drawn, and whether it can be
sent now; if not, it is counted with the reason, because evidence from which much was dropped is
worth less. Nothing waits for the shadow process. Decides too what its end means: a candidate that
was running is taken to have crashed it.

What it costs is bounded: a record is passed on as it came, without being written anew.

Concurrency: event loop only.
Lifetime: `run` is one task for the life of control. Nothing is mirrored before `start`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import structlog

from server.controlplane.known import KnownModel
from server.controlplane.shadow_findings import Findings
from server.controlplane.shadow_link import ShadowLink
from server.controlplane.shadow_plans import Key, Target, Targets, plans_of, targets_of
from server.controlplane.shadow_throttle import Measured, Throttle
from server.release.evidence import Kind as PairKind
from server.release.evidence import ShadowEvidence
from server.release.mismatches import Mismatch, kept
from server.release.route import ReleaseRoute
from server.settings import Settings
from server.store.keys import EvidenceKey
from server.wire import record, shadow
from server.wire.frames import Kind
from server.wire.record import BatchRecords, Content
from server.wire.shadow import Run, ShadowStatus

log = structlog.get_logger()

FLUSH_SECONDS = 0.5
MAX_MIRROR_BYTES = 8 << 20
"""A record that is larger is not mirrored."""

SUSPENDED = "suspended"
REASONS = (
    *(SUSPENDED, "down", "not_loaded", "size", "pressure", "budget", "queue_full"),
    *("river", "failed"),
)
"""Why a batch that was drawn was not compared."""

FINDINGS = ("load", "crash", "hang", "memory", SUSPENDED)
"""What a candidate did to its process, and what followed."""


class Kept(Protocol):
    """What is kept of a candidate."""

    shadow: ShadowEvidence


class Book(Protocol):
    """Where evidence is kept."""

    def add(self, model: str, version: str, epoch: str, evidence: ShadowEvidence) -> None:
        """Add what was seen of a candidate."""

    def of(self, key: EvidenceKey) -> Kept:
        """Return all that was seen of a candidate in an epoch."""


@dataclass(slots=True)
class _Second:
    """What was measured since the last look."""

    waits: list[np.ndarray] = field(default_factory=list)
    batches: int = 0
    run_seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Processor time of the shadow process at the last look."""


class ShadowFeed:
    """All shadows of all models, as control sees them."""

    def __init__(
        self,
        settings: Settings,
        models: Mapping[str, KnownModel],
        book: Book,
        *,
        unmirrored: Callable[[str, str], Counter[str]],
        lag_seconds: Callable[[], float],
        report: Callable[[bool], None],
    ) -> None:
        """Follow `models`, whose releases `want` tells.

        `unmirrored` returns the batches of a model's version that workers should have sent whole
        and did not, by reason, since control started; `report` tells the supervisor whether a
        shadow process is wanted.
        """
        self.link = ShadowLink(self)
        self.status: ShadowStatus | None = None
        """What the shadow process last said; None while there is none."""
        self.totals: dict[tuple[str, str], ShadowEvidence] = {}
        """All that was seen since control started, by model and version."""
        self.findings = Findings()
        self._models = models
        self._book = book
        self._unmirrored = unmirrored
        self._lag_seconds = lag_seconds
        self._report = report
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._random = random.Random()  # noqa: S311 - which batch is drawn is no secret
        self.take_answers: Callable[[BatchRecords], None] = lambda _: None
        """Is told how candidates answered what was mirrored, for labels that may come."""
        self.throttle = Throttle(settings.shadow_cpu_cores, self._clock())
        self._is_started = False
        self._routes: Mapping[str, ReleaseRoute] = {}
        self._targets: dict[tuple[str, str], Targets] = {}
        self._is_wanted = False
        self._sent = b""
        self._running: Run | None = None
        self._loaded: frozenset[tuple[str, str]] = frozenset()
        """Models and epochs of the candidates that can be run."""
        self._pending: dict[Key, ShadowEvidence] = {}
        self._samples: dict[Key, list[Mismatch]] = {}
        self._unmirrored_before: dict[tuple[str, str], Counter[str]] = {}
        self._second = _Second()

    def start(self) -> None:
        """From now on, mirror: what an earlier control has counted is known."""
        self._is_started = True
        self.want(self._routes)

    def want(self, routes: Mapping[str, ReleaseRoute]) -> None:
        """Follow release states, or what is known of the versions that they name."""
        self._routes = routes
        if not self._is_started:
            return
        keys = {
            (model, one.version, one.epoch)
            for model, route in routes.items()
            for one in route.shadows
        }
        self.findings.keep_only(keys)
        for model, version, _ in keys:
            self.totals.setdefault((model, version), ShadowEvidence())
        self._samples = {key: found for key, found in self._samples.items() if key in keys}
        self._targets = targets_of(routes)
        plans = plans_of(routes, self._models, self.findings.suspended, self._range_of)
        if self._is_wanted is not bool(plans):
            self._is_wanted = bool(plans)
            self._report(self._is_wanted)
        message = shadow.encode_plans(plans)
        if message != self._sent and self.link.send(Kind.SHADOW_PLAN, message):
            self._sent = message

    def _range_of(self, key: Key) -> tuple[float, float] | None:
        """Return between which edges a candidate's scores have been counted so far."""
        seen = self._book.of(EvidenceKey(*key)).shadow
        return (seen.score_low, seen.score_high) if any(seen.live_scores) else None

    def mismatches(self, key: Key) -> list[Mismatch]:
        """Return samples of rows that a candidate answered differently in its present epoch."""
        return self._samples.get(key, [])

    def keep_only(self, models: Iterable[str]) -> None:
        """Forget the totals of models that are gone."""
        self.totals = {key: one for key, one in self.totals.items() if key[0] in models}

    @property
    def is_wanted(self) -> bool:
        """Whether there is a candidate that could be compared."""
        return self._is_wanted

    # Records, on their way down.

    def take(self, records: BatchRecords, message: memoryview) -> None:
        """Mirror a record, if it is drawn for any candidate and can be sent now."""
        targets = self._targets.get((records.model, records.version))
        if targets is None or records.digest != targets.digest:
            return
        self._second.waits.append(records.waits)
        self._second.batches += len(records.batches)
        self._second.run_seconds += float(records.batches["run_ns"].sum()) / 1e9
        if records.content is Content.REDUCED or not records.inputs or not records.rows:
            return
        draw = self._random.random()
        chosen = []
        for target in targets.candidates:
            share = target.share(records.content)
            if draw >= share:
                continue
            pending = self._of((records.model, target.version, target.epoch))
            pending.sampled_batches += len(records.batches)
            is_pressed = draw >= share * self.throttle.share
            reason = self._obstacle(records.model, target, len(message), is_pressed=is_pressed)
            if reason:
                pending.dropped[reason] += len(records.batches)
            else:
                chosen.append(target.version)
        if chosen:
            self.link.send(Kind.MIRROR, *shadow.mirror_parts(chosen, message))

    def _obstacle(self, model: str, target: Target, size: int, *, is_pressed: bool) -> str:
        """Return why a record that was drawn cannot be mirrored; empty if it can."""
        obstacles = (
            (SUSPENDED, (model, target.version, target.epoch) in self.findings.suspended),
            ("down", self.status is None),
            ("not_loaded", (model, target.epoch) not in self._loaded),
            ("size", size > MAX_MIRROR_BYTES),
            ("pressure", is_pressed),
            ("budget", not self.throttle.has_budget),
            ("queue_full", self.link.is_full),
        )
        return next((reason for reason, is_so in obstacles if is_so), "")

    def _of(self, key: Key) -> ShadowEvidence:
        return self._pending.setdefault(key, ShadowEvidence())

    # What the shadow process says.

    def shadow_came(self) -> None:
        """A shadow process has connected: it knows nothing yet."""
        self._sent = b""
        self._second.cpu_seconds = 0.0
        self.flush()  # The plan tells it between which edges scores have been counted so far.
        self.want(self._routes)

    def shadow_said(self, kind: Kind, payload: memoryview) -> None:
        """It sent a message."""
        if kind is Kind.SHADOW_RUN:
            self._running = shadow.decode_run(payload)
        elif kind is Kind.SHADOW_STATUS:
            self.status = shadow.decode_status(payload)
            self._loaded = frozenset(
                (model, epoch) for model, epochs in self.status.loaded.items() for epoch in epochs
            )
        elif kind is Kind.SHADOW_ANSWERS:
            self.take_answers(record.decode(payload))
        elif kind is Kind.SHADOW_EVIDENCE:
            delta = shadow.decode_evidence(payload)
            key = (delta.model, delta.version, delta.epoch)
            self._of(key).add(delta.evidence)
            if delta.samples and self._is_shadow(key):
                self._samples[key] = kept([*self._samples.get(key, ()), *delta.samples])
            for _ in range(delta.evidence.findings.total()):
                self._note_finding(key)

    def shadow_left(self) -> None:
        """It is gone; if it was not told to go, what it ran has crashed it."""
        run, self._running = self._running, None
        self.status = None
        self._loaded = frozenset()
        if run is None or not self._is_wanted:
            return
        log.error("candidate_crashed", model=run.model, version=run.version)
        key = (run.model, run.version, run.epoch)
        pending = self._of(key)
        pending.findings["crash"] += 1
        pending.pairs[PairKind.ERROR.value] += run.pairs
        self._note_finding(key)

    def _is_shadow(self, key: Key) -> bool:
        route = self._routes.get(key[0])
        return route is not None and any(
            (one.version, one.epoch) == key[1:] for one in route.shadows
        )

    def _note_finding(self, key: Key) -> None:
        if self._is_shadow(key) and self.findings.note(key, self._clock()):
            self._of(key).findings[SUSPENDED] += 1
            log.error("candidate_suspended", model=key[0], version=key[1])
            self.want(self._routes)

    # From time to time.

    async def run(self) -> None:
        """Pass on what was seen, and mirror less or more, for ever."""
        turns = 0
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush()
            turns += 1
            if turns % round(1 / FLUSH_SECONDS) == 0:
                self._measure()

    def flush(self) -> None:
        """Pass on what was seen since the last time."""
        self._count_unmirrored()
        pending, self._pending = self._pending, {}
        for (model, version, epoch), evidence in pending.items():
            self._book.add(model, version, epoch, evidence)
            self.totals.setdefault((model, version), ShadowEvidence()).add(evidence)

    def _count_unmirrored(self) -> None:
        """Count what was drawn in workers, of rows that are too large for the river, and not sent.

        It was drawn for the candidate that wants most; others have lost their share of it.
        """
        before, self._unmirrored_before = self._unmirrored_before, {}
        for (model, live), targets in self._targets.items():
            now = self._unmirrored_before[model, live] = Counter(self._unmirrored(model, live))
            for reason, count in (now - before.get((model, live), now)).items():
                for target in targets.candidates:
                    lost = round(count * target.share(Content.MIRROR))
                    pending = self._of((model, target.version, target.epoch))
                    pending.sampled_batches += lost
                    pending.dropped[reason] += lost

    def _measure(self) -> None:
        """Take the last second into account."""
        second = self._second
        cpu_seconds = self.status.cpu_seconds if self.status else second.cpu_seconds
        self._second = _Second(cpu_seconds=cpu_seconds)
        measured = Measured(
            lag_seconds=self._lag_seconds(),
            waits=np.concatenate([np.zeros(0, np.float32), *second.waits]),
            run_seconds=second.run_seconds / second.batches if second.batches else 0.0,
            shadow_cores=max(0.0, cpu_seconds - second.cpu_seconds),
        )
        self.throttle.note(measured, self._clock())
