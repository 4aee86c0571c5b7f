"""One run of a model: join the tensors of a batch, run them, and say what became of each member.

Isolation: a batch that fails is run again member by member, once, so that only the member at
fault fails. Does not know queues, threads or who waits.

Concurrency: nothing is kept here; `execute` runs on the event loop or on a thread of the batcher,
and touches nothing but its arguments and the session.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import structlog

from server.engine.batching import Closed, Waiting
from server.engine.session import Session
from server.errors import ModelFailed, TidegateError
from server.tensors import Array, Data, to_array

log = structlog.get_logger()


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


def execute(
    session: Session, batch: list[Entry], closed: Closed, started: float, is_batched: bool
) -> list[FinishedBatch]:
    """Run a batch; if it fails, run each member alone, once."""
    whole = _run(session, batch, closed, started, is_batched)
    if whole.error is None or len(batch) == 1:
        return [whole]
    return [_run(session, [entry], closed, started, is_batched) for entry in batch]


def _run(
    session: Session, batch: list[Entry], closed: Closed, started: float, is_batched: bool
) -> FinishedBatch:
    rows = sum([entry.rows for entry in batch])
    inputs: list[Array] = []
    outputs: list[Array] = []
    error: TidegateError | None = None
    run_started = started
    try:
        inputs = _join(batch, session, rows)
        run_started = time.perf_counter()
        outputs = _run_recorded(session, batch, rows, inputs)
        if is_batched:
            _check_rows(outputs, rows)
    except TidegateError as raised:
        error = raised
    except Exception:  # Whatever happens here, every member must still be answered.
        log.exception("batch_failed")
        error = ModelFailed("the batch could not be run")
    run_finished = time.perf_counter()
    return FinishedBatch(
        batch, rows, inputs, outputs, error, closed, started, run_started, run_finished
    )


def _run_recorded(
    session: Session, batch: list[Entry], rows: int, inputs: list[Array]
) -> list[Array]:
    """Run a model; if it kills this process, the supervisor reads what ran."""
    recording = session.recording
    if recording is None:
        return session.run(inputs)
    slot = recording.begin(batch, rows, inputs)
    try:
        return session.run(inputs)
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
