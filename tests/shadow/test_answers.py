"""A candidate's answers as the record that its own worker would have sent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.shadow import answers
from server.shadow.answers import as_record
from server.wire import record
from server.wire.record import BATCH_COLUMNS, BatchRecords, Content, NamedTensor, OwnId
from server.wire.shadow import Runnable

CANDIDATE = Runnable("2", "d2", "", "", True, 128)


def records_of(*batches: Sequence[int]) -> BatchRecords:
    """Return a record of batches by the rows of their requests."""
    request_rows = np.array([rows for batch in batches for rows in batch], np.int32)
    columns = np.zeros(len(batches), BATCH_COLUMNS)
    columns["rows"] = [sum(batch) for batch in batches]
    columns["requests"] = [len(batch) for batch in batches]
    columns["first_id"] = [1000 * (place + 1) for place in range(len(batches))]
    numbers = np.arange(int(request_rows.sum()), dtype=np.float32)
    return BatchRecords(
        "m",
        "1",
        "d1",
        0,
        1,
        columns,
        np.zeros(len(request_rows), np.float32),
        [NamedTensor("x", "FP32", numbers)],
        [NamedTensor("y", "FP32", -numbers)],
        request_rows,
        np.zeros(len(request_rows), bool),
        "0000cafe",
        [OwnId(0, "order-1", 5)],
        Content.MIRROR,
    )


def output(values: Any, datatype: str = "FP32") -> list[NamedTensor]:
    return [NamedTensor("y", datatype, np.asarray(values))]


def test_it_is_the_record_of_another_version() -> None:
    """With all by which its rows are found, without what control has had; and it can be sent."""
    live = records_of([1, 2], [1])
    made = as_record(live, CANDIDATE, [(slice(0, 4), output(np.arange(4, dtype=np.float32)))])

    assert made is not None
    sent = record.decode(memoryview(b"".join(record.encode(made))))
    assert (sent.model, sent.version, sent.digest) == ("m", "2", "d2")
    assert (sent.inputs, sent.content, sent.own_ids) == ([], Content.ROWS, live.own_ids)
    assert sent.request_numbers.tolist() == live.request_numbers.tolist()
    assert sent.request_rows.tolist() == [1, 2, 1]
    assert sent.outputs[0].array.tolist() == [0.0, 1.0, 2.0, 3.0]


@given(st.data())
def test_a_request_has_all_its_answers_or_none(data: st.DataObject) -> None:
    """Whatever failed: counts agree with rows, and each answer is where its request is."""
    sizes = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=3)
    live = records_of(*data.draw(sizes))
    rows = live.rows
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, rows - 1)), max_size=4)))
    bounds = [0, *(cut for cut in cuts if cut < rows), rows]
    has_failed = data.draw(st.lists(st.booleans(), min_size=len(bounds), max_size=len(bounds)))
    numbers = np.arange(rows, dtype=np.float32)
    runs = [
        (slice(first, last), [] if failed else output(numbers[first:last]))
        for first, last, failed in zip(bounds, bounds[1:], has_failed, strict=False)
    ]
    answered = {row for part, tensors in runs if tensors for row in range(part.start, part.stop)}
    made = as_record(live, CANDIDATE, runs)

    ends = np.cumsum(live.request_rows).tolist()
    of_requests = [
        set(range(end - size, end)) for end, size in zip(ends, live.request_rows, strict=True)
    ]
    kept = [wanted if wanted <= answered else set() for wanted in of_requests]
    expected = sorted(row for wanted in kept for row in wanted)
    if not expected:
        assert made is None
        return
    assert made is not None
    assert made.outputs[0].array.tolist() == expected
    assert made.request_rows.tolist() == [len(wanted) for wanted in kept]
    assert made.rows == len(expected)


def test_answers_of_another_form_are_left_out() -> None:
    """What cannot be one tensor, and what is not row by row."""
    live = records_of([1, 1, 1])
    made = as_record(
        live,
        CANDIDATE,
        [
            (slice(0, 1), output([1, 2], "INT64")),
            (slice(1, 2), output([[0.5, 0.5]])),
            (slice(2, 3), output([3], "INT64")),
        ],
    )

    assert made is not None
    assert made.request_rows.tolist() == [0, 1, 0]
    assert as_record(live, CANDIDATE, [(slice(0, 3), output(1.0))]) is None


def test_of_answers_that_are_too_large_only_their_number_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Text counts by its length."""
    monkeypatch.setattr(answers, "MAX_OUTPUT_BYTES", 10)
    live = records_of([1, 1])
    words = np.array(["a" * 5, "b" * 6], object)
    for outputs in (output(words, "BYTES"), output(np.zeros((2, 2), np.float32))):
        made = as_record(live, CANDIDATE, [(slice(0, 2), outputs)])
        assert made is not None
        assert (made.outputs, made.rows) == ([], 2)
