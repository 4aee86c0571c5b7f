"""Records of batches as a worker sends them, made by running a model here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from server.engine.session import Session
from server.shadow.runner import Opened
from server.tensors import Array
from server.wire.record import BATCH_COLUMNS, BatchRecords, NamedTensor, OwnId
from server.wire.shadow import CandidatePlan, Runnable


def opened(
    folder: Path, version: str, content: bytes, *, is_batched: bool = True, max_rows: int = 128
) -> Opened:
    """Write a model and open it."""
    path = folder / f"{version}.onnx"
    path.write_bytes(content)
    plan = Runnable(version, f"digest-{version}", str(path), "", is_batched, max_rows)
    return Opened(plan, Session.open(path))


def candidate_plan(runnable: Runnable, **fields: Any) -> CandidatePlan:
    """Return the plan of a candidate in epoch `e`."""
    return CandidatePlan(runnable, "e", **fields)


def record_of(
    live: Opened,
    inputs: Mapping[str, Array],
    requests: Sequence[int] | None = None,
    *,
    pinned: Sequence[int] = (),
    own_ids: Sequence[OwnId] = (),
    model: str = "m",
) -> BatchRecords:
    """Return the record of one batch that the live version ran on `inputs`.

    `requests` has the rows of each request, one each if not given; `pinned` the places of those
    that named their version.
    """
    signature = live.session.signature
    arrays = [inputs[spec.name] for spec in signature.inputs]
    outputs = live.session.run(arrays)
    if not live.runnable.is_batched:
        outputs = [np.asarray(output)[np.newaxis] for output in outputs]
    rows = len(arrays[0])
    request_rows = np.array([1] * rows if requests is None else requests, np.int32)
    batches = np.zeros(1, BATCH_COLUMNS)
    batches["started_ns"], batches["first_id"], batches["run_ns"] = 1_500_000_000, 0xA0, 1000
    batches["rows"], batches["requests"] = rows, len(request_rows)
    is_pinned = np.zeros(len(request_rows), bool)
    is_pinned[list(pinned)] = True
    return BatchRecords(
        model,
        live.runnable.version,
        live.runnable.digest,
        0,
        1,
        batches,
        np.zeros(len(request_rows), np.float32),
        [
            NamedTensor(spec.name, spec.datatype.name, array)
            for spec, array in zip(signature.inputs, arrays, strict=True)
        ],
        [
            NamedTensor(spec.name, spec.datatype.name, array)
            for spec, array in zip(signature.outputs, outputs, strict=True)
        ],
        request_rows,
        is_pinned,
        "cafe",
        list(own_ids),
    )
