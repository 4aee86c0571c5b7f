"""Counts of labelled rows: they add up, and what is taken back leaves no trace."""

from math import inf, log, nan

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.realised import (
    NEGATIVE,
    NO_ANSWER,
    POSITIVE,
    SCORE_BINS,
    SMALLEST_PROBABILITY,
    AnyPair,
    LabelCounts,
    NumberPair,
    Pair,
    score_bin,
)

words = st.sampled_from(["cat", "dog", "eel"])
sides = st.sampled_from([POSITIVE, NEGATIVE])
probabilities = st.none() | st.floats(0.0, 1.0)
binary = st.builds(Pair, sides, sides | st.just(NO_ANSWER), probabilities)
classes = st.builds(Pair, words, words, probabilities, st.booleans(), st.booleans())
numbers = st.builds(
    NumberPair, st.floats(-1e9, 1e9), st.floats(-1e9, 1e9) | st.sampled_from([nan, inf])
)
rows = st.one_of(*(st.lists(one, max_size=12) for one in (binary, classes, numbers)))
delays = st.lists(st.floats(0.0, 1e7), max_size=5)


def counted(pairs: list[AnyPair], seconds: list[float] | None = None) -> LabelCounts:
    """Return the counts of rows."""
    counts = LabelCounts()
    counts.add(pairs, seconds or [])
    return counts


@given(rows, rows, delays)
def test_what_is_taken_back_leaves_no_trace(
    kept: list[AnyPair], wrong: list[AnyPair], seconds: list[float]
) -> None:
    """A label that was corrected: the counts are those of rows that never had the old one."""
    counts = counted(kept + wrong, seconds)

    counts.remove(wrong, seconds)

    assert counts.to_json() == counted(kept).to_json()


@given(rows, rows, delays)
def test_counts_add_up(one: list[AnyPair], other: list[AnyPair], seconds: list[float]) -> None:
    """Counts of two parts together are those of all rows, in any order."""
    both = counted(other, seconds)
    both.merge(counted(one))

    assert both.to_json() == counted(one + other, seconds).to_json()


@given(rows, delays)
def test_counts_come_back_from_json(pairs: list[AnyPair], seconds: list[float]) -> None:
    """Whatever was counted is read as it was written, by way of bytes."""
    counts = counted(pairs, seconds)

    again = LabelCounts.from_json(orjson.loads(orjson.dumps(counts.to_json())))

    assert again.to_json() == counts.to_json()


def test_a_probability_of_nothing_costs_much_and_not_everything() -> None:
    """Log loss of a certain and wrong answer is finite; the score is in its last bin."""
    counts = counted([Pair(NEGATIVE, POSITIVE, 1.0)])

    assert counts.total("log_loss") == pytest.approx(-log(SMALLEST_PROBABILITY))
    assert counts.total("brier") == 1.0
    assert counts.negatives[SCORE_BINS - 1] == 1
    assert [score_bin(one) for one in (-0.1, 0.0, 0.005, 0.5, 1.0, 2.0)] == [0, 0, 1, 100, 199, 199]


def test_an_answer_that_is_no_number_is_wrong() -> None:
    """It counts as a row and as unanswered; of a regression, in no sum."""
    numbers_counts = counted([NumberPair(1.0, nan), NumberPair(1.0, 3.0)])
    class_counts = counted([Pair("cat", NO_ANSWER), Pair("cat", "cat")])

    assert (numbers_counts.rows, numbers_counts.unanswered) == (2, 1)
    assert numbers_counts.total("squared_error") == 4.0
    assert (class_counts.rows, class_counts.right, class_counts.unanswered) == (2, 1, 1)
