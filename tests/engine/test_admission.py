"""The budget of request bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.admission import Budget


@given(st.integers(0, 100), st.lists(st.integers(0, 60)))
def test_what_is_held_never_exceeds_the_limit(limit: int, sizes: list[int]) -> None:
    """A size is taken exactly if it fits beside what is held, and giving all back leaves none."""
    budget = Budget(limit)
    held: list[int] = []
    for size in sizes:
        fits = sum(held) + size <= limit

        assert budget.take(size) is fits

        held += [size] * fits
        assert budget.used == sum(held)

    for size in held:
        budget.give_back(size)
    assert budget.used == 0


def test_the_limit_itself_can_be_taken_and_one_more_cannot() -> None:
    """The bound is inclusive, and a refusal reserves nothing."""
    budget = Budget(10)

    assert budget.take(10)
    assert not budget.take(1)
    assert budget.take(0)
    assert budget.used == 10


def test_giving_back_more_than_was_taken_is_caught() -> None:
    """A mistake in the bookkeeping shows at once instead of lifting the limit."""
    budget = Budget(10)
    budget.take(3)

    with pytest.raises(AssertionError, match="more was given back than taken"):
        budget.give_back(4)
