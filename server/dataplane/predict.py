"""One inference: decode, check, queue, answer. The same for the hot path and for Starlette's.

Decides what becomes of a request between its body and its answer, and how it is counted. Does
not know connections: a call takes its answer itself, once, unless its caller has left before.

Concurrency: everything here runs on the event loop of the worker.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import structlog

from server.config import Settings
from server.dataplane.batch_columns import OK
from server.dataplane.served import ServedVersion
from server.engine.admission import Budget
from server.engine.batcher import FinishedBatch
from server.errors import MemoryBudget, PayloadTooLarge, QueueFull, TidegateError
from server.protocol import v2
from server.protocol.answers import BatchOutputs, InferAnswer
from server.protocol.errors import INTERNAL_TEXT
from server.protocol.request_headers import InferHeaders
from server.protocol.v2 import Contract, InferRequest
from server.tensors import Array, Data

log = structlog.get_logger()

Decode = Callable[[bytes, int | None, Contract], InferRequest]
"""From a body, and the length of its JSON part if that was given, to a request."""

CLIENT_GONE = "client_gone"
_PARTIAL = ""
"""What a part of a large request returns: the request is counted when its last part is done."""


class Call(ABC):
    """One caller's request from its body to its answer; also its entry in the queue."""

    __slots__ = (
        "arrived",
        "body_bytes",
        "deadline",
        "is_gone",
        "request",
        "rows",
        "served",
        "shape_key",
        "shapes",
        "tensors",
    )

    arrived: float
    served: ServedVersion
    body_bytes: int
    request: InferRequest
    rows: int
    tensors: list[Data]
    shapes: tuple[tuple[int, ...], ...]
    shape_key: object
    deadline: float

    def __init__(self) -> None:
        self.is_gone = False

    def take(self, request: InferRequest, timeout_seconds: float) -> None:
        """Keep the decoded request, in the form in which the batcher reads it."""
        self.request = request
        self.rows = request.rows
        self.tensors = request.tensors
        self.shapes = request.shapes
        self.shape_key = None if self.served.has_fixed_rows else row_shapes(request.shapes)
        self.deadline = self.arrived + timeout_seconds

    @abstractmethod
    def answered(self, answer: InferAnswer | Exception) -> None:
        """Take the answer or the error. Called once, and not after the caller has left."""

    def answered_json(self, body: bytes) -> None:
        """Take an answer that is all JSON; for callers who have a shorter way for it."""
        self.answered(InferAnswer(body))

    def finish(
        self, outputs: BatchOutputs, first: int, bodies: Sequence[bytes] | None = None
    ) -> str:
        """Answer with the rows from `first` on; return the outcome to count.

        `bodies` holds an answer for each row of the batch, if they could be written at once.
        """
        if self.is_gone:
            return CLIENT_GONE
        if bodies is not None and self.request.is_plain:
            self.answered_json(bodies[first])
            return OK
        try:
            answer = self.served.writer.write(self.request, outputs, first, self.rows)
        except TidegateError as error:
            return self.fail(error)
        self.answered(answer)
        return OK

    def fail(self, error: TidegateError | None) -> str:
        """Answer with an error, or with nothing if the caller has left; return the outcome."""
        if error is None or self.is_gone:
            return CLIENT_GONE
        self.answered(error)
        return error.code


class Predictor:
    """Bring calls to their model, and answers back to their calls."""

    def __init__(self, settings: Settings, budget: Budget) -> None:
        self.in_flight = 0
        self._max_json_bytes = settings.max_json_bytes
        self._timeout_seconds = settings.request_timeout_ms / 1000
        self._max_timeout_seconds = settings.max_request_timeout_ms / 1000
        self._budget = budget

    def submit(
        self,
        call: Call,
        served: ServedVersion,
        body: bytes,
        headers: InferHeaders,
        decode: Decode = v2.decode,
    ) -> None:
        """Start a call. Its answer comes later; an error may come from within this call."""
        size = len(body)
        call.arrived = time.perf_counter()
        call.served = served
        call.body_bytes = size
        if not self._budget.take(size):
            self._refuse(call, MemoryBudget("too many request bytes are in flight"))
            return
        self.in_flight += 1
        try:
            if size > self._max_json_bytes:
                self._check_json_size(size if headers.json_length is None else headers.json_length)
            request = decode(body, headers.json_length, served.contract)
            call.take(request, self._timeout(request.timeout_seconds, headers.timeout_seconds))
            if 0 < request.rows <= served.max_entry_rows:
                served.batcher.submit(call)
            else:
                self._queue_odd(call, request)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the caller gets an answer
            self._give_back(1, size)
            self._refuse(call, error)

    def _refuse(self, call: Call, error: Exception) -> None:
        served = call.served
        if isinstance(error, TidegateError):
            served.telemetry.refused(error.code)
        else:
            log.error("request_failed", model=served.model, version=served.version, exc_info=error)
            served.telemetry.refused(TidegateError.code)
        call.answered(error)

    def _check_json_size(self, size: int) -> None:
        if size > self._max_json_bytes:
            raise PayloadTooLarge(
                f"the JSON of a request may have {self._max_json_bytes} bytes, got {size}; "
                "send large tensors with the binary tensor extension"
            )

    def _give_back(self, calls: int, size: int) -> None:
        self.in_flight -= calls
        self._budget.give_back(size)

    def _timeout(self, in_body: float | None, in_header: float | None) -> float:
        """Return how long a request may wait: the shortest that was asked for, or the default."""
        if in_body is None and in_header is None:
            return self._timeout_seconds
        asked = [seconds for seconds in (in_body, in_header) if seconds is not None]
        return min([*asked, self._max_timeout_seconds])

    def _queue_odd(self, call: Call, request: InferRequest) -> None:
        """Answer a request without rows; queue one with more rows than a batch in parts.

        Raises:
            QueueFull: the model's queue cannot take its rows.

        """
        if request.rows == 0:
            outputs = BatchOutputs(call.served.empty_outputs(), 0)
            self._closed(call, call.finish(outputs, 0))
        else:
            self._queue_parts(call)

    def _queue_parts(self, call: Call) -> None:
        batcher = call.served.batcher
        if batcher.queued_rows + call.rows > batcher.limits.queue_rows:
            raise QueueFull(
                f"the model's queue holds {batcher.queued_rows} of {batcher.limits.queue_rows} "
                f"rows; the request has {call.rows}"
            )
        gathering = _Gathering(self, call)
        for part in gathering.parts:
            batcher.submit(part)

    def _closed(self, call: Call, outcome: str) -> None:
        self._give_back(1, call.body_bytes)
        call.served.telemetry.request(outcome, time.perf_counter() - call.arrived)

    def finished(self, served: ServedVersion, batch: FinishedBatch) -> None:
        """Answer every member of a finished batch, then count it."""
        entries = cast("Sequence[Call | _Part]", batch.entries)
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
            outcomes = self._answer_all(served, batch, entries)
        answered = time.perf_counter()
        count = outcomes.count(OK)
        all_ok = count == len(outcomes)
        served.telemetry.batch(batch, answered, all_ok=all_ok)
        if all_ok:
            self._give_back(count, sum([entry.body_bytes for entry in entries]))
            return
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(entry, Call):
                self._closed(entry, outcome)

    def _answer_all(
        self, served: ServedVersion, batch: FinishedBatch, entries: "Sequence[Call | _Part]"
    ) -> list[str]:
        outputs = BatchOutputs(served.rows_first(batch.outputs), batch.rows)
        bodies = served.writer.write_single_rows(outputs) if len(entries) == batch.rows else None
        outcomes = []
        first = 0
        for entry in entries:
            try:
                outcomes.append(entry.finish(outputs, first, bodies))
            except Exception:  # One caller's answer must not cost the others theirs.
                log.exception("answer_failed", model=served.model, version=served.version)
                outcomes.append(entry.fail(TidegateError(INTERNAL_TEXT)))
            first += entry.rows
        return outcomes

    def dropped(self, entry: "Call | _Part", error: TidegateError | None) -> None:
        """Take back an entry that will not run: too late, or its caller has left (None)."""
        outcome = entry.fail(error)
        if isinstance(entry, Call):
            self._closed(entry, outcome)


class _Gathering:
    """A request with more rows than a batch: its parts, and what has come of them.

    Rows do not depend on their batch-mates (checked when the version was loaded), so running
    them in several batches gives the same answer as one.
    """

    def __init__(self, predictor: Predictor, call: Call) -> None:
        self.call = call
        self.is_over = False
        self._predictor = predictor
        step = call.served.batcher.policy.max_rows
        self.parts = [
            _Part(self, first, min(step, call.rows - first)) for first in range(0, call.rows, step)
        ]
        self._results: dict[int, list[Array]] = {}

    def done(self, part: "_Part", arrays: list[Array]) -> None:
        """Keep a part's rows; answer when it was the last."""
        self._results[part.first] = arrays
        if len(self._results) < len(self.parts):
            return
        ordered = [self._results[part.first] for part in self.parts]
        outputs = [np.concatenate(arrays) for arrays in zip(*ordered, strict=True)]
        outcome = self.call.finish(BatchOutputs(outputs, self.call.rows), 0)
        self.is_over = True  # Only now: if any of this raises, `failed` must still answer.
        self._predictor._closed(self.call, outcome)  # noqa: SLF001 - two halves of one thing

    def failed(self, error: TidegateError | None) -> None:
        """Give up the request for the first part that fails; the others are then not run."""
        if not self.is_over:
            self.is_over = True
            self._predictor._closed(self.call, self.call.fail(error))  # noqa: SLF001


class _Part:
    """Some rows of a large request, as an entry of the queue."""

    __slots__ = (
        "arrived",
        "body_bytes",
        "deadline",
        "first",
        "gathering",
        "rows",
        "shape_key",
        "shapes",
        "tensors",
    )

    def __init__(self, gathering: _Gathering, first: int, rows: int) -> None:
        call = gathering.call
        self.gathering = gathering
        self.body_bytes = 0  # The request's bytes are given back when the request is answered.
        self.first = first
        self.rows = rows
        self.arrived = call.arrived
        self.deadline = call.deadline
        self.shape_key = call.shape_key
        self.shapes = tuple((rows, *shape[1:]) for shape in call.shapes)
        self.tensors = [_rows_of(data, call.rows, first, rows) for data in call.tensors]

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits for these rows any more."""
        return self.gathering.call.is_gone or self.gathering.is_over

    def finish(
        self, outputs: BatchOutputs, first: int, bodies: Sequence[bytes] | None = None
    ) -> str:
        """Hand these rows to the request they belong to."""
        del bodies
        if not self.gathering.is_over:
            # Copies, because a slice would keep the whole batch in memory.
            rows = [array[first : first + self.rows].copy() for array in outputs.arrays]
            self.gathering.done(self, rows)
        return _PARTIAL

    def fail(self, error: TidegateError | None) -> str:
        """Fail the request that these rows belong to."""
        self.gathering.failed(error)
        return _PARTIAL


def row_shapes(shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """Return what must be equal for requests to share a batch: the shapes without the rows."""
    return tuple(shape[1:] for shape in shapes)


def _rows_of(data: Data, all_rows: int, first: int, rows: int) -> Data:
    """Return the elements of some rows; bytes and text alike are cut without copying numbers."""
    stride = len(data) // all_rows
    part = slice(first * stride, (first + rows) * stride)
    return data[part] if isinstance(data, list) else memoryview(data)[part]


def _without_data(error: BaseException) -> str:
    """Return what may be logged of an error: ONNX Runtime's last words quote the caller's data."""
    return str(error).partition("Status Message:")[0].strip()[:500]
