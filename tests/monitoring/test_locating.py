"""Items of a feedback call find their rows."""

import pytest

from server.monitoring.label_items import Item, LabelRefused, Result
from server.monitoring.locating import (
    CLOCK_SECONDS,
    EARLY_SECONDS,
    BlockNote,
    Located,
    RowKey,
    Version,
    check,
    locate,
    result_without_match,
)
from server.monitoring.prediction_blocks import PredictionBlock, PredictionId
from tests.support.kept import START_US, block

ONE, TWO, OTHER = Version("m", "1", "a"), Version("m", "2", "b"), Version("n", "1", "c")

Blocks = list[tuple[Version, PredictionBlock]]


def located(items: list[Item], blocks: Blocks, damaged: int | None = None) -> list[Located]:
    """Locate items in blocks, of which one may be damaged."""
    notes = [
        BlockNote(at, of, *one.span_us, bool(one.requests["own_id"].any()))
        for at, (of, one) in enumerate(blocks)
    ]
    return locate(
        items, notes, lambda note: None if note.number == damaged else blocks[note.number][1]
    )


def ours(number: int, row: int = 0) -> Item:
    """Return an item for one of our ids."""
    return Item(PredictionId(START_US + number, 1), row, 1)


def own(number: int, model: str = "") -> Item:
    """Return an item for a caller's own id."""
    return Item(PredictionId(own_id=number), 0, 1, model=model)


def test_every_version_that_answered_a_row_is_found() -> None:
    """Live version and shadow have the same id in blocks of their own; others are not touched."""
    blocks = [(ONE, block([1, 5, 9], [0.1] * 3)), (TWO, block([5], [0.9])), (ONE, block([20], [0]))]

    first, second, nothing = located([ours(5), ours(20), ours(6)], blocks)

    assert [(one.of, one.row, one.key) for one in first.matches] == [
        (ONE, 1, RowKey(START_US + 5, 1, 0)),
        (TWO, 0, RowKey(START_US + 5, 1, 0)),
    ]
    assert [one.row for one in second.matches] == [0]
    assert (nothing.matches, nothing.rows) == ([], 0)


def test_of_an_own_id_the_last_prediction_of_each_version_counts() -> None:
    """A caller that tries again uses its id again, and saw the last answer."""
    blocks = [
        (ONE, block([1, 2], [0.1, 0.2], own_ids=[7, 8])),
        (ONE, block([30], [0.3], own_ids=[7])),
        (TWO, block([15], [0.4], own_ids=[7])),
        (TWO, block([16], [0.4])),
    ]

    (found,) = located([own(7)], blocks)

    assert {one.of: one.key.at_us - START_US for one in found.matches} == {ONE: 30, TWO: 15}
    check(own(7), found)


def test_an_own_id_of_several_models_needs_the_models_name() -> None:
    """The models are named; with the name there is no doubt."""
    blocks = [(ONE, block([1], [0.1], own_ids=[7])), (OTHER, block([2], [0.2], own_ids=[7]))]
    both, one = located([own(7), own(7, "n")], blocks)

    with pytest.raises(LabelRefused, match="one of m, n; name one of them as model"):
        check(own(7), both)
    check(own(7, "n"), one)
    assert [match.of for match in one.matches] == [OTHER]


def test_a_row_too_far_is_refused() -> None:
    """The prediction is there, and has fewer rows."""
    item = ours(1, row=3)
    (found,) = located([item], [(ONE, block([1], [0.1]))])

    with pytest.raises(LabelRefused, match="row: the prediction has 1 rows, got 3"):
        check(item, found)


def test_a_damaged_block_costs_its_rows_only() -> None:
    """Rows of other blocks are found all the same."""
    blocks = [(ONE, block([1], [0.1])), (TWO, block([1], [0.9]))]

    (found,) = located([ours(1)], blocks, damaged=0)

    assert [one.of for one in found.matches] == [TWO]


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (10.0, Result.EARLY),
        (-10.0, Result.EARLY),
        (-CLOCK_SECONDS - 1.0, Result.UNKNOWN),
        (EARLY_SECONDS + 1.0, Result.UNKNOWN),
        (5000.0, Result.EXPIRED),
    ],
)
def test_an_id_of_ours_tells_its_age(age: float, expected: Result) -> None:
    """Not yet known, never kept, or not kept any more."""
    now = START_US / 1e6 + age

    assert result_without_match(ours(0), int((now - 4000.0) * 1e6), now) is expected


def test_an_own_id_may_always_be_early() -> None:
    """It tells no moment."""
    assert result_without_match(own(7), 10**18, 1.0) is Result.EARLY
