"""What reaches control of a worker's batches: every count, and the records that fit."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.dataplane.telemetry import (
    FLUSH_BYTES,
    FLUSH_SECONDS,
    TALLY_SECONDS,
    UNKNOWN,
    Telemetry,
    VersionTelemetry,
)
from server.engine.batcher import FinishedBatch
from server.engine.batching import Closed
from server.errors import ModelFailed
from server.tensors import DATATYPES, Array, Signature, TensorSpec
from server.wire import record, tally
from server.wire.frames import Kind
from server.wire.record import BatchRecords
from server.wire.tally import Tally
from tests.support.batches import on_loop, rows

FIXED = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, 3)),), (TensorSpec("y", DATATYPES["FP32"], (-1, 1)),)
)
OPEN = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, -1)),), (TensorSpec("y", DATATYPES["FP32"], (-1, 1)),)
)
TEXT = Signature(
    (TensorSpec("x", DATATYPES["BYTES"], (-1, 1)),), (TensorSpec("y", DATATYPES["FP32"], (-1, 1)),)
)


class River:
    """The way to control: takes messages, or refuses those of some kinds."""

    def __init__(self) -> None:
        self.refused: set[Kind] = set()
        self.refusals = 0
        self.records: list[BatchRecords] = []
        self.totals: dict[tuple[str, str], Tally] = {}
        self.tallies = 0

    def send(self, kind: Kind, parts: Sequence[bytes | memoryview]) -> bool:
        if kind in self.refused:
            self.refusals += 1
            return False
        message = memoryview(b"".join(parts))
        if kind is Kind.RECORDS:
            self.records.append(record.decode(message))
            return True
        assert kind is Kind.TALLY
        model, version, counts = tally.decode(message)
        self.totals.setdefault((model, version), Tally()).add(counts)
        self.tallies += 1
        return True


@dataclass
class Arrived:
    """An entry of a batch, of which only the arrival is read here."""

    arrived: float


def batch(
    x: Array, *, requests: int = 1, error: ModelFailed | None = None, y: Array | None = None
) -> FinishedBatch:
    """Return a batch that started at 10.0, with each request half a second before."""
    inputs = [x]
    outputs = [] if error else [x[:, :1].astype(np.float32) if y is None else y]
    entries: list[Any] = [Arrived(9.5) for _ in range(requests)]
    return FinishedBatch(entries, len(x), inputs, outputs, error, Closed.EMPTY, 10.0, 10.125, 10.25)


def of_version(
    telemetry: Telemetry,
    signature: Signature = FIXED,
    *,
    is_batched: bool = True,
    version: str = "1",
) -> VersionTelemetry:
    return telemetry.of_version("m", version, "digest", signature, is_batched=is_batched)


def with_river(
    scenario: Callable[[River, Telemetry], Coroutine[Any, Any, None]], max_row_bytes: int = 1000
) -> None:
    """Run a scenario with a telemetry of worker 3, whose river is open."""

    async def run() -> None:
        river = River()
        telemetry = Telemetry(3, river.send, max_row_bytes)
        telemetry.generation = 7
        await scenario(river, telemetry)

    on_loop(run)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what happens here tells nobody
            await asyncio.sleep(FLUSH_SECONDS / 5)


def test_batches_of_one_flush_are_one_record_with_their_rows_in_order() -> None:
    """The tensors lie behind each other, and the record says who made them."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        version.batch(batch(rows(1, 2), requests=2), 10.5, all_ok=True)
        version.batch(batch(rows(3)), 10.5, all_ok=True)
        telemetry.flush()

        [sent] = river.records
        assert (sent.model, sent.version, sent.digest) == ("m", "1", "digest")
        assert (sent.worker, sent.generation) == (3, 7)
        assert sent.batches["rows"].tolist() == [2, 1]
        assert sent.batches["requests"].tolist() == [2, 1]
        assert sent.waits.tolist() == [0.5, 0.5, 0.5]
        assert [(one.name, one.datatype) for one in (*sent.inputs, *sent.outputs)] == [
            ("x", "FP32"),
            ("y", "FP32"),
        ]
        assert sent.inputs[0].array.tolist() == rows(1, 2, 3).tolist()
        assert sent.outputs[0].array.tolist() == [[1], [2], [3]]
        assert (telemetry.records_sent, telemetry.records_dropped) == (1, 0)

    with_river(scenario)


def test_what_was_noted_is_sent_soon_without_being_asked() -> None:
    """A timer sends records and counts, and runs no more when there is nothing to send."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        for _ in range(2):
            river.records.clear()
            version.batch(batch(rows(1)), 10.5, all_ok=True)
            await until(lambda: river.records)
        await until(lambda: river.totals and river.totals["m", "1"].batches == 2)
        sent = river.tallies
        await asyncio.sleep(2 * FLUSH_SECONDS + TALLY_SECONDS)

        assert river.tallies == sent

    with_river(scenario)


def test_a_good_batch_and_single_outcomes_add_up() -> None:
    """Requests of good batches and those with a fate of their own are counted once each."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        version.batch(batch(rows(1, 2), requests=2), 10.5, all_ok=True)
        version.batch(batch(rows(1, 2, 3), requests=3), 10.5, all_ok=False)
        for code, seconds in (("ok", 1.0), ("client_gone", 2.0), ("non_finite_output", 4.0)):
            version.request(code, seconds)
        version.batch(batch(rows(1), error=ModelFailed("the model failed")), 10.5, all_ok=False)
        version.request("model_error", 8.0)
        version.refused("invalid_input")
        telemetry.flush()

        counts = river.totals["m", "1"]
        assert counts.outcomes == {
            "ok": 3,
            "client_gone": 1,
            "non_finite_output": 1,
            "model_error": 1,
            "invalid_input": 1,
        }
        assert counts.outcome_seconds == {
            "ok": 1.0 + 1.0 + 1.0,
            "client_gone": 2.0,
            "non_finite_output": 4.0,
            "model_error": 8.0,
        }
        assert counts.request.total == 6
        assert counts.request.seconds == 2 * 1.0 + 1.0 + 2.0 + 4.0 + 8.0
        assert (counts.batches, counts.rows) == (2, 5)
        assert counts.closed == {"queue_empty": 3}
        assert counts.queue.total == 6
        assert counts.compute.total == 3
        [sent] = river.records
        assert sent.batches["rows"].tolist() == [2, 3]

    with_river(scenario)


def test_part_of_a_large_request_is_a_batch_without_a_request() -> None:
    """A batch of parts counts as a batch; its request is counted when its last part is done."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        version.batch(batch(rows(1, 2)), 10.5, all_ok=False)
        version.batch(batch(rows(3)), 10.5, all_ok=False)
        version.request("ok", 1.5)
        telemetry.flush()

        counts = river.totals["m", "1"]
        assert (counts.batches, counts.rows) == (2, 3)
        assert counts.outcomes == {"ok": 1}
        assert (counts.request.total, counts.request.seconds) == (1, 1.5)

    with_river(scenario)


def test_counts_that_cannot_be_sent_are_kept_and_records_are_dropped() -> None:
    """With control away no count is lost; dropped records are counted, and not sent late."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        river.refused = {Kind.TALLY, Kind.RECORDS}
        for _ in range(3):
            version.batch(batch(rows(1, 2)), 10.5, all_ok=True)
            telemetry.flush()
        assert (telemetry.records_sent, telemetry.records_dropped) == (0, 3)
        assert river.totals == {}
        river.refused = set()
        await until(lambda: river.totals)

        counts = river.totals["m", "1"]
        assert (counts.batches, counts.rows, counts.outcomes["ok"]) == (3, 6, 3)
        assert river.records == []

    with_river(scenario)


def test_every_version_catches_up_after_a_refusal() -> None:
    """Also the counts of versions that were behind the one refused are sent later, once."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        river.refused = {Kind.TALLY}
        for version in ("1", "2", "3"):
            of_version(telemetry, version=version).batch(batch(rows(1)), 10.5, all_ok=True)
        telemetry.flush()
        river.refused = set()
        telemetry.flush()
        telemetry.flush()

        assert river.tallies == 3
        assert {key: counts.batches for key, counts in river.totals.items()} == {
            ("m", "1"): 1,
            ("m", "2"): 1,
            ("m", "3"): 1,
        }

    with_river(scenario)


steps = st.lists(
    st.sampled_from(["batch", "request", "refused", "flush", "open", "close"]), max_size=30
)


@settings(max_examples=40)
@given(steps)
def test_whatever_happens_to_the_river_sums_are_exact(taken: list[str]) -> None:
    """For any order of work, refusals and flushes, control's totals are what was done."""
    done = {word: taken.count(word) for word in taken}

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        for step in taken:
            if step == "batch":
                version.batch(batch(rows(1, 2), requests=2), 10.5, all_ok=True)
            elif step == "request":
                version.request("deadline_queue", 0.5)
            elif step == "refused":
                version.refused("queue_full")
            elif step == "flush":
                telemetry.flush()
            else:
                river.refused = {Kind.TALLY} if step == "close" else set()
        river.refused = set()
        telemetry.flush()

        counts = river.totals.get(("m", "1"), Tally())
        assert counts.outcomes["ok"] == 2 * done.get("batch", 0)
        assert counts.outcomes["deadline_queue"] == done.get("request", 0)
        assert counts.outcomes["queue_full"] == done.get("refused", 0)
        assert counts.batches == done.get("batch", 0)
        assert counts.request.total == 2 * done.get("batch", 0) + done.get("request", 0)
        assert sum(one.rows for one in river.records) == counts.rows

    with_river(scenario)


def test_rows_that_nobody_was_answered_are_not_watched() -> None:
    """They are counted as computed, and are in no record."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        noted, answered = batch(rows(1, 2, 3), requests=3), np.array([True, False, True])
        of_version(telemetry).batch(noted, 10.5, all_ok=False, is_answered=answered)
        telemetry.flush()

        [sent] = river.records
        assert (sent.rows, river.totals["m", "1"].rows) == (2, 3)
        assert sent.inputs[0].array.tolist() == rows(1, 3).tolist()

    with_river(scenario)


def test_many_bytes_are_sent_before_the_timer() -> None:
    """Tensors do not pile up: beyond a bound the record goes at once, and nothing goes twice."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        many = rows(*range(1000))
        bytes_each = many.nbytes + 4 * len(many)
        noted = 0
        while not river.records:
            version.batch(batch(many), 10.5, all_ok=True)
            noted += 1
            assert (noted - 1) * bytes_each <= FLUSH_BYTES
        assert noted * bytes_each > FLUSH_BYTES
        version.batch(batch(rows(1)), 10.5, all_ok=True)
        telemetry.flush()

        assert [one.rows for one in river.records] == [noted * 1000, 1]
        assert river.totals["m", "1"].rows == noted * 1000 + 1

    with_river(scenario)


@pytest.mark.parametrize(
    ("signature", "x", "is_sent"),
    [
        (FIXED, rows(1, 2), True),
        (OPEN, rows(1, 2, width=3), True),
        (OPEN, rows(1, 2, width=5), False),
        (TEXT, np.array([["twelve chars"], [""]], object), True),
        (TEXT, np.array([["twelve chars"], ["twelve chars and more"]], object), False),
    ],
)
def test_a_side_that_is_too_large_stays_where_it_is(
    signature: Signature, x: Array, is_sent: bool
) -> None:
    """The bound is per row on average; the other side, and the batch itself, are still told."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry, signature)
        y = np.zeros((2, 1), np.float32)
        version.batch(batch(x, y=y), 10.5, all_ok=True)
        telemetry.flush()

        [sent] = river.records
        assert sent.batches["rows"].tolist() == [2]
        assert sent.outputs[0].array.tolist() == y.tolist()
        assert bool(sent.inputs) is is_sent
        if is_sent:
            assert sent.inputs[0].array.tolist() == x.tolist()

    with_river(scenario, max_row_bytes=16)


def test_batches_of_other_shapes_go_in_records_of_their_own() -> None:
    """Only tensors of one shape lie behind each other; each batch is in exactly one record."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry, OPEN)
        for value, width in enumerate((2, 5, 2, 5, 300)):
            version.batch(batch(rows(value, width=width)), 10.5, all_ok=True)
        version.batch(batch(rows(9), error=ModelFailed("the model failed")), 10.5, all_ok=False)
        telemetry.flush()

        by_width = {one.inputs[0].array.shape[1:]: one for one in river.records}
        assert len(river.records) == 3
        assert by_width[2,].inputs[0].array[:, 0].tolist() == [0, 2]
        assert by_width[5,].inputs[0].array[:, 0].tolist() == [1, 3]
        assert by_width[5,].outputs[0].array[:, 0].tolist() == [1, 3]
        assert by_width[()].batches["rows"].tolist() == [1]
        assert by_width[()].inputs[0].array["max"].tolist() == [4]
        assert river.totals["m", "1"].batches == 5

    with_river(scenario)


def test_an_unbatched_model_sends_tensors_that_have_a_row_for_each_row() -> None:
    """Without rows there is nothing to lay behind each other; counts go all the same."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry, is_batched=False)
        version.batch(batch(rows(1)), 10.5, all_ok=True)
        version.batch(batch(rows(2), y=np.zeros((), np.float32)), 10.5, all_ok=True)
        telemetry.flush()

        assert sorted(len(one.inputs) for one in river.records) == [0, 1]
        assert river.totals["m", "1"].batches == 2

    with_river(scenario)


def test_a_model_whose_answers_do_not_keep_to_its_signature_costs_no_count() -> None:
    """Answers of changing width cannot be laid behind each other: the record goes, not the sums."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        lying, honest = of_version(telemetry), of_version(telemetry, version="2")
        for width in (1, 2):
            y = np.zeros((1, width), np.float32)
            lying.batch(batch(rows(1), y=y), 10.5, all_ok=True)
        honest.batch(batch(rows(1)), 10.5, all_ok=True)
        telemetry.flush()
        lying.batch(batch(rows(1)), 10.5, all_ok=True)
        telemetry.flush()

        assert river.totals["m", "1"].batches == 3
        assert river.totals["m", "2"].batches == 1
        assert telemetry.records_dropped == 1
        assert [one.version for one in river.records] == ["2", "1"]

    with_river(scenario)


def test_counts_outlive_their_version() -> None:
    """What an unloaded version did is sent as well, beside what its successor does."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        of_version(telemetry).batch(batch(rows(1)), 10.5, all_ok=True)
        of_version(telemetry).batch(batch(rows(2)), 10.5, all_ok=True)
        telemetry.flush()
        assert river.totals["m", "1"].batches == 2

    with_river(scenario)


def test_refusals_that_name_no_version_are_counted_by_model() -> None:
    """They have a label of their own, and each model has one place for them."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        for _ in range(2):
            telemetry.refusals("m").refused("version_not_found")
        telemetry.refusals(UNKNOWN).refused("model_not_found")
        telemetry.flush()

        assert river.totals["m", ""].outcomes == {"version_not_found": 2}
        assert river.totals[UNKNOWN, ""].outcomes == {"model_not_found": 1}
        assert river.records == []
        assert river.tallies == 2

    with_river(scenario)
