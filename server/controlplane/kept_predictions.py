"""The answers of one version on their way from the river into blocks.

Decides which requests of a record are kept: those that were answered and fall into the sample, by a
hash of their prediction id, so that all parts of a large request do or none. Columns wait here
until somebody writes them as a block; they are bounded, and the oldest go first.

Pure, but for what waits. Concurrency: event loop only.
Lifetime: as long as the version is loaded with the same files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.monitoring.kept_answers import AnswerPlan, AnswerReader, Names
from server.monitoring.prediction_blocks import (
    NO_HASH,
    REQUEST_COLUMNS,
    PredictionBlock,
    Role,
    joined,
    read_id,
)
from server.monitoring.taking import flat_rows, take_words
from server.release.route import ALL_BP
from server.release.shadow_rules import OTHER, Segment
from server.tensors import Array
from server.wire.record import BatchRecords, NamedTensor

MAX_PENDING_ROWS = 200_000
"""Of one version, while the store cannot be written."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: products with it are spread evenly (Knuth, vol. 3, §6.4)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a version is to its model while its records come."""

    is_live: bool = False
    is_canary: bool = False
    is_shadow: bool = False
    """Whether it answered copies of requests, whatever their callers named."""

    def roles(self, is_pinned: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return the role in which each request was answered.

        Who named no version was answered by what was live then, if not by a canary.
        """
        if self.is_shadow:
            return np.full(len(is_pinned), Role.SHADOW, np.uint8)
        usual = Role.CANARY if self.is_canary else Role.LIVE
        named = Role.LIVE if self.is_live else Role.PINNED
        return np.where(is_pinned, named, usual).astype(np.uint8)


class Keeping:
    """What is kept of one version and is not in the store yet."""

    def __init__(self, plan: AnswerPlan, segments: Sequence[Segment]) -> None:
        self.pending_rows = 0
        self._lost_rows = 0
        self._reader = AnswerReader(plan)
        self._segments = tuple(segments)
        self._words, self._codes = _segment_words(self._segments)
        self._pending: list[PredictionBlock] = []

    def take(self, records: BatchRecords, standing: Standing, sample_bp: int) -> int:
        """Keep the rows of some batches; return how many were not kept though they were sampled."""
        rows = records.request_rows
        if not len(rows) or int(rows.sum()) != records.rows:
            return 0
        requests = _requests(records, standing)
        is_chosen = (rows > 0) & _is_sampled(requests, sample_bp)
        chosen_rows = int(rows[is_chosen].sum())
        if not chosen_rows:
            return 0
        outputs = {tensor.name: tensor.array for tensor in records.outputs}
        if any(len(array) != records.rows for array in outputs.values()):
            return chosen_rows
        answers = self._reader.take(outputs)
        if answers is None:
            return chosen_rows
        codes = self._segment_codes(records.inputs, records.rows)
        if not is_chosen.all():
            kept = np.repeat(is_chosen, rows)
            requests = {name: column[is_chosen] for name, column in requests.items()}
            answers = {name: column[kept] for name, column in answers.items()}
            codes = codes[kept] if len(codes) else codes
        self._append(requests, answers, codes)
        return 0

    def _append(
        self,
        requests: Mapping[str, NDArray[Any]],
        answers: Mapping[str, NDArray[Any]],
        codes: NDArray[np.uint8],
    ) -> None:
        names = Names(list(self._reader.names.words), dict(self._reader.names.of_places))
        block = PredictionBlock(
            self._reader.plan,
            names,
            tuple(segment.feature for segment in self._segments) if len(codes) else (),
            requests,
            answers,
            self._words if len(codes) else (),
            codes,
        )
        self._pending.append(block)
        self.pending_rows += block.row_count
        while self.pending_rows > MAX_PENDING_ROWS:
            gone = self._pending.pop(0).row_count
            self.pending_rows -= gone
            self._lost_rows += gone

    def take_lost(self) -> int:
        """Return how many rows were dropped, since it was last asked, because too many waited."""
        lost, self._lost_rows = self._lost_rows, 0
        return lost

    def blocks(self) -> tuple[list[PredictionBlock], list[PredictionBlock]]:
        """Return what waits, as blocks to be written, and all that these are made of.

        What a class is called may have been learned in between; such rows are judged differently,
        and are no block together. Rows without their inputs have no segments.
        """
        pieces = list(self._pending)
        groups: dict[tuple[tuple[str, ...], str], list[PredictionBlock]] = {}
        for piece in pieces:
            names = repr(sorted(piece.names.of_places.items()))
            groups.setdefault((piece.segments, names), []).append(piece)
        return [joined(group) for group in groups.values()], pieces

    def saved(self, pieces: Sequence[PredictionBlock]) -> None:
        """Forget what has reached the store."""
        done = {id(piece) for piece in pieces}
        self._pending = [piece for piece in self._pending if id(piece) not in done]
        self.pending_rows = sum(piece.row_count for piece in self._pending)

    def _segment_codes(self, inputs: Sequence[NamedTensor], rows: int) -> NDArray[np.uint8]:
        """Return the segments of rows, shape (rows, segments); none where inputs did not come."""
        nothing = np.zeros((0, 0), np.uint8)
        tensors = {tensor.name: tensor for tensor in inputs}
        columns = []
        for segment, codes in zip(self._segments, self._codes, strict=True):
            tensor = tensors.get(segment.tensor)
            if tensor is None or tensor.array.dtype.names or len(tensor.array) != rows:
                return nothing
            words = take_words(flat_rows(tensor.array, tensor.datatype), f"value:{segment.place}")
            columns.append(_codes_of(words, codes))
        return np.stack(columns, axis=1) if columns else nothing


def _requests(records: BatchRecords, standing: Standing) -> dict[str, NDArray[Any]]:
    """Return the columns of a record's requests: see REQUEST_COLUMNS."""
    count = len(records.request_rows)
    columns = {name: np.zeros(count, dtype) for name, dtype in REQUEST_COLUMNS.items()}
    columns["at_us"][:] = records.request_numbers
    columns["tag"][:] = int(records.worker_tag, 16)
    columns["rows"][:] = records.request_rows
    columns["role"][:] = standing.roles(records.is_pinned)
    for own in records.own_ids:
        found = read_id(own.prediction_id)
        columns["first_row"][own.request] = own.first_row
        if found.is_own:
            columns["own_id"][own.request] = found.own_id
        else:  # A part of a request whose id is the number of all of it.
            columns["at_us"][own.request] = found.at_us
            columns["tag"][own.request] = found.tag
    return columns


def _is_sampled(requests: Mapping[str, NDArray[Any]], sample_bp: int) -> NDArray[np.bool_]:
    if sample_bp >= ALL_BP:
        return np.ones(len(requests["at_us"]), np.bool_)
    own = requests["own_id"]
    ids = np.where(own != NO_HASH, own, requests["at_us"].astype(np.uint64))
    share = ((ids * _SPREAD) >> np.uint64(32)).astype(np.float64) / 2.0**32
    return share * ALL_BP < sample_bp


def _segment_words(
    segments: Sequence[Segment],
) -> tuple[tuple[str, ...], list[dict[str, int]]]:
    """Return the words of all segments' values, and for each segment the code of each value."""
    words: dict[str, int] = {OTHER: 0}
    codes = []
    for segment in segments:
        values = [str(value) for value in segment.values]
        codes.append({value: words.setdefault(value, len(words)) for value in values})
    return tuple(words), codes


def _codes_of(words: Sequence[str | None] | Array, codes: Mapping[str, int]) -> NDArray[np.uint8]:
    """Return the code of each value, 0 for those that are not declared."""
    if isinstance(words, np.ndarray):
        distinct, places = np.unique(words, return_inverse=True)
        of_distinct = [codes.get(_word(value), 0) for value in distinct.tolist()]
        return np.array(of_distinct, np.uint8)[places.reshape(-1)]
    return np.array([codes.get(word or "", 0) for word in words], np.uint8)


def _word(value: float) -> str:
    """Return a number as the settings write it: whole ones without a fraction."""
    return str(int(value)) if float(value).is_integer() else str(value)
