"""Rows of records: whose they are, which are chosen, and back to requests."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.capture.rows import chosen, records_of, row_columns
from server.wire.record import OwnId
from tests.support import captured

BATCHES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=4)


def test_each_row_knows_its_request() -> None:
    """Its id, its place in what the caller sent, the moment of its batch, and if it was pinned."""
    records = captured.records_of(requests=((2, 0, 1), (2,)), own_ids=[OwnId(3, "mine", 128)])
    found = row_columns(records)

    first = "500000000-cafecafe"
    assert found.prediction_ids.tolist() == [first, first, "500000002-cafecafe", "mine", "mine"]
    assert found.row.tolist() == [0, 1, 0, 128, 129]
    assert np.diff(found.at_us).tolist() == [0, 0, 1000, 0]
    assert found.is_pinned.tolist() == [False] * 5


def test_batches_are_chosen_with_all_that_is_theirs() -> None:
    """Requests, rows and ids of the others are gone."""
    records = captured.records_of(requests=((1, 2), (3,), (2, 1)), own_ids=[OwnId(3, "mine", 0)])
    found = chosen(records, np.array([False, False, True]))

    assert found.rows == 3
    assert found.request_rows.tolist() == [2, 1]
    assert found.own_ids == [OwnId(0, "mine", 0)]
    np.testing.assert_array_equal(found.inputs[0].array, records.inputs[0].array[6:])
    np.testing.assert_array_equal(found.request_numbers, records.request_numbers[3:])


@given(BATCHES)
def test_requests_are_found_again_in_rows(requests: list[list[int]]) -> None:
    """Those that have rows, in order, with their ids and batches."""
    records = captured.records_of(requests=requests)
    if not records.rows:
        return
    columns = row_columns(records)
    found = records_of(("m", "1", "d"), columns, records.inputs, records.outputs)

    is_there = records.request_rows > 0
    assert found.request_rows.tolist() == records.request_rows[is_there].tolist()
    assert found.is_pinned.tolist() == records.is_pinned[is_there].tolist()
    assert found.batches["rows"].tolist() == [sum(batch) for batch in requests if any(batch)]
    again = row_columns(found)
    assert again.prediction_ids.tolist() == columns.prediction_ids.tolist()
    np.testing.assert_array_equal(again.row, columns.row)
    np.testing.assert_array_equal(again.at_us, columns.at_us)


def test_parts_of_a_request_are_one_again_and_requests_of_one_id_are_not() -> None:
    """Rows that count up belong together; where they begin anew, so does a request."""
    parts = [OwnId(0, "large", 0), OwnId(1, "large", 2), OwnId(2, "large", 0)]
    records = captured.records_of(requests=((2, 2, 1),), own_ids=parts)
    found = records_of(("m", "1", "d"), row_columns(records), records.inputs, records.outputs)

    assert found.request_rows.tolist() == [4, 1]
    assert [own.prediction_id for own in found.own_ids] == ["large", "large"]
