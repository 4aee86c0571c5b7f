"""What of a batch's tensors waits for the river, and what may lie behind what."""

import numpy as np
import pytest

from server.dataplane.kept import NO_TENSORS, KeptTensors
from server.engine.batcher import FinishedBatch
from server.engine.batching import Closed
from server.tensors import DATATYPES, Array, Signature, TensorSpec
from server.wire.record import Content
from tests.support.batches import rows

FIXED = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, 3)),), (TensorSpec("y", DATATYPES["FP32"], (-1, 1)),)
)
OPEN = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, -1)),), (TensorSpec("y", DATATYPES["FP32"], (-1, 1)),)
)
ROW_BYTES = 100


def batch(x: Array, y: Array | None = None, *, run_seconds: float = 1.0) -> FinishedBatch:
    """Return a batch of which only tensors, rows and run time are read here."""
    outputs = [x[:, :1] if y is None else y]
    return FinishedBatch(
        [], len(x), [x], outputs, None, Closed.EMPTY, 0.0, 10.0, 10.0 + run_seconds
    )


def test_rows_of_one_shape_lie_behind_each_other() -> None:
    """Small rows are kept as they are, in one group, and their bytes are known."""
    kept = KeptTensors(FIXED, ROW_BYTES, is_batched=True)
    groups = {kept.keep(batch(rows(1, 2))), kept.keep(batch(rows(3)))}

    (group,) = groups
    assert list(kept.groups()) == [NO_TENSORS, group]
    assert kept.bytes == 3 * 16
    tensors = kept.of_group(group)
    assert tensors.content is Content.ROWS
    assert tensors.inputs[0].array.tolist() == rows(1, 2, 3).tolist()
    assert tensors.outputs[0].array.tolist() == [[1], [2], [3]]


def test_large_rows_are_reduced_and_apart_from_small_ones() -> None:
    """What is sent of a large side are its summaries, and nothing if there is no time for them."""
    kept = KeptTensors(OPEN, ROW_BYTES, is_batched=True)
    small, large = kept.keep(batch(rows(1))), kept.keep(batch(rows(2, width=100)))

    assert NO_TENSORS not in {small, large}
    assert kept.of_group(large).content is Content.REDUCED
    assert kept.of_group(large).inputs[0].array.dtype.names
    assert kept.of_group(small).content is Content.ROWS


def test_what_has_no_rows_keeps_nothing() -> None:
    """Tensors without a row for each row cannot lie behind others; their batch is still told."""
    kept = KeptTensors(FIXED, ROW_BYTES, is_batched=False)
    group = kept.keep(batch(rows(1), np.zeros((), np.float32)))

    assert group == NO_TENSORS
    nothing = kept.of_group(NO_TENSORS)
    assert (nothing.content, nothing.inputs, nothing.outputs) == (Content.REDUCED, [], [])


def test_shapes_that_break_their_word_cannot_be_joined() -> None:
    """A model that declares a shape and answers in another is found out when it is read."""
    kept = KeptTensors(FIXED, ROW_BYTES, is_batched=True)
    group = kept.keep(batch(rows(1)))
    kept.keep(batch(rows(1), np.zeros((1, 2), np.float32)))

    with pytest.raises(ValueError, match="must match"):
        kept.of_group(group)


def test_after_clearing_nothing_is_left() -> None:
    """The next flush begins with no bytes and no groups but the empty one."""
    kept = KeptTensors(OPEN, ROW_BYTES, is_batched=True)
    kept.keep(batch(rows(1, width=100)))
    kept.clear()

    assert (kept.bytes, list(kept.groups())) == (0, [NO_TENSORS])
