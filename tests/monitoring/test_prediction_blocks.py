"""Blocks of kept predictions: found by id, joined, and read as they were written."""

import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.kept_answers import AnswerPlan, LabelKind, Names
from server.monitoring.prediction_blocks import (
    HOUR_US,
    NO_HASH,
    REQUEST_COLUMNS,
    PredictionBlock,
    PredictionId,
    Role,
    answered_word,
    decode,
    encode,
    joined,
    own_hash,
    read_id,
)
from server.monitoring.realised import Task

PLAN = AnswerPlan(Task.MULTICLASS, LabelKind.TEXT, labels="y")

Request = tuple[int, int, int, int, int]
"""at_us, tag, own id, first row, rows."""

requests = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.integers(0, 3),
        st.sampled_from([NO_HASH, 7, 2**63 + 5, 2**64 - 1]),
        st.integers(0, 4),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=12,
)


def block(
    asked: Sequence[Request],
    words: Sequence[str] = ("a", "b"),
    roles: Sequence[int] = (),
    segments: tuple[str, ...] = (),
) -> PredictionBlock:
    """Return a block of these requests; answers alternate among the words."""
    columns = list(zip(*asked, strict=True))
    named = dict(zip(("at_us", "tag", "own_id", "first_row", "rows"), columns, strict=True))
    named["role"] = tuple(roles) or (0,) * len(asked)
    rows = sum(one[4] for one in asked)
    codes = np.arange(rows) % len(words)
    return PredictionBlock(
        PLAN,
        Names(list(words), {0: words[0]}),
        segments,
        {name: np.array(named[name], dtype) for name, dtype in REQUEST_COLUMNS.items()},
        {"answer": codes.astype(np.uint16), "value": np.ones((rows, 2), np.float32)},
        ("x", "y") if segments else (),
        (np.arange(rows) % 2).astype(np.uint8).reshape(-1, 1).repeat(len(segments), 1)
        if segments
        else np.zeros((0, 0), np.uint8),
    )


@given(requests)
def test_each_row_is_found_by_its_id(asked: list[Request]) -> None:
    """By number and tag, or by a caller's own id, every row leads to its place and no other."""
    made = block(asked)
    row = 0
    for place, (at_us, tag, own, first, rows) in enumerate(asked):
        wanted = PredictionId(own_id=own) if own else PredictionId(at_us, tag)
        assert place in made.find(wanted)
        assert made.matching([wanted, wanted]).all()
        for offset in range(rows):
            assert made.place(place, first + offset) == row + offset
        assert made.place(place, first - 1) is None
        assert made.place(place, first + rows) is None
        row += rows
    assert made.row_count == row
    for unknown in (PredictionId(51, 0), PredictionId(0, 9), PredictionId(own_id=8)):
        assert made.find(unknown) == []
    assert not made.matching([PredictionId(51, 0), PredictionId(own_id=8)]).any()


@given(requests, st.booleans())
def test_a_block_comes_back_from_bytes(asked: list[Request], has_segments: bool) -> None:
    """Columns of one value are written as that value, and are whole again."""
    made = block(asked, segments=("sex",) if has_segments else ())

    again = decode(encode(made))

    assert (again.plan, again.names, again.segments) == (made.plan, made.names, made.segments)
    for name, column in (*made.requests.items(), *made.answers.items()):
        other = again.requests.get(name, again.answers.get(name))
        assert other is not None
        assert other.dtype == column.dtype
        assert other.tolist() == column.tolist()
    assert list(again.cells()) == list(made.cells())


@given(requests, requests)
def test_blocks_are_joined_in_order(one: list[Request], other: list[Request]) -> None:
    """All rows are there, each with its word, though the second block has other words."""
    first, second = block(one), block(other, words=("b", "c", "d"))

    both = joined([first, second])

    expected = [
        answered_word(part, row) for part in (first, second) for row in range(part.row_count)
    ]
    assert [answered_word(both, row) for row in range(both.row_count)] == expected
    assert both.requests["at_us"].tolist() == [asked[0] for asked in (*one, *other)]


def test_rows_of_one_value_take_little_room() -> None:
    """A thousand requests of one row take 8 bytes for the number and 2 for the answer each."""
    made = block([(number, 1, NO_HASH, 0, 1) for number in range(1000)])

    assert len(encode(made)) < 1000 * (8 + 2) + 1500


def test_rows_are_counted_by_hour_role_and_segment() -> None:
    """What coverage is a share of: each row once in all, and once in each of its segments."""
    asked = [(5, 0, 0, 0, 2), (HOUR_US + 5, 0, 0, 0, 1), (6, 0, 0, 0, 1)]
    made = block(asked, roles=(Role.LIVE, Role.LIVE, Role.CANARY), segments=("sex",))

    assert sorted(made.cells()) == [
        (0, Role.LIVE, "", 2),
        (0, Role.LIVE, "sex=x", 1),
        (0, Role.LIVE, "sex=y", 1),
        (0, Role.CANARY, "", 1),
        (0, Role.CANARY, "sex=y", 1),
        (1, Role.LIVE, "", 1),
        (1, Role.LIVE, "sex=x", 1),
    ]
    assert dict(made.segment_values(0)) == {"sex": "x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64-0000000a", PredictionId(100, 10)),
        ("order 17", PredictionId(own_id=own_hash("order 17"))),
        ("64-a", PredictionId(own_id=own_hash("64-a"))),
        ("ffffffffffffffff-00000001", PredictionId(own_id=own_hash("ffffffffffffffff-00000001"))),
    ],
)
def test_ids_are_ours_or_a_callers_own(text: str, expected: PredictionId) -> None:
    """A number and a tag in hex are ours; whatever else somebody sends is their own."""
    assert read_id(text) == expected
    assert read_id(text).is_own is (expected.own_id != NO_HASH)


@pytest.mark.parametrize("content", [b"", b"\1\0\0\0{", b"\2\0\0\0{}", b"\xff\xff\xff\xff"])
def test_bytes_that_are_no_block_are_refused(content: bytes) -> None:
    """With one of the errors that a reader expects."""
    with pytest.raises((KeyError, TypeError, ValueError, struct.error)):
        decode(content)
