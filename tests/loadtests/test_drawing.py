"""Labels of pictures can be read."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from loadtests.drawing import apart, label


def test_labels_are_moved_apart_and_keep_their_order() -> None:
    """Lines that end at the same height have labels that can be read."""
    assert apart([100.0, 100.0, 40.0], least=14.0) == [100.0, 86.0, 40.0]


@given(st.lists(st.floats(0, 500), max_size=9))
def test_no_two_labels_are_nearer_than_the_least(heights: list[float]) -> None:
    """However many lines end together."""
    moved = sorted(apart(heights))

    assert all(two - one >= 13.99 for one, two in itertools.pairwise(moved))


def test_words_are_words_in_a_picture() -> None:
    """Nothing that a name holds becomes a part of the drawing."""
    assert "&lt;b&gt;" in label(1, 2, "<b>")
