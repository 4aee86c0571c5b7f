"""Batch records: what goes up the river comes out of it bit by bit."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from server.tensors import DATATYPES, Array
from server.wire.record import (
    BATCH_COLUMNS,
    BatchRecords,
    Content,
    NamedTensor,
    OwnId,
    decode,
    encode,
    prediction_id,
)

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
            st.tuples(
                st.integers(0, 2**62),
                numbers,
                numbers,
                numbers,
                st.integers(0, 4),
                st.integers(0, 2**62),
            ),
            max_size=4,
        )
    )
    return np.array(rows, BATCH_COLUMNS)


requests = st.shared(st.integers(0, 5), key="requests")


def of_requests(kind: Any, elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return arrays with an element for each request of one record."""
    return requests.flatmap(lambda number: arrays(kind, number, elements=elements))


records = st.builds(
    BatchRecords,
    model=texts,
    version=texts,
    digest=texts,
    worker=st.integers(-1, 300),
    generation=st.integers(-1, 2**40),
    batches=batch_columns(),
    waits=of_requests(np.float32, st.floats(0, 100, width=32)),
    inputs=st.lists(tensors(), max_size=3),
    outputs=st.lists(tensors(), max_size=2),
    request_rows=of_requests(np.int32, st.integers(0, 2**31 - 1)),
    is_pinned=of_requests(np.bool_, st.booleans()),
    worker_tag=texts,
    own_ids=st.lists(st.builds(OwnId, st.integers(0, 9), texts, st.integers(0, 2**31)), max_size=2),
    content=st.sampled_from(Content),
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

    for name in ("model", "version", "digest", "worker", "generation", "worker_tag", "own_ids"):
        assert getattr(received, name) == getattr(sent, name)
    assert received.batches.dtype == BATCH_COLUMNS
    assert received.batches.tolist() == sent.batches.tolist()
    assert received.content is sent.content
    for name in ("waits", "request_rows", "is_pinned"):
        assert getattr(received, name).dtype == getattr(sent, name).dtype
        assert getattr(received, name).tolist() == getattr(sent, name).tolist()
    assert plain(received.inputs) == plain(sent.inputs)
    assert plain(received.outputs) == plain(sent.outputs)
    assert received.rows == sum(sent.batches["rows"].tolist())


def a_record(*inputs: NamedTensor) -> BatchRecords:
    """Return a record of no batches with some inputs."""
    batches = np.zeros(0, BATCH_COLUMNS)
    return of_batches(batches, *inputs)


def of_batches(batches: NDArray[Any], *inputs: NamedTensor) -> BatchRecords:
    """Return a record of some batches, whose requests have a row each."""
    asked = int(batches["requests"].sum())
    waits, each, none = np.zeros(asked, "f4"), np.ones(asked, "i4"), np.zeros(asked, np.bool_)
    return BatchRecords(
        "m", "1", "d", 0, 1, batches, waits, list(inputs), [], each, none, "ab12cd34", []
    )


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


@given(st.lists(st.tuples(st.integers(0, 2**53), st.integers(0, 4)), max_size=5))
def test_each_request_has_the_number_after_its_batch_mates(noted: list[tuple[int, int]]) -> None:
    """Numbers count up from the first one of each batch, whatever the batches before it had."""
    batches = np.zeros(len(noted), BATCH_COLUMNS)
    batches["first_id"] = [first for first, _ in noted]
    batches["requests"] = [requests for _, requests in noted]

    assert of_batches(batches).request_numbers.tolist() == [
        first + at for first, requests in noted for at in range(requests)
    ]


def test_a_prediction_id_is_a_number_and_the_workers_tag() -> None:
    """The number is written as it is read by `int(…, 16)`."""
    assert prediction_id(0x5F1C, "ab12cd34") == "5f1c-ab12cd34"
