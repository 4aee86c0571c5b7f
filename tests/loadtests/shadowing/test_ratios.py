"""A ratio of pairs is as sure as the pairs agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.shadowing.ratios import paired_ratio


def test_pairs_that_agree_give_a_narrow_interval_whatever_the_machine_does() -> None:
    """Both sides of a pair may be slow together."""
    machine = [1.0, 5.0, 2.0, 9.0, 3.0, 1.5, 4.0, 8.0]

    found = paired_ratio([1.04 * one for one in machine], machine)

    assert (found.low, found.middle, found.high) == pytest.approx((1.04, 1.04, 1.04))
    assert str(found) == "1.040 (1.040 to 1.040)"


@given(st.lists(st.tuples(st.floats(0.1, 10.0), st.floats(0.1, 10.0)), min_size=1, max_size=9))
def test_the_middle_is_within_its_interval(pairs: list[tuple[float, float]]) -> None:
    """And the interval within what was seen."""
    with_it, without = ([one[side] for one in pairs] for side in (0, 1))
    seen = [one / other for one, other in pairs]

    found = paired_ratio(with_it, without)

    assert min(seen) <= found.low <= found.middle <= found.high <= max(seen)
