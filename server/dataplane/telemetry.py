"""What a worker tells control about its batches: tallies that arrive, records that may not.

Decides what is kept of each batch and when it is sent. The hot path only appends to lists; every
50 ms, less often with many workers, they become counts and records. That costs some hundred
microseconds a version, however few its batches were: of many versions some have their turn at a
time, and each within a second. Does not know sockets: it is given a `send` that takes a message or
refuses it.

Concurrency: event loop only.
Lifetime: a version's counts outlive the version until they have been sent.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol, cast

import numpy as np

from server.dataplane.batch_columns import (
    CLOSED_CODES,
    KEYED,
    OWN_ID,
    SPLIT,
    Columns,
    Noted,
)
from server.dataplane.kept import NO_TENSORS, KeptTensors, only_answered
from server.dataplane.mirroring import RIVER, ByteBudget
from server.engine.running import FinishedBatch
from server.tensors import Signature
from server.wire import record, tally
from server.wire.frames import Kind
from server.wire.record import BatchRecords, Content, OwnId
from server.wire.tally import Tally

FLUSH_SECONDS, MAX_FLUSH_SECONDS = 0.05, 0.4
"""Between two flushes: the longer, the more workers there are."""
FULL_PACE_WORKERS = 8
"""So many may flush that often: a message costs control half a millisecond, whatever is in it."""
TALLY_SECONDS = 0.25
AT_ONCE = 4
"""Versions that have their turn in a flush; more, if all of them would not within a second."""
FLUSH_BYTES = 512 << 10
"""Tensors of one version waiting for the river; beyond it they are sent at once."""
KEPT_BYTES = 8 << 20
"""Of all versions: where there are many, each may keep less."""

Send = Callable[[Kind, Sequence[bytes | memoryview]], bool]
"""Send a message; False if there is nobody to send to, or too much on its way already."""

UNKNOWN = "_unknown"
"""Label of requests that name no model we know: one, whatever names come in."""


class Member(Protocol):
    """What is noted of each member of a batch: a request, or a part of one."""

    @property
    def arrived(self) -> float:
        """When it arrived."""

    @property
    def rows(self) -> int:
        """How many rows it brought."""

    @property
    def marks(self) -> int:
        """What is special about it: see `batch_columns.py`."""

    @property
    def first_row(self) -> int:
        """The first of its rows, within what the caller sent."""

    def prediction_id(self, tag: str) -> str:
        """Return the id that its caller was told."""


class VersionTelemetry:
    """The batches and refusals of one version since the last flush."""

    def __init__(
        self,
        owner: "Telemetry",
        model: str,
        version: str,
        digest: str = "",
        signature: Signature | None = None,
        *,
        is_batched: bool = False,
    ) -> None:
        self.model = model
        self.version = version
        self.tally = Tally()
        self._owner = owner
        self._digest = digest
        self._spans: list[float] = []
        self._noted = Noted()
        self._kept = KeptTensors(
            signature or Signature((), ()),
            owner.max_row_bytes,
            owner.mirror_budget,
            is_batched=is_batched,
        )

    def mirror(self, share_bp: int) -> None:
        """Send a share of the batches with large rows whole, in basis points."""
        self._kept.mirror.share_bp = share_bp

    def refused(self, code: str, marks: int = 0) -> None:
        """Count a request that reached no batch, with what is special about it."""
        self.tally.outcomes[code] += 1
        if marks & SPLIT:
            self._routed(code, marks)
        self._owner.note(self)

    def _routed(self, code: str, marks: int) -> None:
        self.tally.routed.outcomes[code] += 1
        self.tally.routed.keyed += bool(marks & KEYED)

    def broken(self, rows: Mapping[tuple[str, str, str], int]) -> None:
        """Count rows that break data checks, by feature, what is broken and policy."""
        self.tally.broken.update(rows)
        self._owner.note(self)

    def request(self, code: str, seconds: float, marks: int = 0) -> None:
        """Count one request whose fate is not that of its batch."""
        if marks & SPLIT:
            self._routed(code, marks)
            self.tally.routed.request.observe(np.array([seconds]))
        self.tally.outcomes[code] += 1
        self.tally.outcome_seconds[code] += seconds
        self._spans.append(seconds)
        self._owner.note(self)

    def batch(
        self,
        batch: FinishedBatch,
        answered: float,
        first_id: int,
        *,
        all_ok: bool,
        answered_rows: list[int] | None = None,
    ) -> None:
        """Note a finished batch after its callers got their answers.

        `first_id` is the number of its first request. `all_ok`: every member was a whole request
        and succeeded; if not, each is counted by `request`. `answered_rows` tells how many rows of
        each member are to be watched: all of them or 0. None: all.
        """
        noted, entries = self._noted, cast("Sequence[Member]", batch.entries)
        sent, rows = batch, answered_rows
        if rows is None:
            is_each_one_row = len(entries) == batch.rows
            rows = [1] * batch.rows if is_each_one_row else [entry.rows for entry in entries]
        if answered_rows is not None:
            sent = only_answered(batch, [entry.rows for entry in entries], answered_rows)
            rows = answered_rows if sent.rows else [0] * len(entries)
        group = NO_TENSORS if batch.error is not None or not sent.rows else self._kept.keep(sent)
        marks = bytes([entry.marks for entry in entries])
        if marks.count(0) < len(marks):
            self._note_own_ids(entries)
        noted.arrived.extend([entry.arrived for entry in entries])
        noted.rows.extend(rows)
        noted.marks += marks
        noted.batches.extend(
            (
                batch.started,
                batch.run_started,
                batch.run_finished,
                answered,
                batch.rows,
                len(entries),
                CLOSED_CODES[batch.closed],
                all_ok,
                batch.error is not None,
                group,
                first_id,
            )
        )
        self._owner.note(self)
        if self._kept.bytes > self._owner.flush_bytes:
            self.flush()

    def _note_own_ids(self, entries: "Sequence[Member]") -> None:
        before = len(self._noted.arrived)
        self._noted.own_ids += [
            OwnId(before + position, entry.prediction_id(self._owner.tag), entry.first_row)
            for position, entry in enumerate(entries)
            if entry.marks & OWN_ID
        ]

    def flush(self) -> None:
        """Turn what was noted into counts, and send its records if they can be sent now."""
        if self._spans:
            self.tally.request.observe(np.array(self._spans))
            self._spans.clear()
        if self._noted.batches:
            columns = Columns(self._noted, time.time() - time.perf_counter())
            columns.count_into(self.tally)
            for group in self._kept.groups():
                self._send_group(columns, group)
        self.tally.unmirrored.update(self._kept.take_unmirrored())
        self._noted = Noted()
        self._kept.clear()

    def _send_group(self, columns: Columns, group: int) -> None:
        river = columns.of_group(group)
        if not len(river.batches):
            return
        try:
            kept = self._kept.of_group(group)
        except ValueError:
            # That costs a lying model its record, never the counts of all versions.
            self._owner.records_dropped += 1
            return
        for one in kept:
            records = BatchRecords(
                self.model,
                self.version,
                self._digest,
                self._owner.worker,
                self._owner.generation,
                river.batches,
                river.waits,
                one.inputs,
                one.outputs,
                river.request_rows,
                river.is_pinned,
                self._owner.tag,
                river.own_ids,
                one.content,
            )
            if not self._owner.send_records(records) and one.content is Content.MIRROR:
                self.tally.unmirrored[RIVER] += len(river.batches)


class Telemetry:
    """All versions' telemetry, and the timer that sends it."""

    def __init__(self, worker: int, send: Send, max_row_bytes: int, workers: int = 1) -> None:
        self.worker = worker
        self.flush_seconds = flush_seconds(workers)
        self.generation = 0
        self.max_row_bytes = max_row_bytes
        self.tag = secrets.token_hex(4)
        """Ends the prediction ids that this worker gives, which its numbers begin."""
        self.mirror_budget = ByteBudget()
        self.flush_bytes = FLUSH_BYTES
        self.records_sent = 0
        self.records_dropped = 0
        self.send = send
        self._loop = asyncio.get_running_loop()
        self._noted: dict[VersionTelemetry, None] = {}
        self._at_once = AT_ONCE
        self._unsent: dict[VersionTelemetry, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tallies_due = 0.0
        self._refusals: dict[str, VersionTelemetry] = {}

    def of_version(
        self, model: str, version: str, digest: str, signature: Signature, *, is_batched: bool
    ) -> VersionTelemetry:
        """Make the telemetry of a version that is about to be served."""
        return VersionTelemetry(self, model, version, digest, signature, is_batched=is_batched)

    def refusals(self, model: str) -> VersionTelemetry:
        """Return where requests are counted that reached no version of a known model."""
        found = self._refusals.get(model)
        if found is None:
            found = self._refusals[model] = VersionTelemetry(self, model, "")
        return found

    def note(self, version: VersionTelemetry) -> None:
        """Make sure that a version's news is sent soon."""
        self._noted[version] = None
        if self._timer is None:
            self._timer = self._loop.call_later(self.flush_seconds, self._tick)

    def send_records(self, records: BatchRecords) -> bool:
        """Send a record, or count it as dropped and return False."""
        is_sent = self.send(Kind.RECORDS, record.encode(records))
        if is_sent:
            self.records_sent += 1
        else:
            self.records_dropped += 1
        return is_sent

    def flush(self) -> None:
        """Send everything now, as far as it can be sent."""
        self._tallies_due = 0.0
        self._turn(len(self._noted))

    def _tick(self) -> None:
        flushes = ticks_for_all(self.flush_seconds)
        self._at_once = versions_at_once(len(self._noted), flushes, self._at_once)
        self._turn(self._at_once)
        if not self._noted:
            self._at_once = AT_ONCE

    def _turn(self, versions: int) -> None:
        """Send the news of so many versions, those that have waited longest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush_bytes = min(FLUSH_BYTES, KEPT_BYTES // max(1, len(self._noted)))
        for version in list(islice(self._noted, versions)):
            version.flush()
            del self._noted[version]
            self._unsent[version] = None
        now = self._loop.time()
        if now >= self._tallies_due:
            self._tallies_due = now + TALLY_SECONDS
            self._send_tallies()
        if self._unsent or self._noted:
            self._timer = self._loop.call_later(self.flush_seconds, self._tick)

    def _send_tallies(self) -> None:
        for version in list(self._unsent):
            message = tally.encode(version.model, version.version, version.tally)
            if not self.send(Kind.TALLY, [message]):
                return  # Nothing is lost: the tally goes on counting until it can be sent.
            version.tally = Tally()
            del self._unsent[version]


def flush_seconds(workers: int) -> float:
    """Return the seconds between two flushes of each of so many workers."""
    return min(MAX_FLUSH_SECONDS, FLUSH_SECONDS * max(1.0, workers / FULL_PACE_WORKERS))


def ticks_for_all(seconds: float) -> int:
    """Return in how many flushes, so many seconds apart, every version has its turn: a second."""
    return round(1.0 / seconds)


def versions_at_once(waiting: int, flushes: int, before: int) -> int:
    """Return how many of the versions that wait have their turn in this flush.

    `before`: how many had theirs in the last one. Only when nobody waits it may be fewer again, so
    that everybody's turn comes in so many `flushes`.
    """
    return max(before, -(-waiting // flushes))
