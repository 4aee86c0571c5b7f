"""Run one candidate on the rows of live batches, and count how its answers compare.

Decides how rows become runs: as many at once as its pace allows (`pace.py`) and the models take;
request by request where a model takes one at a time, and, as workers do, where a run fails. A share
of the records is an A/A trial: the live version runs on them again, in runs half as large, beside
the candidate. What it answers otherwise than before is noise. How long both take can be compared,
because they ran on the same rows and the same core.

Concurrency: one thread at a time; the process has one that runs models, and waits for it.
Lifetime: that of a candidate's plan.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from server.engine.session import Session
from server.errors import ModelFailed
from server.release.evidence import Kind, ShadowEvidence
from server.release.mismatches import Mismatch
from server.release.shadow_rules import ShadowRules
from server.shadow.answers import as_record
from server.shadow.comparison import CODES, KINDS, Codes, compare
from server.shadow.pace import Pace
from server.shadow.pairs import Rows, drawn_rows, kind_counts, segment_counts
from server.shadow.samples import Sampler, shown_row
from server.shadow.scores import counts_of, differences_of, range_of, scores_of
from server.shadow.slowness import Slowness
from server.tensors import Array
from server.wire.record import BatchRecords, NamedTensor, prediction_id
from server.wire.shadow import CandidatePlan, Runnable

TRIAL_SHARE = 0.01
TRIAL_SECONDS = 2.0
"""A trial is due after that long, however few records there are: it must not take days to learn
how noisy and how slow a rarely used model is."""

RANGE_PAIRS = 200
"""Pairs whose live scores decide between which edges all are counted."""


@dataclass(slots=True)
class Opened:
    """A version as it is run here."""

    runnable: Runnable
    session: Session


@dataclass(slots=True)
class _Answered:
    """What a version answered to the rows of a record."""

    kinds: Codes
    scores: NDArray[np.float64]
    """NaN where there is none."""
    runs: list[tuple[slice, list[NamedTensor]]] = field(default_factory=list)
    """Outputs by rows, in order; none of rows on which it failed."""
    cpu_seconds: float = 0.0
    samples: list[Mismatch] = field(default_factory=list)


class CandidateRunner:
    """One candidate beside the live version of its model."""

    def __init__(
        self,
        plan: CandidatePlan,
        rules: ShadowRules,
        candidate: Opened,
        live: Opened,
        generator: np.random.Generator,
    ) -> None:
        self.plan = plan
        self._rules = rules
        self._candidate = candidate
        self._live = live
        self._generator = generator
        self._sampler = Sampler(generator)
        self._slowness = Slowness()
        self.answers: BatchRecords | None = None
        """The last record as the candidate answered it, if that is wanted and it did."""
        self.is_alone = False
        """Whether nobody else wants the cores: then each record is a trial, and none rests."""
        self._pace = Pace()
        self._score_range = plan.score_range
        self._early_scores: list[tuple[Array, Array]] = []
        """Scores of pairs, live and candidate, from before the range was decided."""
        self._trials = 0
        self._last_trial = time.monotonic()

    def run(self, records: BatchRecords) -> tuple[ShadowEvidence, list[Mismatch]]:
        """Run on a record; return what was seen of it, and samples of mismatches."""
        evidence = ShadowEvidence()
        drawn = drawn_rows(records.request_rows, ~records.is_pinned, self._generator)
        is_trial = self._is_trial_due()
        slices = list(self._slices(records, is_trial=is_trial))
        again = None
        # Who comes second finds the rows in the cache: they take turns.
        if is_trial and self._trials % 2:
            again = self._answer(self._live, records, slices)
        answered = self._answer(self._candidate, records, slices, self._sampler)
        if is_trial and again is None:
            again = self._answer(self._live, records, slices)
        self._count(evidence, records, drawn, answered)
        self.answers = None
        if self.plan.wants_answers:
            self.answers = as_record(records, self._candidate.runnable, answered.runs)
        if again is not None:
            evidence.noise = kind_counts(again.kinds[drawn])
            self._slowness.note(evidence, records.rows, answered.cpu_seconds, again.cpu_seconds)
        return evidence, answered.samples

    def _is_trial_due(self) -> bool:
        now = time.monotonic()
        is_late = now - self._last_trial > TRIAL_SECONDS
        is_drawn = self.is_alone or self._generator.random() < TRIAL_SHARE
        if not (is_late or is_drawn):
            return False
        self._last_trial = now
        self._trials += 1
        return True

    def _slices(self, records: BatchRecords, *, is_trial: bool) -> Iterator[slice]:
        """Yield the rows of each run."""
        both = (self._candidate.runnable, self._live.runnable)
        if not all(one.is_batched for one in both):
            yield from _requests_of(records, slice(0, records.rows))
            return
        largest = min(one.max_rows for one in both)
        if not self.is_alone:
            batches = max(1, len(records.batches))
            largest = min(largest, self._pace.rows(math.ceil(records.rows / batches)))
        for first in range(0, records.rows, largest):
            last = min(first + largest, records.rows)
            middle = (first + last) // 2
            if is_trial and middle > first:
                yield slice(first, middle)
                first = middle
            yield slice(first, last)

    def _answer(
        self,
        opened: Opened,
        records: BatchRecords,
        slices: list[slice],
        sampler: Sampler | None = None,
    ) -> _Answered:
        """Run a version on a record and hold what it answers to what the live version did."""
        answered = _Answered(np.zeros(records.rows, np.int8), np.full(records.rows, np.nan))
        runs: list[tuple[slice, list[NamedTensor]]] = []
        waiting = list(reversed(slices))
        while waiting:
            rows = waiting.pop()
            try:
                runs.append((rows, self._run(opened, records, rows, answered)))
            except ModelFailed:
                alone = list(_requests_of(records, rows))
                if len(alone) > 1:
                    waiting += reversed(alone)
                else:
                    runs.append((rows, []))
        answered.runs = list(_joined(runs))
        for rows, outputs in answered.runs:
            number = rows.stop - rows.start
            if not outputs:
                answered.kinds[rows] = CODES[Kind.ERROR]
            else:
                live = [_part(tensor, rows) for tensor in records.outputs]
                answered.kinds[rows] = compare(live, outputs, self._rules, number)
                scores = scores_of(outputs, self._rules)
                if scores is not None and len(scores) == number:
                    answered.scores[rows] = scores
            if sampler is not None:
                answered.samples += self._sample(sampler, records, rows, answered.kinds, outputs)
        return answered

    def _run(
        self, opened: Opened, records: BatchRecords, rows: slice, answered: _Answered
    ) -> list[NamedTensor]:
        """Run a version once.

        Raises:
            ModelFailed: it failed, or takes an input that the live version does not.

        """
        signature = opened.session.signature
        given = {tensor.name: tensor.array for tensor in records.inputs}
        if not given.keys() >= signature.input_index.keys():
            raise ModelFailed("it takes inputs that the live version does not")
        # Views of a message lie where they lie; a model wants its numbers on their boundaries.
        inputs = [np.require(given[spec.name][rows], None, ["C", "A"]) for spec in signature.inputs]
        started = time.thread_time()
        try:
            arrays = opened.session.run(inputs)
        finally:
            spent = time.thread_time() - started
            answered.cpu_seconds += spent
            rest_seconds = self._pace.note(rows.stop - rows.start, spent)
            if rest_seconds and not self.is_alone:
                time.sleep(rest_seconds)
        if not self._live.runnable.is_batched:
            arrays = [np.asarray(array)[np.newaxis] for array in arrays]
        return [
            NamedTensor(spec.name, spec.datatype.name, array)
            for spec, array in zip(signature.outputs, arrays, strict=True)
        ]

    def _sample(
        self,
        sampler: Sampler,
        records: BatchRecords,
        rows: slice,
        kinds: Codes,
        outputs: list[NamedTensor],
    ) -> list[Mismatch]:
        """Make samples of some of the rows to which the answers differ."""
        samples = []
        for place, draw in sampler.draws(kinds[rows]):
            row = rows.start + place
            at_seconds, name, request_row = _identity(records, row)
            samples.append(
                Mismatch(
                    draw,
                    KINDS[kinds[row]].value,
                    at_seconds,
                    name,
                    request_row,
                    shown_row(records.inputs, row, self._rules),
                    shown_row(records.outputs, row, self._rules),
                    shown_row(outputs, place, self._rules),
                )
            )
        sampler.keep(samples)
        return samples

    def _count(
        self, evidence: ShadowEvidence, records: BatchRecords, drawn: Rows, answered: _Answered
    ) -> None:
        kinds = answered.kinds[drawn]
        evidence.rows = kind_counts(answered.kinds)
        evidence.pairs = kind_counts(kinds)
        evidence.segments = segment_counts(self._rules.segments, records.inputs, drawn, kinds)
        live = scores_of(records.outputs, self._rules)
        if live is not None and len(drawn):
            evidence.score_differences, evidence.score_difference = differences_of(
                live[drawn], answered.scores[drawn]
            )
            self._count_scores(evidence, live[drawn], answered.scores[drawn])

    def _count_scores(
        self,
        evidence: ShadowEvidence,
        live: NDArray[np.float64],
        candidate: NDArray[np.float64],
    ) -> None:
        """Count the scores of pairs of which both have one."""
        both = ~(np.isnan(live) | np.isnan(candidate))
        self._early_scores.append((live[both], candidate[both]))
        if self._score_range is None:
            early = np.concatenate([scores for scores, _ in self._early_scores])
            if len(early) < RANGE_PAIRS:
                return
            self._score_range = range_of(early)
            if self._score_range is None:
                return
        evidence.score_low, evidence.score_high = self._score_range
        lives, candidates = (np.concatenate(one) for one in zip(*self._early_scores, strict=True))
        self._early_scores.clear()
        evidence.live_scores = counts_of(lives, *self._score_range)
        evidence.candidate_scores = counts_of(candidates, *self._score_range)


def _part(tensor: NamedTensor, rows: slice) -> NamedTensor:
    return NamedTensor(tensor.name, tensor.datatype, tensor.array[rows])


def _joined(
    runs: list[tuple[slice, list[NamedTensor]]],
) -> Iterator[tuple[slice, list[NamedTensor]]]:
    """Yield runs behind each other whose outputs have the same form as one: comparing costs by run.

    Runs that failed, which have no outputs, become one as well.
    """
    for _, group in groupby(runs, lambda run: _form(*run)):
        alike = list(group)
        rows = slice(alike[0][0].start, alike[-1][0].stop)
        if len(alike) == 1:
            yield rows, alike[0][1]
            continue
        tensors = zip(*(outputs for _, outputs in alike), strict=True)
        yield (
            rows,
            [
                NamedTensor(one[0].name, one[0].datatype, np.concatenate([t.array for t in one]))
                for one in tensors
            ],
        )


def _form(rows: slice, outputs: list[NamedTensor]) -> object:
    """Return what outputs of two runs must share to be joined; nothing shares it if they cannot."""
    number = rows.stop - rows.start
    if any(one.array.shape[:1] != (number,) for one in outputs):
        return object()
    return [(one.name, one.datatype, one.array.shape[1:]) for one in outputs]


def _requests_of(records: BatchRecords, rows: slice) -> Iterator[slice]:
    """Yield the rows of each request, as far as they are among `rows`."""
    ends = np.cumsum(records.request_rows)
    inside = ends[(ends > rows.start) & (ends < rows.stop)].tolist()
    first = rows.start
    for end in [*inside, rows.stop]:
        if end > first:
            yield slice(first, end)
            first = end


def _identity(records: BatchRecords, row: int) -> tuple[float, str, int]:
    """Return when a row was answered, the prediction id of its request, and its place in that."""
    request = int(np.searchsorted(np.cumsum(records.request_rows), row, side="right"))
    batch = int(np.searchsorted(np.cumsum(records.batches["requests"]), request, side="right"))
    first_row = int(records.request_rows[:request].sum())
    at_seconds = float(records.batches["started_ns"][batch]) / 1e9
    for own in records.own_ids:
        if own.request == request:
            return at_seconds, own.prediction_id, own.first_row + row - first_row
    number = int(records.request_numbers[request])
    return at_seconds, prediction_id(number, records.worker_tag), row - first_row
