"""What of a batch's tensors waits for the river, and what may lie behind what."""

import numpy as np
import pytest

from server.dataplane.kept import NO_TENSORS, KeptTensors, only_answered
from server.dataplane.mirroring import BYTES_PER_SECOND, MAX_BYTES, ByteBudget
from server.engine.batching import Closed
from server.engine.running import FinishedBatch
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
    kept = KeptTensors(FIXED, ROW_BYTES, ByteBudget(), is_batched=True)
    groups = {kept.keep(batch(rows(1, 2))), kept.keep(batch(rows(3)))}

    (group,) = groups
    assert list(kept.groups()) == [NO_TENSORS, group]
    assert kept.bytes == 3 * 16
    (tensors,) = kept.of_group(group)
    assert tensors.content is Content.ROWS
    assert tensors.inputs[0].array.tolist() == rows(1, 2, 3).tolist()
    assert tensors.outputs[0].array.tolist() == [[1], [2], [3]]


def test_large_rows_are_reduced_and_apart_from_small_ones() -> None:
    """What is sent of a large side are its summaries, and nothing if there is no time for them."""
    kept = KeptTensors(OPEN, ROW_BYTES, ByteBudget(), is_batched=True)
    small, large = kept.keep(batch(rows(1))), kept.keep(batch(rows(2, width=100)))

    assert NO_TENSORS not in {small, large}
    assert [one.content for one in kept.of_group(large)] == [Content.REDUCED]
    assert kept.of_group(large)[0].inputs[0].array.dtype.names
    assert [one.content for one in kept.of_group(small)] == [Content.ROWS]


def test_large_rows_that_are_mirrored_are_kept_whole_beside_what_is_made_of_them() -> None:
    """A group has both, batch by batch in one order; small rows need no mirror."""
    kept = KeptTensors(OPEN, ROW_BYTES, ByteBudget(), is_batched=True)
    kept.mirror.share_bp = 10_000
    groups = [kept.keep(batch(rows(value, width=100))) for value in (1, 2)]
    small, wider = kept.keep(batch(rows(3))), kept.keep(batch(rows(4, width=200)))

    assert len({*groups, small, wider}) == 3
    reduced, mirror = kept.of_group(groups[0])
    assert (reduced.content, mirror.content) == (Content.REDUCED, Content.MIRROR)
    assert reduced.inputs[0].array["max"].tolist() == [1, 2]
    assert mirror.inputs[0].array.tolist() == rows(1, 2, width=100).tolist()
    assert mirror.outputs[0].array.tolist() == [[1], [2]]
    assert [one.content for one in kept.of_group(small)] == [Content.ROWS]
    assert kept.bytes > 2 * 404 + 16 + 804
    kept.clear()
    assert list(kept.groups()) == [NO_TENSORS]


def test_a_mirrored_batch_that_cannot_be_reduced_is_mirrored_all_the_same() -> None:
    """Its record for monitoring has no tensors, as it would have without a mirror."""
    kept = KeptTensors(OPEN, 0, ByteBudget(), is_batched=True)
    assert kept.keep(batch(rows(1, width=100), run_seconds=0.0)) == NO_TENSORS
    kept.mirror.share_bp = 10_000
    reduced, mirror = kept.of_group(kept.keep(batch(rows(1, width=100), run_seconds=0.0)))

    assert (reduced.content, reduced.inputs, reduced.outputs) == (Content.REDUCED, [], [])
    assert mirror.inputs[0].array.shape == (1, 100)


def test_what_should_have_been_mirrored_is_told_once() -> None:
    """The reasons come with the next flush, and then they are forgotten."""
    budget = ByteBudget()
    kept = KeptTensors(OPEN, ROW_BYTES, budget, is_batched=True)
    kept.mirror.share_bp = 10_000
    kept.keep(batch(rows(1, width=MAX_BYTES)))
    budget.take(2 * BYTES_PER_SECOND, 11.0)
    kept.keep(batch(rows(1, width=100)))

    assert kept.take_unmirrored() == {"size": 1, "budget": 1}
    assert kept.take_unmirrored() == {}


def test_what_has_no_rows_keeps_nothing() -> None:
    """Tensors without a row for each row cannot lie behind others; their batch is still told."""
    kept = KeptTensors(FIXED, ROW_BYTES, ByteBudget(), is_batched=False)
    group = kept.keep(batch(rows(1), np.zeros((), np.float32)))

    assert group == NO_TENSORS
    (nothing,) = kept.of_group(NO_TENSORS)
    assert (nothing.content, nothing.inputs, nothing.outputs) == (Content.REDUCED, [], [])


def test_shapes_that_break_their_word_cannot_be_joined() -> None:
    """A model that declares a shape and answers in another is found out when it is read."""
    kept = KeptTensors(FIXED, ROW_BYTES, ByteBudget(), is_batched=True)
    group = kept.keep(batch(rows(1)))
    kept.keep(batch(rows(1), np.zeros((1, 2), np.float32)))

    with pytest.raises(ValueError, match="must match"):
        kept.of_group(group)


def test_after_clearing_nothing_is_left() -> None:
    """The next flush begins with no bytes and no groups but the empty one."""
    kept = KeptTensors(OPEN, ROW_BYTES, ByteBudget(), is_batched=True)
    kept.keep(batch(rows(1, width=100)))
    kept.clear()

    assert (kept.bytes, list(kept.groups())) == (0, [NO_TENSORS])


def test_only_answered_rows_are_left() -> None:
    """Members' rows stay together and in order, and what has no rows has none left."""
    noted = batch(rows(1, 2, 3, 4))
    left = only_answered(noted, [1, 2, 1], [1, 0, 1])
    assert (left.rows, left.inputs[0][:, 0].tolist()) == (2, [1, 4])
    assert only_answered(batch(rows(1), np.zeros((), np.float32)), [1], [0]).rows == 0
