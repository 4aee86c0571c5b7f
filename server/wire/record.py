"""Batch records: what every batch was made of and what came out, for whoever watches or compares.

Decides the form of the message that carries a worker's batches of one version to control: the
batches of up to 50 ms in one message, column by column, so that reading costs per message, not
per batch. Tensors are the batches' rows behind each other, as the model took and gave them.

A record may be dropped; counts that must not get lost travel as tallies (`tally.py`).

Each request has a prediction id, by which its answer and whatever is learned later of its rows can
be told: `<number in hex>-<worker's tag>`. Numbers are microseconds since 1970, rise strictly within
a worker process and are consecutive within a batch, so that a batch carries its first one only.
Requests that go by another id are listed one by one.

Layout: uint32 length of the JSON head; the head; then each column's bytes, in the head's order.
Numbers are little-endian; text columns are a JSON list.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from server.tensors import DATATYPES, Array, to_array

_LENGTH = struct.Struct("<I")

BATCH_COLUMNS = np.dtype(
    [
        ("started_ns", "<i8"),  # since 1970
        ("run_ns", "<i8"),
        ("rows", "<i4"),
        ("requests", "<i4"),
        ("closed", "u1"),  # position in batching.Closed
        ("first_id", "<i8"),  # number of its first request's prediction id
    ]
)


class Content(StrEnum):
    """What the tensors of a record are."""

    ROWS = "rows"
    """What the model took and gave."""
    REDUCED = "reduced"
    """What monitoring watches of rows that are too large for the river; nothing of a side that
    cannot be reduced."""
    MIRROR = "mirror"
    """Rows that are too large for the river, whole, because a candidate is to be run on them: a
    copy of batches that are in a REDUCED record as well."""


class OwnId(NamedTuple):
    """A request whose prediction id is not made of its number."""

    request: int
    """Position among the record's requests."""
    prediction_id: str
    first_row: int
    """Not 0 where a request with more rows than a batch was run in parts, each of which is a
    request of its batch: the part's first row within what the caller sent."""


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """One input or output of all the batches of a record, rows behind each other.

    A structured array of float64 fields, shape (rows,), where a large tensor was reduced to a few
    columns in the worker: see `monitoring/taking.py`.
    """

    name: str
    datatype: str
    array: Array


@dataclass(frozen=True, slots=True)
class BatchRecords:
    """Batches of one version that one worker ran, in order."""

    model: str
    version: str
    digest: str
    worker: int
    generation: int
    batches: NDArray[Any]
    """One item of BATCH_COLUMNS a batch."""
    waits: NDArray[np.float32]
    """Seconds that each request waited, batch by batch."""
    inputs: list[NamedTensor]
    """Empty when rows are too large for the river, and cannot be reduced."""
    outputs: list[NamedTensor]
    request_rows: NDArray[np.int32]
    """Rows of each request, batch by batch; 0 if it was not answered. Their sum is `rows`."""
    is_pinned: NDArray[np.bool_]
    """Whether each request named its version: those are no evidence of a candidate."""
    worker_tag: str
    """Ends the prediction ids that this worker gives: another one with each start."""
    own_ids: list[OwnId]
    """Requests that go by another id than that of their number, in order."""
    content: Content = Content.ROWS

    @property
    def rows(self) -> int:
        """Rows of all batches together."""
        return int(self.batches["rows"].sum())

    @property
    def request_numbers(self) -> NDArray[np.int64]:
        """The number of each request's prediction id, batch by batch."""
        requests = self.batches["requests"].astype(np.int64)
        begin = self.batches["first_id"] - (np.cumsum(requests) - requests)
        numbers: NDArray[np.int64] = np.repeat(begin, requests) + np.arange(len(self.waits))
        return numbers


def prediction_id(number: int, worker_tag: str) -> str:
    """Return the prediction id of a request that brought none."""
    return f"{number:x}-{worker_tag}"


def prediction_ids(numbers: Sequence[int], worker_tag: str) -> list[str]:
    """Return the ids of many such requests: a call for each would cost as much as all the rest."""
    return [f"{number:x}-{worker_tag}" for number in numbers]


def encode(records: BatchRecords) -> list[bytes | memoryview]:
    """Write records as the parts of one message. Tensors are not copied."""
    columns: list[bytes | memoryview] = [
        records.batches.tobytes(),
        records.waits.tobytes(),
        records.request_rows.tobytes(),
        records.is_pinned.tobytes(),
    ]
    described: dict[str, list[list[Any]]] = {"inputs": [], "outputs": []}
    for side, tensors in (("inputs", records.inputs), ("outputs", records.outputs)):
        for tensor in tensors:
            shape, fields = tensor.array.shape, tensor.array.dtype.names
            column: bytes | memoryview = (
                orjson.dumps(tensor.array.ravel().tolist())
                if tensor.datatype == "BYTES" and not fields
                else np.ascontiguousarray(tensor.array).reshape(-1).view(np.uint8).data
            )
            described[side].append([tensor.name, tensor.datatype, shape, len(column), fields])
            columns.append(column)
    head = orjson.dumps(
        {
            "model": records.model,
            "version": records.version,
            "digest": records.digest,
            "worker": records.worker,
            "generation": records.generation,
            "batches": len(records.batches),
            "requests": len(records.waits),
            "worker_tag": records.worker_tag,
            "own_ids": [[*own] for own in records.own_ids],
            "content": records.content,
            **described,
        }
    )
    return [_LENGTH.pack(len(head)), head, *columns]


def decode(message: memoryview) -> BatchRecords:
    """Read a message of `encode`. Arrays are views of `message`."""
    (length,) = _LENGTH.unpack_from(message)
    head = orjson.loads(message[4 : 4 + length])
    at = 4 + length
    columns: list[NDArray[Any]] = []
    for kind, number in (
        (BATCH_COLUMNS, head["batches"]),
        ("<f4", head["requests"]),
        ("<i4", head["requests"]),
        ("?", head["requests"]),
    ):
        columns.append(np.frombuffer(message, kind, number, at))
        at += columns[-1].nbytes
    batches, waits, request_rows, is_pinned = columns
    sides: dict[str, list[NamedTensor]] = {}
    for side in ("inputs", "outputs"):
        tensors = []
        for name, datatype, shape, size, fields in head[side]:
            column = message[at : at + size]
            if fields:
                array = np.frombuffer(column, [(one, "<f8") for one in fields]).reshape(shape)
            else:
                data = orjson.loads(column) if datatype == "BYTES" else column
                array = to_array(data, DATATYPES[datatype], tuple(shape))
            tensors.append(NamedTensor(name, datatype, array))
            at += size
        sides[side] = tensors
    return BatchRecords(
        head["model"],
        head["version"],
        head["digest"],
        head["worker"],
        head["generation"],
        batches,
        waits,
        sides["inputs"],
        sides["outputs"],
        request_rows,
        is_pinned,
        head["worker_tag"],
        [OwnId(*own) for own in head["own_ids"]],
        Content(head["content"]),
    )
