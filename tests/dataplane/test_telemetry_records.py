"""What stands in the records of a worker's batches, and which batches share one."""

import numpy as np
import pytest

from server.dataplane.batch_columns import OWN_ID, PINNED
from server.dataplane.telemetry import FLUSH_BYTES, Telemetry
from server.errors import ModelFailed
from server.tensors import Array, Signature
from server.wire.frames import Kind
from server.wire.record import Content
from tests.support.batches import rows
from tests.support.telemetry import (
    FIRST,
    FIXED,
    OPEN,
    TEXT,
    River,
    batch,
    of_version,
    with_river,
)


def test_batches_of_one_flush_are_one_record_with_their_rows_in_order() -> None:
    """The tensors lie behind each other, and the record says who made them."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        version.batch(batch(rows(1, 2), requests=2), 10.5, FIRST, all_ok=True)
        version.batch(batch(rows(3)), 10.5, FIRST, all_ok=True)
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


def test_rows_that_nobody_was_answered_are_not_watched() -> None:
    """They are counted as computed, and are in no record."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        noted = batch(rows(1, 2, 3), requests=3)
        of_version(telemetry).batch(noted, 10.5, FIRST, all_ok=False, answered_rows=[1, 0, 1])
        telemetry.flush()

        [sent] = river.records
        assert sent.request_rows.tolist() == [1, 0, 1]
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
            version.batch(batch(many), 10.5, FIRST, all_ok=True)
            noted += 1
            assert (noted - 1) * bytes_each <= FLUSH_BYTES
        assert noted * bytes_each > FLUSH_BYTES
        version.batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
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
        version.batch(batch(x, y=y), 10.5, FIRST, all_ok=True)
        telemetry.flush()

        [sent] = river.records
        assert sent.batches["rows"].tolist() == [2]
        assert sent.outputs[0].array.tolist() == y.tolist()
        assert sent.content is (Content.ROWS if is_sent else Content.REDUCED)
        assert bool(sent.inputs) is is_sent
        if is_sent:
            assert sent.inputs[0].array.tolist() == x.tolist()

    with_river(scenario, max_row_bytes=16)


def test_a_record_says_whose_rows_are_whose() -> None:
    """Rows and numbers of requests follow the batches; what is special about one stays its own."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        first, failed = batch(rows(1, 2, 3), requests=2), batch(rows(9), error=ModelFailed("no"))
        second = batch(rows(4, 5), requests=2)
        one, two = first.entries, second.entries
        one[1].marks, two[0].marks = PINNED, OWN_ID | PINNED  # type: ignore[attr-defined]
        two[0].number, two[0].first_row = 8, 16  # type: ignore[attr-defined]
        version.batch(first, 10.5, FIRST, all_ok=True)
        version.batch(failed, 10.5, FIRST + 2, all_ok=False)
        version.batch(second, 10.5, FIRST + 7, all_ok=True)
        telemetry.flush()

        [sent] = river.records
        assert sent.request_rows.tolist() == [1, 2, 1, 1]
        assert sent.request_numbers.tolist() == [FIRST, FIRST + 1, FIRST + 7, FIRST + 8]
        assert sent.is_pinned.tolist() == [False, True, True, False]
        assert sent.own_ids == [(2, f"own-8-{telemetry.tag}", 16)]
        assert (sent.worker_tag, sent.content) == (telemetry.tag, Content.ROWS)

    with_river(scenario)


def test_large_rows_go_whole_in_a_record_of_their_own_while_a_candidate_wants_them() -> None:
    """The mirror tells of the same batches and requests, and what does not arrive is counted."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry, OPEN)
        version.mirror(10_000)
        large = [batch(rows(1, 2, width=100), requests=2), batch(rows(3, width=100))]
        for at, one in enumerate(large):
            version.batch(one, 10.5, FIRST + 2 * at, all_ok=True)
        telemetry.flush()

        reduced, mirror = river.records
        assert (reduced.content, mirror.content) == (Content.REDUCED, Content.MIRROR)
        assert mirror.inputs[0].array.tolist() == rows(1, 2, 3, width=100).tolist()
        assert mirror.request_numbers.tolist() == reduced.request_numbers.tolist()
        assert mirror.request_rows.tolist() == reduced.request_rows.tolist() == [1, 1, 1]

        river.refused = {Kind.RECORDS}
        version.batch(large[0], 10.5, FIRST, all_ok=True)
        telemetry.flush()
        assert river.totals["m", "1"].unmirrored == {"river": 1}

        version.mirror(0)
        version.batch(large[0], 10.5, FIRST, all_ok=True)
        telemetry.flush()
        assert river.totals["m", "1"].unmirrored == {"river": 1}
        assert telemetry.records_dropped == 3

    with_river(scenario, max_row_bytes=64)


def test_batches_of_other_shapes_go_in_records_of_their_own() -> None:
    """Only tensors of one shape lie behind each other; each batch is in exactly one record."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry, OPEN)
        for value, width in enumerate((2, 5, 2, 5, 300)):
            version.batch(batch(rows(value, width=width)), 10.5, FIRST, all_ok=True)
        version.batch(
            batch(rows(9), error=ModelFailed("the model failed")), 10.5, FIRST, all_ok=False
        )
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
        version.batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
        version.batch(batch(rows(2), y=np.zeros((), np.float32)), 10.5, FIRST, all_ok=True)
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
            lying.batch(batch(rows(1), y=y), 10.5, FIRST, all_ok=True)
        honest.batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
        telemetry.flush()
        lying.batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
        telemetry.flush()

        assert river.totals["m", "1"].batches == 3
        assert river.totals["m", "2"].batches == 1
        assert telemetry.records_dropped == 1
        assert [one.version for one in river.records] == ["2", "1"]

    with_river(scenario)
