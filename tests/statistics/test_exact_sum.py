"""Sums that forget what is taken away from them."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from server.statistics.exact_sum import LARGEST, ExactSum

terms = st.lists(st.floats(-LARGEST, LARGEST), max_size=20)


@given(terms, terms)
def test_what_is_taken_away_leaves_no_trace(kept: list[float], taken: list[float]) -> None:
    """Adding and taking away gives the very sum that never had it, in any order."""
    whole = ExactSum().plus(kept + taken)

    assert whole.minus(reversed(taken)) == ExactSum().plus(kept)
    assert whole.minus(kept).minus(taken) == ExactSum()


@given(terms, terms)
def test_sums_add_up(left: list[float], right: list[float]) -> None:
    """The sum of two sums is that of all terms."""
    both = ExactSum().plus(left).plus(ExactSum().plus(right).parts)

    assert both == ExactSum().plus(right + left)


@given(terms)
def test_a_sum_is_exact(values: list[float]) -> None:
    """Its parts add up to the sum of the terms as fractions, and its value is the nearest float."""
    found = ExactSum().plus(values)

    exact = sum(map(Fraction, values), Fraction(0))
    assert sum(map(Fraction, found.parts), Fraction(0)) == exact
    assert found.value == float(exact)
