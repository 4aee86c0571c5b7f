"""Numbers of prediction ids: they tell the time, and never the same one twice."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.dataplane.numbering import Numbering


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 20)), max_size=20))
def test_numbers_rise_whatever_the_clock_does(asked: list[tuple[int, int]]) -> None:
    """A batch begins behind the last one's end, and not before its own time."""
    numbering = Numbering()
    given = [(numbering.give(requests, now_us), requests, now_us) for requests, now_us in asked]

    for (first, requests, _), (after, _, _) in pairwise(given):
        assert after >= first + requests
    assert all(first >= now_us for first, _, now_us in given)


def test_a_number_is_the_time_of_its_batch() -> None:
    """With fewer requests than microseconds, the number says when they were answered."""
    numbering = Numbering()

    assert [numbering.give(3, now_us) for now_us in (1000, 2000)] == [1000, 2000]
