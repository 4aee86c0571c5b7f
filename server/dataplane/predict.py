"""One inference: decode, check, queue, answer. The same for the hot path and for Starlette's.

Decides what becomes of a request between its body and its answer, and how it is counted. Does
not know connections: a call takes its answer itself, once, unless its caller has left before.

Concurrency: everything here runs on the event loop of the worker.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog

from server.access.quotas import Quotas
from server.dataplane.batch_columns import OK, OWN_ID
from server.dataplane.call import Call
from server.dataplane.left import Left
from server.dataplane.numbering import Numbering
from server.dataplane.parts import PARTIAL, Gathering, Part
from server.dataplane.proving import Probe
from server.dataplane.served import ServedVersion
from server.dataplane.targets import Target
from server.engine.admission import Budget, Holder
from server.engine.batcher import Batcher
from server.engine.running import FinishedBatch
from server.errors import (
    DeadlineQueue,
    MemoryBudget,
    Overloaded,
    PayloadTooLarge,
    QueueFull,
    QuotaExceeded,
    TidegateError,
)
from server.protocol import deadlines, priorities, v2
from server.protocol.answers import BatchOutputs
from server.protocol.contract import Contract
from server.protocol.errors import INTERNAL_TEXT
from server.protocol.infer_request import InferRequest
from server.protocol.request_headers import InferHeaders
from server.settings import Settings

log = structlog.get_logger()

_MAX_RETRY_AFTER_SECONDS = 3

Decode = Callable[[bytes, int | None, Contract], InferRequest]
"""From a body, and the length of its JSON part if that was given, to a request."""


class Predictor:
    """Bring calls to their model, and answers back to their calls."""

    def __init__(self, settings: Settings, budget: Budget) -> None:
        self.in_flight = 0
        self._max_json_bytes = settings.max_json_bytes
        self._timeout_seconds = settings.request_timeout_ms / 1000
        self._max_timeout_seconds = settings.max_request_timeout_ms / 1000
        self._budget = budget
        self.holders: defaultdict[str, Holder] = defaultdict(Holder)
        """What the requests of each model hold of the budget."""
        self._refused = 0
        self._quotas: Quotas | None = None
        if settings.quota_requests_per_second:
            self._quotas = Quotas(settings.quota_requests_per_second, settings.quota_burst)
        self._numbering = Numbering()

    def submit(
        self,
        call: Call,
        target: Target,
        body: bytes,
        headers: InferHeaders,
        decode: Decode = v2.decode,
        began: float | None = None,
    ) -> None:
        """Start a call. Its answer comes later; an error may come from within this call.

        `began` is when the first bytes of the request came, of `time.perf_counter`, if that was
        before now: its time runs since then.
        """
        size = len(body)
        call.arrived = now = time.perf_counter()
        call.target = target
        call.served = served = target.served
        call.headers = headers
        call.marks = target.marks
        if headers.prediction_id is not None:
            call.marks |= OWN_ID
        call.body_bytes = size
        batcher = served.batcher
        is_full = batcher.queued_rows >= batcher.room.rows[headers.priority]
        if is_full or began is not None or self._quotas is not None:
            refusal = self._refusal_unread(call, body, now, began or now)
            if refusal is not None:
                self._refuse(call, refusal)
                return
        holder = served.holder
        if not self._budget.take(size, holder.held_bytes):
            text = "too many request bytes are in flight, of all models or of this one"
            self._refuse(call, MemoryBudget(text))
            return
        holder.held_bytes += size
        self.in_flight += 1
        try:
            self._queue(call, body, decode, began or now, is_full=is_full)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the caller gets an answer
            self._give_back(holder, 1, size)
            self._refuse(call, error)

    def _queue(
        self, call: Call, body: bytes, decode: Decode, since: float, *, is_full: bool
    ) -> None:
        """Read a request and queue it; its time runs since `since`.

        `is_full`: there is no room for its priority, unless its body says another one.
        """
        served, headers = call.served, call.headers
        if len(body) > self._max_json_bytes:
            self._check_json_size(len(body) if headers.json_length is None else headers.json_length)
        request = decode(body, headers.json_length, served.contract)
        if served.guard is not None:
            served.check(request)
        seconds = self._timeout_seconds  # Nearly nobody says how long.
        if request.timeout_seconds is not None or headers.timeout_seconds is not None:
            seconds = self._timeout(request.timeout_seconds, headers)
        call.take(request, since + seconds)
        suspects = served.suspects
        if suspects is not None and suspects.meets(request, served.max_entry_rows, call.arrived):
            call.shape_key = object()  # It shares no batch: nobody has this key but its parts.
        batcher = served.batcher
        if is_full or request.priority is not None or seconds < batcher.room.longest_seconds:
            self._check_room(call, request)
        if 0 < request.rows <= served.max_entry_rows:
            batcher.submit(call)
        else:
            self._queue_odd(call, request)

    def _timeout(self, in_body: float | None, headers: InferHeaders) -> float:
        return deadlines.shortest(
            in_body, headers.timeout_seconds, self._timeout_seconds, self._max_timeout_seconds
        )

    def _refusal_unread(
        self, call: Call, body: bytes, now: float, since: float
    ) -> TidegateError | None:
        """Say why a request is not even read: over its quota, no room in the queue, no time."""
        batcher, headers = call.served.batcher, call.headers
        wait = 0 if self._quotas is None else self._quotas.take(call.caller(), now)
        if wait:
            return QuotaExceeded("the caller asks more often than it may", retry_after_seconds=wait)
        if (
            batcher.queued_rows >= batcher.room.rows[headers.priority]
            # What its body says of its priority is known when it has been read.
            and body.find(priorities.IN_BODY, 0, headers.json_length) < 0
        ):
            return _no_room(batcher, headers.priority)
        if now - since > self._timeout(None, headers):
            return DeadlineQueue("the deadline passed before all of the request had come")
        return None

    def _check_room(self, call: Call, request: InferRequest) -> None:
        """Refuse a request for what its body says of its priority and its time.

        Raises:
            Overloaded: others have the room, or it would not be answered in time.

        """
        batcher = call.served.batcher
        priority = call.headers.priority if request.priority is None else request.priority
        if batcher.queued_rows >= batcher.room.rows[priority]:
            raise _no_room(batcher, priority)
        now = time.perf_counter()
        if batcher.wait_seconds(call.rows, now) > call.deadline - now:
            raise Overloaded(
                "the answer would come after the deadline, for what waits for the model",
                shed_reason="deadline",
            )

    def _refuse(self, call: Call, error: Exception) -> None:
        served = call.served
        if isinstance(error, TidegateError):
            if error.shed_reason is not None and not isinstance(error, QuotaExceeded):
                # Those who come back must not all do so at once.
                self._refused = self._refused % _MAX_RETRY_AFTER_SECONDS + 1
                error.retry_after_seconds = self._refused
            served.telemetry.refused(error.code, call.marks)
        else:
            log.error("request_failed", model=served.model, version=served.version, exc_info=error)
            served.telemetry.refused(TidegateError.code, call.marks)
        call.answered(error)

    def _check_json_size(self, size: int) -> None:
        if size > self._max_json_bytes:
            raise PayloadTooLarge(
                f"the JSON of a request may have {self._max_json_bytes} bytes, got {size}; "
                "send large tensors with the binary tensor extension"
            )

    def _give_back(self, holder: Holder, calls: int, size: int) -> None:
        self.in_flight -= calls
        holder.held_bytes -= size
        self._budget.give_back(size)

    def _queue_odd(self, call: Call, request: InferRequest) -> None:
        """Answer a request without rows; queue one with more rows than a batch in parts.

        Raises:
            QueueFull: the model's queue cannot take its rows.

        """
        if request.rows == 0:
            outputs = BatchOutputs(call.served.empty_outputs(), 0)
            self._closed(call, call.finish(outputs, 0, self._give_numbers(1)))
        else:
            self._queue_parts(call)

    def _queue_parts(self, call: Call) -> None:
        batcher = call.served.batcher
        if batcher.queued_rows + call.rows > batcher.limits.queue_rows:
            raise QueueFull(
                f"the model's queue holds {batcher.queued_rows} of {batcher.limits.queue_rows} "
                f"rows; the request has {call.rows}"
            )
        call.number = self._give_numbers(1)  # The records of its parts name it before the answer.
        gathering = Gathering(call, self._closed)
        for part in gathering.parts:
            batcher.submit(part)

    def _closed(self, call: Call, outcome: str) -> None:
        self._give_back(call.served.holder, 1, call.body_bytes)
        seconds = time.perf_counter() - call.arrived
        call.served.telemetry.request(outcome, seconds, call.marks)

    def _give_numbers(self, requests: int) -> int:
        return self._numbering.give(requests, time.time_ns() // 1000)

    def finished(self, served: ServedVersion, batch: FinishedBatch) -> None:
        """Answer every member of a finished batch, then count it."""
        if batch.is_probe:
            cast("Probe", batch.entries[0]).told(batch.error)
            return
        if batch.left:
            batch.entries = _without_left(batch)
        entries = cast("Sequence[Call | Part | Left]", batch.entries)
        first_id = self._give_numbers(len(entries))
        if batch.error is not None:
            log.warning(
                "batch_failed",
                model=served.model,
                version=served.version,
                rows=batch.rows,
                error=_without_data(batch.error.__cause__ or batch.error),
            )
            outcomes = [entry.fail(batch.error) for entry in entries]
        else:
            outcomes = self._answer_all(served, batch, entries, first_id)
        answered = time.perf_counter()
        count = outcomes.count(OK)
        if count == len(outcomes):
            served.telemetry.batch(batch, answered, first_id, all_ok=True)
            self._give_back(served.holder, count, sum([entry.body_bytes for entry in entries]))
            return
        # What nobody was answered is not watched: its caller may have left, or the answer was NaN.
        rows = [
            entry.rows if outcome in (OK, PARTIAL) else 0
            for entry, outcome in zip(entries, outcomes, strict=True)
        ]
        served.telemetry.batch(
            batch,
            answered,
            first_id,
            all_ok=False,
            answered_rows=None if sum(rows) == batch.rows else rows,
        )
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(entry, Call):
                self._closed(entry, outcome)

    def _answer_all(
        self,
        served: ServedVersion,
        batch: FinishedBatch,
        entries: "Sequence[Call | Part | Left]",
        number: int,
    ) -> list[str]:
        """Answer every member, the first of which has this number; return their outcomes."""
        outputs = BatchOutputs(served.rows_first(batch.outputs), batch.rows)
        bodies = None
        if len(entries) == batch.rows and any(entry.is_plain for entry in entries):
            try:
                bodies = served.writer.write_single_rows(outputs)
            except Exception:  # Written one by one, the good ones still are.
                log.exception("answers_failed", model=served.model, version=served.version)
        outcomes = []
        first = 0
        for entry in entries:
            try:
                outcomes.append(entry.finish(outputs, first, number, bodies))
            except Exception:  # One caller's answer must not cost the others theirs.
                log.exception("answer_failed", model=served.model, version=served.version)
                outcomes.append(entry.fail(TidegateError(INTERNAL_TEXT)))
            first += entry.rows
            number += 1
        return outcomes

    def dropped(self, entry: Call | Part | Probe, error: TidegateError | None) -> None:
        """Take back an entry that gets no answer: too late, or its caller has left (None)."""
        if isinstance(entry, Probe):
            entry.told(error)
            return
        outcome = entry.fail(error)
        if isinstance(entry, Call):
            self._closed(entry, outcome)


def _without_left(batch: FinishedBatch) -> list[Any]:
    """Return a batch's entries, with placeholders for who does not wait for it any more."""
    entries = cast("Sequence[Call | Part]", batch.entries)
    return [Left(entry) if entry in batch.left else entry for entry in entries]


def _no_room(batcher: Batcher, priority: int) -> TidegateError:
    """Return the error for who finds the queue as long as one of that priority may."""
    if batcher.queued_rows >= batcher.limits.queue_rows:
        return QueueFull(f"the model's queue holds all the {batcher.limits.queue_rows} rows it may")
    if priority == priorities.LOW:
        return Overloaded(
            "what waits for the model leaves no room for low priority", shed_reason="low_priority"
        )
    return Overloaded("what waits for the model already takes longer than it may")


def _without_data(error: BaseException) -> str:
    """Return what may be logged of an error: ONNX Runtime's last words quote the caller's data."""
    return str(error).partition("Status Message:")[0].strip()[:500]
