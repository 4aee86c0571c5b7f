"""What a candidate answered to a record, as the record that its own worker would have sent.

Decides which answers control is told, so that labels can find them: those to requests of which all
rows were answered, in one form. Inputs do not go back, control has had them; nor do outputs that
are too large, of which control is told no more than how many rows there were. Pure.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from server.wire.record import BatchRecords, Content, NamedTensor
from server.wire.shadow import Runnable

MAX_OUTPUT_BYTES = 1 << 20
"""Of a record: labels are about classes and numbers, which are small."""

Runs = Sequence[tuple[slice, Sequence[NamedTensor]]]
"""Rows in order, and what was answered to them; nothing if that failed."""


def as_record(records: BatchRecords, runnable: Runnable, runs: Runs) -> BatchRecords | None:
    """Return a record with the outputs of `runnable`, of those `runs` that are as the first one is.

    None if no request was answered.
    """
    alike = _alike(runs)
    is_answered = np.zeros(records.rows, bool)
    for rows, _ in alike:
        is_answered[rows] = True
    request_of_row = np.repeat(np.arange(len(records.request_rows)), records.request_rows)
    is_whole = np.ones(len(records.request_rows), bool)
    is_whole[request_of_row[~is_answered]] = False
    is_kept = is_whole[request_of_row]
    if not is_kept.any():
        return None
    request_rows = np.where(is_whole, records.request_rows, 0).astype(np.int32)
    batch_of_request = np.repeat(np.arange(len(records.batches)), records.batches["requests"])
    batches = records.batches.copy()
    batches["rows"] = np.bincount(batch_of_request, request_rows, len(batches))
    outputs: list[NamedTensor] = []
    if sum(_size_bytes(one) for _, tensors in alike for one in tensors) <= MAX_OUTPUT_BYTES:
        for same in zip(*(tensors for _, tensors in alike), strict=True):
            array = np.concatenate([one.array for one in same])[is_kept[is_answered]]
            outputs.append(NamedTensor(same[0].name, same[0].datatype, array))
    return replace(
        records,
        version=runnable.version,
        digest=runnable.digest,
        batches=batches,
        request_rows=request_rows,
        inputs=[],
        outputs=outputs,
        content=Content.ROWS,
    )


def _alike(runs: Runs) -> Runs:
    """Return the runs whose outputs can be one, row behind row."""
    whole = [
        (rows, outputs)
        for rows, outputs in runs
        if outputs and all(one.array.shape[:1] == (rows.stop - rows.start,) for one in outputs)
    ]
    return [(rows, outputs) for rows, outputs in whole if _form(outputs) == _form(whole[0][1])]


def _form(outputs: Sequence[NamedTensor]) -> object:
    return [(one.name, one.datatype, one.array.shape[1:]) for one in outputs]


def _size_bytes(tensor: NamedTensor) -> int:
    if tensor.array.dtype != object:
        return tensor.array.nbytes
    return sum(len(str(one)) for one in tensor.array.ravel().tolist())
