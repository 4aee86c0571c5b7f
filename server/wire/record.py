"""Batch records: what every batch was made of and what came out, for whoever watches or compares.

Decides the form of the message that carries a worker's batches of one version to control: the
batches of up to 50 ms in one message, column by column, so that reading costs per message, not
per batch. Tensors are the batches' rows behind each other, as the model took and gave them.

A record may be dropped; counts that must not get lost travel as tallies (`tally.py`).

Layout: uint32 length of the JSON head; the head; then each column's bytes, in the head's order.
Numbers are little-endian; text columns are a JSON list.
"""

import struct
from dataclasses import dataclass
from typing import Any

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
    ]
)


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

    @property
    def rows(self) -> int:
        """Rows of all batches together."""
        return int(self.batches["rows"].sum())


def encode(records: BatchRecords) -> list[bytes | memoryview]:
    """Write records as the parts of one message. Tensors are not copied."""
    columns: list[bytes | memoryview] = [records.batches.tobytes(), records.waits.tobytes()]
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
            **described,
        }
    )
    return [_LENGTH.pack(len(head)), head, *columns]


def decode(message: memoryview) -> BatchRecords:
    """Read a message of `encode`. Arrays are views of `message`."""
    (length,) = _LENGTH.unpack_from(message)
    head = orjson.loads(message[4 : 4 + length])
    at = 4 + length
    batches = np.frombuffer(message, BATCH_COLUMNS, head["batches"], at)
    at += batches.nbytes
    waits = np.frombuffer(message, "<f4", head["requests"], at)
    at += waits.nbytes
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
    )
