"""The rows of a batch record, as rows: which batches of it, whose they are, when they were.

Decides how requests become columns of rows and back. A request is found again in the rows by its
prediction id and by rows that count up: the parts of a large one, if they follow each other, are
one request again. Pure.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.capture.columns import CapturePlan
from server.wire.record import BATCH_COLUMNS, BatchRecords, NamedTensor, OwnId, prediction_ids


class Taken(NamedTuple):
    """A record of which something is captured."""

    plan: CapturePlan
    records: BatchRecords
    is_chosen: NDArray[np.bool_]
    """Whether each batch is, shape (batches,)."""


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Whose each row is, for as many rows as all columns have."""

    at_us: NDArray[np.int64]
    """When its batch began, since 1970."""
    prediction_ids: NDArray[np.object_]
    """Text."""
    row: NDArray[np.int32]
    """Its place in what the caller sent."""
    is_pinned: NDArray[np.bool_]
    """Whether its request named the version."""


def chosen(records: BatchRecords, is_chosen: NDArray[np.bool_]) -> BatchRecords:
    """Return the batches of a record for which `is_chosen`, shape (batches,), is true."""
    if is_chosen.all():
        return records
    requests = np.repeat(is_chosen, records.batches["requests"])
    rows = np.repeat(is_chosen, records.batches["rows"])
    position = np.cumsum(requests) - 1
    return replace(
        records,
        batches=records.batches[is_chosen],
        waits=records.waits[requests],
        inputs=[replace(one, array=one.array[rows]) for one in records.inputs],
        outputs=[replace(one, array=one.array[rows]) for one in records.outputs],
        request_rows=records.request_rows[requests],
        is_pinned=records.is_pinned[requests],
        own_ids=[
            own._replace(request=int(position[own.request]))
            for own in records.own_ids
            if requests[own.request]
        ],
    )


def row_columns(records: BatchRecords) -> RowColumns:
    """Return whose each row of a record is."""
    sizes = records.request_rows
    ids = np.array(prediction_ids(records.request_numbers.tolist(), records.worker_tag), object)
    first_rows = np.zeros(len(sizes), np.int32)
    for own in records.own_ids:
        ids[own.request], first_rows[own.request] = own.prediction_id, own.first_row
    at_us = records.batches["started_ns"] // 1000
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.arange(records.rows, dtype=np.int32) - starts.astype(np.int32)
    return RowColumns(
        np.repeat(at_us, records.batches["rows"]),
        np.repeat(ids, sizes),
        np.repeat(first_rows, sizes) + place,
        np.repeat(records.is_pinned, sizes),
    )


def request_starts(columns: RowColumns) -> NDArray[np.bool_]:
    """Say of each row whether it is the first of its request."""
    ids = columns.prediction_ids
    is_first = np.ones(len(ids), bool)
    is_first[1:] = (ids[1:] != ids[:-1]) | (columns.row[1:] != columns.row[:-1] + 1)
    return is_first


def records_of(
    names: tuple[str, str, str],
    columns: RowColumns,
    inputs: list[NamedTensor],
    outputs: list[NamedTensor],
) -> BatchRecords:
    """Return rows as a record of one batch for each moment; `names` are model, version, digest.

    At least one row is there.
    """
    firsts = np.flatnonzero(request_starts(columns))
    request_rows = np.diff(firsts, append=len(columns.row)).astype(np.int32)
    at_us = columns.at_us[firsts]
    is_batch = np.ones(len(firsts), bool)
    is_batch[1:] = at_us[1:] != at_us[:-1]
    of_batch = np.cumsum(is_batch) - 1
    batches = np.zeros(int(is_batch.sum()), BATCH_COLUMNS)
    batches["started_ns"] = at_us[is_batch] * 1000
    batches["requests"] = np.bincount(of_batch)
    batches["rows"] = np.bincount(of_batch, weights=request_rows)
    own_ids = [
        OwnId(request, columns.prediction_ids[first], int(columns.row[first]))
        for request, first in enumerate(firsts.tolist())
    ]
    return BatchRecords(
        *names,
        0,
        0,
        batches,
        np.zeros(len(firsts), np.float32),
        inputs,
        outputs,
        request_rows,
        columns.is_pinned[firsts],
        "0",
        own_ids,
    )
