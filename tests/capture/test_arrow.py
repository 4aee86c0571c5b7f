"""Captured rows as Arrow tables: whatever a model takes and gives comes back as it was."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.capture.arrow import WrongShape, batch_of, pieces, plan_of, schema_of
from server.capture.columns import CapturePlan
from server.tensors import DATATYPES, Signature, TensorSpec
from server.wire.record import BatchRecords
from tests.support import captured
from tests.support.captured import plan

SIZES = st.sampled_from([-1, 1, 2, 3])
SPECS = st.tuples(
    st.sampled_from(sorted(DATATYPES)), st.lists(SIZES, max_size=2), st.sampled_from("xyz")
)


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    """Any signature with rows; inputs and outputs may share names."""

    def side() -> tuple[TensorSpec, ...]:
        found = draw(st.lists(SPECS, min_size=1, max_size=3, unique_by=lambda one: one[2]))
        return tuple(TensorSpec(name, DATATYPES[kind], (-1, *trail)) for kind, trail, name in found)

    return Signature(side(), side())


def table_of(of: CapturePlan, *records: BatchRecords) -> pa.Table:
    schema = schema_of(of)
    return pa.Table.from_batches([batch_of(of, schema, one) for one in records], schema)


@settings(max_examples=60, deadline=None)
@given(signatures(), st.integers(0, 3))
def test_rows_of_any_signature_come_back(signature: Signature, size: int) -> None:
    """Each value of each datatype and shape, NaN, infinities and empty tensors included."""
    of = plan(signature)
    given_records = captured.records_of(signature, open_size=size)
    (found,) = pieces(of, table_of(of, given_records), 1000)

    for ours, theirs in (
        (found.inputs, given_records.inputs),
        (found.outputs, given_records.outputs),
    ):
        for one, other in zip(ours, theirs, strict=True):
            assert (one.name, one.datatype) == (other.name, other.datatype)
            assert one.array.dtype == other.array.dtype
            np.testing.assert_array_equal(one.array, other.array)
    assert found.request_rows.tolist() == given_records.request_rows.tolist()
    assert (found.model, found.version, found.digest) == ("m", "1", "d1" * 32)


def test_a_table_explains_itself() -> None:
    """The plan is in its metadata, with what is left out."""
    of = plan(features={"x": ["age", "sex"]}, redacted={"x": [1]})

    assert plan_of(schema_of(of)) == of
    with pytest.raises(KeyError):
        plan_of(pa.schema([]))


def test_what_is_left_out_is_null() -> None:
    """A feature by its name, a place of a list, a whole tensor; all else is there."""
    signature = Signature(
        (
            TensorSpec("people", DATATYPES["FP32"], (-1, 2)),
            TensorSpec("image", DATATYPES["BYTES"], (-1, 3)),
            TensorSpec("n", DATATYPES["INT64"], (-1,)),
        ),
        (TensorSpec("y", DATATYPES["FP32"], (-1, -1)),),
    )
    of = plan(
        signature,
        features={"people": ["age", "sex"]},
        redacted={"people": [0], "image": [1], "y": [], "n": []},
    )
    records = captured.records_of(signature)
    table = table_of(of, records)

    assert table["age"].null_count == records.rows
    np.testing.assert_array_equal(table["sex"].to_numpy(), records.inputs[0].array[:, 1])
    assert [row[1] for row in table["image"].to_pylist()] == [None] * records.rows
    assert all(row[0] is not None for row in table["image"].to_pylist())
    assert table["y"].null_count == table["y.shape"].null_count == records.rows
    (found,) = pieces(of, table, 1000)
    assert found.inputs == []
    assert found.outputs == []


def test_pieces_are_of_whole_requests_and_one_shape() -> None:
    """A request is in one piece however large, and a piece has one shape."""
    signature = Signature(
        (TensorSpec("x", DATATYPES["FP32"], (-1, -1)),),
        (TensorSpec("y", DATATYPES["FP32"], (-1,)),),
    )
    of = plan(signature)
    wide = captured.records_of(signature, ((1, 5), (2, 1)), open_size=4)
    narrow = captured.records_of(signature, ((1, 1),), open_size=2, first_id=0x6_0000_0000)
    found = list(pieces(of, table_of(of, wide, narrow), 3))

    assert [one.request_rows.tolist() for one in found] == [[1, 5], [2, 1], [1, 1]]
    assert [one.inputs[0].array.shape[1] for one in found] == [4, 4, 2]


def test_rows_that_are_not_as_declared_are_refused() -> None:
    """A model may answer in another shape than it declares, or not by row."""
    schema = schema_of(plan())
    wider = Signature((TensorSpec("x", DATATYPES["FP32"], (-1, 3)),), captured.CLASSIFIER.outputs)
    with pytest.raises(WrongShape, match="'x' has rows of"):
        batch_of(plan(), schema, captured.records_of(wider))
    fewer = Signature(captured.CLASSIFIER.inputs, ())
    with pytest.raises(WrongShape, match="'label' has no 6 rows"):
        batch_of(plan(), schema, captured.records_of(fewer))
