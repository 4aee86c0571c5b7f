"""The shadow process, which the supervisor starts when it is wanted (`start.py`).

Decides the order of things: what control plans is opened, what it mirrors is run, candidate after
candidate, and what was seen goes back twice a second; answers, where they are wanted, at once.
Before each run control is told which candidate is about to run, so that a crash has a name. A
candidate that hangs, or takes more memory than there is for all of them, ends the process: there is
no other way out of a model that runs. The supervisor starts it again.

Concurrency: the event loop, and one thread that runs models; while it does, the loop only watches.
Lifetime: until the supervisor or control says so or is gone, or a candidate spoils it.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from server import machine
from server.child import Channel
from server.errors import TidegateError
from server.release.evidence import Kind as PairKind
from server.release.evidence import ShadowEvidence
from server.release.mismatches import Mismatch, kept
from server.shadow.candidates import Candidates, open_version
from server.shadow.link import Link
from server.shadow.watch import Trouble, Watch
from server.wire import record, shadow
from server.wire.channel import Charter
from server.wire.frames import Kind
from server.wire.record import BatchRecords
from server.wire.shadow import (
    CandidatePlan,
    ComparisonPlan,
    EvidenceDelta,
    Run,
    Runnable,
    ShadowStatus,
)

log = structlog.get_logger()

Result = TypeVar("Result")

REPORT_SECONDS = 0.5
MAX_WAITING = 16
"""Records that wait here; more wait in the socket."""

OPEN_SECONDS = 60.0
MIN_RUN_SECONDS = 1.0
TIMES_LIVE = 10.0
"""A candidate may take this many times what the live version took for the same batches."""

_LOOK_SECONDS = 0.05
EXITS = {Trouble.HANG: 10, Trouble.MEMORY: 11}


@dataclass(slots=True)
class _Seen:
    """What was seen of a candidate since the last report."""

    evidence: ShadowEvidence = field(default_factory=ShadowEvidence)
    samples: list[Mismatch] = field(default_factory=list)


class _Spoilt(Exception):
    """What runs hangs, or memory runs out."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


class Shadow:
    """The process: its parts, and what waits."""

    def __init__(self, charter: Charter, channel: Channel) -> None:
        self._charter = charter
        self._channel = channel
        self._candidates = Candidates()
        self._new_plans: list[ComparisonPlan] | None = None
        self._waiting: deque[tuple[list[str], BatchRecords]] = deque()
        self._wake = asyncio.Event()
        self._seen: dict[tuple[str, str, str], _Seen] = {}
        """By model, version and epoch."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="candidates")
        self._link: Link
        self._watch: Watch

    async def run(self, stop: asyncio.Event) -> int:
        """Run until told to stop, or until there is nobody to run for; return the exit code."""
        loop = asyncio.get_running_loop()
        native_id = await loop.run_in_executor(self._thread, threading.get_native_id)
        self._watch = Watch(native_id, self._charter.settings.shadow_memory_bytes)
        path = shadow.socket_path(self._charter.socket_path)
        self._link = await Link.connect(path, self._on_frame)
        work = asyncio.create_task(self._work())
        reports = asyncio.create_task(self._report_forever())
        ends = [work, *(asyncio.create_task(event.wait()) for event in (stop, self._link.is_lost))]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        reports.cancel()
        self._give_up_waiting()
        self._report()
        self._link.send(Kind.SHADOW_RUN, shadow.encode_run(None))
        await self._link.sent()
        return work.result() if work.done() else 0

    def _on_frame(self, kind: Kind, payload: memoryview) -> None:
        if kind is Kind.SHADOW_PLAN:
            self._new_plans = shadow.decode_plans(payload)
        elif kind is Kind.MIRROR:
            versions, message = shadow.split_mirror(payload)
            self._waiting.append((versions, record.decode(message)))
            self._link.may_read(is_wanted=len(self._waiting) < MAX_WAITING)
        self._wake.set()

    async def _work(self) -> int:
        """Open and run what there is, for ever; return the exit code if a candidate spoils it."""
        try:
            while True:
                await self._wake.wait()
                if self._new_plans is not None:
                    await self._follow_plans()
                elif self._waiting:
                    await self._compare(*self._waiting.popleft())
                    self._link.may_read(is_wanted=len(self._waiting) < MAX_WAITING)
                else:
                    self._wake.clear()
                    self._link.send(Kind.SHADOW_RUN, shadow.encode_run(None))
        except _Spoilt as end:
            return EXITS[end.trouble]

    async def _follow_plans(self) -> None:
        """Open what is planned and not there, one after the other, until there is a newer plan."""
        plans, self._new_plans = self._new_plans or [], None
        self._candidates.forget_all_but(plans)
        # What the C library keeps of models that are gone would count against those that come.
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, machine.give_memory_back)
        for plan, one in self._candidates.missing(plans):
            if self._new_plans is not None:
                return
            if await self._open(plan, one, plan.live) and await self._open(plan, one, one.runnable):
                self._candidates.add(plan, one)
        self._report()

    async def _open(self, plan: ComparisonPlan, one: CandidatePlan, runnable: Runnable) -> bool:
        """Open one of a candidate's two versions; say whether it is there."""
        if self._candidates.is_open(plan.model, runnable):
            return True
        run = Run(plan.model, one.runnable.version, one.epoch, 0)
        try:
            opened = await self._watched(run, OPEN_SECONDS, open_version, runnable)
        except TidegateError as error:
            log.warning("cannot_open", model=plan.model, version=runnable.version, error=str(error))
            self._candidates.fail(plan.model, runnable)
            if runnable is one.runnable:
                self._of(run).evidence.findings["load"] += 1
            return False
        self._candidates.put(plan.model, opened)
        return True

    async def _compare(self, versions: list[str], records: BatchRecords) -> None:
        """Run candidates on a record, one after the other."""
        if self._candidates.live_digests.get(records.model) != records.digest:
            return
        pairs = int(((records.request_rows > 0) & ~records.is_pinned).sum())
        live_seconds = float(records.batches["run_ns"].sum()) / 1e9
        max_seconds = max(MIN_RUN_SECONDS, TIMES_LIVE * live_seconds)
        for version in versions:
            runner = self._candidates.runners.get((records.model, version))
            if runner is None:
                continue
            run = Run(records.model, version, runner.plan.epoch, pairs)
            try:
                evidence, samples = await self._watched(run, max_seconds, runner.run, records)
            except _Spoilt:
                raise
            except Exception:  # Whatever one record does to us, the next ones are compared.
                log.exception("comparison_failed", model=records.model, version=version)
                self._of(run).evidence.dropped["failed"] += len(records.batches)
            else:
                if runner.answers is not None:
                    # The next run waits until this is sent, so that no more than one ever waits:
                    # where control is slow, records wait, and it drops what it would mirror.
                    message = b"".join(record.encode(runner.answers))
                    self._link.send(Kind.SHADOW_ANSWERS, message)
                seen = self._of(run)
                seen.evidence.add(evidence)
                seen.samples = kept([*seen.samples, *samples])

    async def _watched(
        self, run: Run, max_seconds: float, function: Callable[..., Result], *arguments: object
    ) -> Result:
        """Say what is about to run, run it on the thread, and return what it returns.

        Raises:
            _Spoilt: it takes too long, or too much memory.

        """
        self._link.send(Kind.SHADOW_RUN, shadow.encode_run(run))
        await self._link.sent()
        self._watch.begin(max_seconds)
        running = asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        while True:
            await asyncio.wait({running}, timeout=_LOOK_SECONDS)
            trouble = self._watch.trouble()
            if trouble is Trouble.MEMORY or (trouble is not None and not running.done()):
                log.error("spoilt", model=run.model, version=run.version, trouble=trouble.value)
                evidence = self._of(run).evidence
                evidence.findings[trouble.value] += 1
                kind = PairKind.TIMEOUT if trouble is Trouble.HANG else PairKind.ERROR
                evidence.pairs[kind.value] += run.pairs
                raise _Spoilt(trouble)
            if running.done():
                return running.result()

    def _of(self, run: Run) -> _Seen:
        return self._seen.setdefault((run.model, run.version, run.epoch), _Seen())

    def _give_up_waiting(self) -> None:
        """Count what nobody will compare any more."""
        for versions, records in self._waiting:
            for version in versions:
                runner = self._candidates.runners.get((records.model, version))
                if runner is not None:
                    run = Run(records.model, version, runner.plan.epoch, 0)
                    self._of(run).evidence.dropped["down"] += len(records.batches)
        self._waiting.clear()

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            self._report()

    def _report(self) -> None:
        """Send what was seen, and how this process is."""
        for (model, version, epoch), seen in self._seen.items():
            delta = EvidenceDelta(model, version, epoch, seen.evidence, seen.samples)
            self._link.send(Kind.SHADOW_EVIDENCE, shadow.encode_evidence(delta))
        self._seen.clear()
        status = ShadowStatus(
            pid=os.getpid(),
            resident_bytes=machine.resident_bytes(),
            cpu_seconds=machine.cpu_seconds(),
            open_files=machine.open_files(),
            loop_lag_seconds=self._channel.take_lag(),
            waiting_records=len(self._waiting),
            loaded=self._candidates.epochs(),
        )
        self._link.send(Kind.SHADOW_STATUS, shadow.encode_status(status))


async def main(charter: Charter, channel: Channel, stop: asyncio.Event) -> int:
    """Run the shadow process."""
    return await Shadow(charter, channel).run(stop)
