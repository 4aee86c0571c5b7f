"""What a message of the river costs control, measured in this process on what control calls.

Left out: what is done for shadows and for captured rows, the store, judging.
"""

import time
from dataclasses import replace

import numpy as np

from server.controlplane.kept_predictions import Keeping, Standing
from server.controlplane.totals import Totals
from server.controlplane.watched import Watched
from server.monitoring.drift import Limits
from server.monitoring.kept_answers import plan_answers
from server.monitoring.observer import Observer, Pace
from server.monitoring.self_reference import SelfReference
from server.release.route import ALL_BP
from server.tensors import Array, Signature
from server.wire import record
from server.wire.record import BATCH_COLUMNS, BatchRecords, NamedTensor

MESSAGES = 40
"""In each try: a slab of the counts is filled several times by the larger ones."""
TRIES = 8
LEARNED_ROWS = 6000

ROW = "control takes a row: reads, counts and keeps it"
MESSAGE = "control takes a message, rows apart"
COUNTING = "control counts what came of a version, 25 rows"


def figures(signature: Signature) -> dict[str, float]:
    """Return microseconds: of a message, of each row in it, and of a turn to count what came.

    `signature` is of one input of numbers, and of a label and its two probabilities.
    """
    one, many = _cost(signature, 1), _cost(signature, 1000)
    row = (many - one) / 999
    return {
        ROW: round(row, 2),
        MESSAGE: round(one - row, 1),
        COUNTING: _turn(signature),
    }


def _cost(signature: Signature, rows: int) -> float:
    """Return the microseconds of a message with so many rows, its part of the counting too."""
    watched, keeping = _watched(signature), _keeping(signature)
    message = memoryview(b"".join(record.encode(_records(signature, rows))))
    totals, best = Totals(), float("inf")
    for number in range(TRIES):
        started = time.process_time()
        for _ in range(MESSAGES):
            records = record.decode(message)
            totals.take_records(records)
            watched.take(records)
            keeping.take(records, Standing(is_live=True), ALL_BP)
        if rows > 1:
            _observer(watched).tick(float(number))
        best = min(best, time.process_time() - started)
        _, pieces = keeping.blocks()
        keeping.saved(pieces)
    return best / MESSAGES * 1e6


def _turn(signature: Signature) -> float:
    watched, best = _watched(signature), float("inf")
    for number in range(TRIES * 20):
        watched.take(_records(signature, 25))
        started = time.process_time()
        _observer(watched).tick(number / 1000)
        best = min(best, time.process_time() - started)
    return round(best * 1e6, 1)


def _observer(watched: Watched) -> Observer:
    assert watched.observer is not None, "it has learned"
    return watched.observer


def _watched(signature: Signature) -> Watched:
    """Return a version that has learned what is usual, and how its columns depend on each other."""
    learning = SelfReference(signature, {}, LEARNED_ROWS)
    records = _records(signature, LEARNED_ROWS)
    learning.add(*(_by_name(side) for side in (records.inputs, records.outputs)))
    profile, _ = learning.build("model-000", "1", records.digest)
    watched = Watched(
        "model-000", "1", records.digest, "", Observer(profile, Limits(), Pace(), 0.0)
    )
    for seed in range(LEARNED_ROWS // 64 + 2):
        watched.take(_records(signature, 64, seed))
    _observer(watched).tick(0.5)
    return watched


def _keeping(signature: Signature) -> Keeping:
    outputs = _by_name(_records(signature, 100).outputs)
    plan = plan_answers(signature, None, outputs)
    assert plan is not None, "labels can be held to probabilities of two classes"
    return Keeping(plan, ())


def _by_name(side: list[NamedTensor]) -> dict[str, Array]:
    return {tensor.name: tensor.array for tensor in side}


def _records(signature: Signature, rows: int, seed: int = 0) -> BatchRecords:
    """Return a batch of one-row requests of random rows."""
    rng = np.random.default_rng(seed)
    (name,) = (spec.name for spec in signature.inputs)
    label, probabilities = (spec.name for spec in signature.outputs)
    positive = rng.random(rows).astype(np.float32)
    both = np.stack([1.0 - positive, positive], axis=1)
    batches = np.zeros(1, BATCH_COLUMNS)
    batches["rows"] = batches["requests"] = rows
    empty = BatchRecords(
        "model-000", "1", "d" * 64, 0, 1, batches, np.zeros(rows, np.float32), [], [],
        np.ones(rows, np.int32), np.zeros(rows, np.bool_), "0a0b0c0d", [],
    )  # fmt: skip
    return replace(
        empty,
        inputs=[NamedTensor(name, "FP32", rng.standard_normal((rows, 30)).astype(np.float32))],
        outputs=[
            NamedTensor(label, "INT64", (positive > 0.5).astype(np.int64)),
            NamedTensor(probabilities, "FP32", both),
        ],
    )
