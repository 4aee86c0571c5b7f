"""Which large batches are sent whole: the share that is wanted, within a rate of bytes."""

from hypothesis import given
from hypothesis import strategies as st

from server.dataplane.mirroring import BUDGET, BYTES_PER_SECOND, MAX_BYTES, SIZE, ByteBudget, Mirror

steps = st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, MAX_BYTES)), min_size=1, max_size=60)


@given(steps)
def test_bytes_stay_within_the_rate(taken: list[tuple[float, int]]) -> None:
    """In any span of time: a second's worth at once, the rate after it, and one batch beyond."""
    budget, now, sent = ByteBudget(), 100.0, 0
    for pause, size in taken:
        now += pause
        if budget.take(size, now):
            sent += size

    assert sent <= BYTES_PER_SECOND * (1.0 + now - 100.0) + MAX_BYTES


def test_a_budget_that_is_used_up_comes_back() -> None:
    """A batch may be larger than what is left; the next one waits until that is paid."""
    budget = ByteBudget()
    assert budget.take(3 * BYTES_PER_SECOND, 10.0)
    assert not budget.take(1, 11.9)
    assert budget.take(1, 12.1)


def test_a_clock_of_several_threads_earns_nothing_by_going_back() -> None:
    """Batches finish in another order than their times: nothing is earned twice, or lost."""
    budget = ByteBudget()
    budget.take(2 * BYTES_PER_SECOND, 10.0)
    budget.take(1, 9.0)
    assert not budget.take(1, 9.9)
    assert budget.take(1, 11.5)


@given(st.integers(0, 10_000), st.integers(0, 9999))
def test_a_share_is_drawn(share_bp: int, draw_bp: int) -> None:
    """What is drawn below the share is sent, and what is not drawn is no loss."""
    mirror = Mirror(ByteBudget())
    mirror.share_bp = share_bp

    assert mirror.takes(1, draw_bp, 10.0) is (draw_bp < share_bp)
    assert not mirror.dropped


def test_what_was_drawn_and_cannot_go_is_counted() -> None:
    """Too large by itself, or one too many for now."""
    mirror = Mirror(ByteBudget())
    mirror.share_bp = 10_000
    sent = [mirror.takes(size, 0, 10.0) for size in (MAX_BYTES + 1, *[MAX_BYTES] * 6)]

    assert sent == [False, True, True, True, True, False, False]
    assert mirror.dropped == {SIZE: 1, BUDGET: 2}
