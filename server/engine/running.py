"""One run of a model: join the tensors of a batch, run them, and say what became of each member.

Isolation: a batch that fails is run again member by member, once, so that only the member at
fault fails. Does not know queues, threads or who waits.

Concurrency: nothing is kept here; `execute` runs on the event loop or on a thread of the batcher,
and touches nothing but its arguments and the session.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import structlog

from server.engine.batching import Closed, Waiting
from server.engine.session import RunHandle, Session
from server.errors import DeadlineRun, ModelFailed, TidegateError
from server.tensors import Array, Data, to_array

log = structlog.get_logger()

BROKEN_OFF = "the model was broken off, because it ran far longer than usual"
PROBE = object()
"""The shape key of requests of our own that show whether a model answers: nobody shares a batch
with one, and what they do is not counted with what callers do."""


class Entry(Waiting, Protocol):
    """One request, or one part of a large one. Its times are of `time.perf_counter`."""

    @property
    def tensors(self) -> list[Data]:
        """Its elements, input by input."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Their shapes."""

    @property
    def is_gone(self) -> bool:
        """Whether the caller has left: nobody wants the answer."""


@dataclass(slots=True)
class FinishedBatch:
    """One run of the model, and what became of it. Times are of `time.perf_counter`."""

    entries: Sequence[Entry]
    rows: int
    inputs: list[Array]
    outputs: list[Array]
    error: TidegateError | None
    closed: Closed
    started: float
    run_started: float
    run_finished: float
    left: Collection[Entry] = ()
    """Members who have been told their fate already, or wait elsewhere."""

    @property
    def is_probe(self) -> bool:
        """Whether nobody but we asked for it."""
        return self.entries[0].shape_key is PROBE


def execute(
    session: Session,
    batch: list[Entry],
    closed: Closed,
    started: float,
    is_batched: bool,
    handle: RunHandle,
) -> list[FinishedBatch]:
    """Run a batch; if it fails, run each member alone, once. `handle` may break all of it off."""
    whole = _run(session, batch, closed, started, is_batched, handle)
    if whole.error is None or len(batch) == 1 or handle.is_terminated:
        return [whole]
    return [_run(session, [entry], closed, started, is_batched, handle) for entry in batch]


def _run(
    session: Session,
    batch: list[Entry],
    closed: Closed,
    started: float,
    is_batched: bool,
    handle: RunHandle,
) -> FinishedBatch:
    rows = sum([entry.rows for entry in batch])
    inputs: list[Array] = []
    outputs: list[Array] = []
    error: TidegateError | None = None
    run_started = started
    try:
        inputs = _join(batch, session, rows)
        run_started = time.perf_counter()
        outputs = _run_recorded(session, batch, rows, inputs, handle)
        if is_batched:
            _check_rows(outputs, rows)
    except TidegateError as raised:
        error = DeadlineRun(BROKEN_OFF) if handle.is_terminated else raised
    except Exception:  # Whatever happens here, every member must still be answered.
        log.exception("batch_failed")
        error = ModelFailed("the batch could not be run")
    run_finished = time.perf_counter()
    return FinishedBatch(
        batch, rows, inputs, outputs, error, closed, started, run_started, run_finished
    )


def _run_recorded(
    session: Session, batch: list[Entry], rows: int, inputs: list[Array], handle: RunHandle
) -> list[Array]:
    """Run a model; if it kills this process, the supervisor reads what ran."""
    recording = session.recording
    if recording is None:
        return session.run(inputs, handle)
    slot = recording.begin(batch, rows, inputs)
    try:
        return session.run(inputs, handle)
    finally:
        recording.end(slot)


def _join(batch: list[Entry], session: Session, rows: int) -> list[Array]:
    """Put the members' tensors behind each other, input by input."""
    specs = session.signature.inputs
    first = batch[0]
    if len(batch) == 1:
        return [
            to_array(data, spec.datatype, shape)
            for data, spec, shape in zip(first.tensors, specs, first.shapes, strict=True)
        ]
    inputs = []
    for index, spec in enumerate(specs):
        parts: list[Any] = [entry.tensors[index] for entry in batch]
        data: Data = list(chain.from_iterable(parts)) if spec.datatype.is_text else b"".join(parts)
        inputs.append(to_array(data, spec.datatype, (rows, *first.shapes[index][1:])))
    return inputs


def _check_rows(outputs: list[Array], rows: int) -> None:
    """Before anything is handed out: no caller may see another's rows."""
    for output in outputs:
        if output.ndim == 0 or len(output) != rows:
            got = len(output) if output.ndim else "no"
            raise ModelFailed(f"the model answered {got} rows for {rows}")
