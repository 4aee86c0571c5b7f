"""Lines as paths: in their box, with gaps where nothing is known."""

import re

from hypothesis import given
from hypothesis import strategies as st

from server.console import drawing

known = st.floats(0.0, 1e9)
values = st.lists(st.one_of(st.none(), known), max_size=200)


@given(values)
def test_every_point_lies_in_the_box(some: list[float | None]) -> None:
    """Whatever the values, nothing is drawn outside."""
    numbers = [float(one) for one in re.findall(r"-?[0-9.]+", drawing.line(some, 96.0, 24.0))]

    assert all(0.0 <= x <= 96.05 for x in numbers[::2])
    assert all(0.0 <= y <= 24.0 for y in numbers[1::2])


def test_a_gap_begins_a_new_line() -> None:
    """What is not known is not bridged."""
    assert drawing.line([1.0, 1.0, None, 1.0], 30.0, 12.0) == "M0 1.0L10 1.0M30 1.0"


def test_one_value_is_no_line() -> None:
    """Nor is none at all."""
    assert drawing.line([1.0], 30.0, 12.0) == drawing.line([None, None], 30.0, 12.0) == ""


def test_nothing_but_zeros_lies_at_the_bottom() -> None:
    """A model that nobody asks has a flat line."""
    assert drawing.line([0.0, 0.0], 10.0, 12.0) == "M0 11.0L10 11.0"
