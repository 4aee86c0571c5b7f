"""Batch records: what goes up the river comes out of it bit by bit."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from server.tensors import DATATYPES, Array
from server.wire.record import BATCH_COLUMNS, BatchRecords, NamedTensor, decode, encode

texts = st.text(st.characters(codec="utf-8"), max_size=6)
shapes = array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


@st.composite
def tensors(draw: st.DrawFn) -> NamedTensor:
    """Return a tensor of any datatype; numbers are any bits at all."""
    datatype = draw(st.sampled_from(list(DATATYPES.values())))
    shape = draw(shapes)
    array: Array
    if draw(st.integers(0, 5)) == 0:
        fields = np.dtype([("mean", "<f8"), ("projection:3", "<f8")])
        array = draw(arrays(fields, st.integers(0, 4)))
    elif datatype.is_text:
        array = draw(arrays(object, shape, elements=texts))
    elif datatype.name == "BOOL":
        array = draw(arrays(bool, shape))
    else:
        size = int(np.prod(shape)) * datatype.item_bytes
        bits = draw(st.binary(min_size=size, max_size=size))
        array = np.frombuffer(bits, datatype.numpy).reshape(shape)
    return NamedTensor(draw(texts), datatype.name, array)


@st.composite
def batch_columns(draw: st.DrawFn) -> NDArray[Any]:
    numbers = st.integers(0, 2**31 - 1)
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 2**62), numbers, numbers, numbers, st.integers(0, 4)),
            max_size=4,
        )
    )
    return np.array(rows, BATCH_COLUMNS)


records = st.builds(
    BatchRecords,
    model=texts,
    version=texts,
    digest=texts,
    worker=st.integers(-1, 300),
    generation=st.integers(-1, 2**40),
    batches=batch_columns(),
    waits=arrays(np.float32, st.integers(0, 5), elements=st.floats(0, 100, width=32)),
    inputs=st.lists(tensors(), max_size=3),
    outputs=st.lists(tensors(), max_size=2),
)


def plain(tensors: list[NamedTensor]) -> list[tuple[object, ...]]:
    """Return tensors as values that compare, numbers by their bits."""
    return [
        (
            one.name,
            one.datatype,
            one.array.shape,
            one.array.tolist() if one.array.dtype == object else one.array.tobytes(),
        )
        for one in tensors
    ]


@settings(max_examples=40)
@given(records)
def test_what_is_encoded_is_decoded(sent: BatchRecords) -> None:
    """Every field, column and tensor of any datatype and shape survives, empty ones included."""
    received = decode(memoryview(b"".join(encode(sent))))

    for name in ("model", "version", "digest", "worker", "generation"):
        assert getattr(received, name) == getattr(sent, name)
    assert received.batches.dtype == BATCH_COLUMNS
    assert received.batches.tolist() == sent.batches.tolist()
    assert received.waits.tolist() == sent.waits.tolist()
    assert plain(received.inputs) == plain(sent.inputs)
    assert plain(received.outputs) == plain(sent.outputs)
    assert received.rows == sum(sent.batches["rows"].tolist())


def a_record(*inputs: NamedTensor) -> BatchRecords:
    """Return a record of no batches with some inputs."""
    batches = np.zeros(0, BATCH_COLUMNS)
    return BatchRecords("m", "1", "d", 0, 1, batches, np.zeros(0, np.float32), list(inputs), [])


def test_an_array_in_another_order_arrives_row_by_row() -> None:
    """What a model answers need not lie in memory as it is read: the elements count."""
    array: Array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    [received] = decode(
        memoryview(b"".join(encode(a_record(NamedTensor("x", "FP32", array)))))
    ).inputs

    assert received.array.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_decoding_copies_no_numbers() -> None:
    """Reading a record costs per message: its arrays are views of the message."""
    array: Array = np.arange(6, dtype=np.int64)
    message = b"".join(encode(a_record(NamedTensor("x", "INT64", array))))
    [received] = decode(memoryview(message)).inputs

    assert np.shares_memory(received.array, np.frombuffer(message, np.uint8))
