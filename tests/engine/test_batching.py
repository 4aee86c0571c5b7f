"""The batching policy. No clock, no event loop: time is a number that is passed in."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.batching import (
    INLINE_BELOW_SECONDS,
    BatchPolicy,
    Closed,
    Dispatch,
    Execution,
    Hold,
    next_step,
    runs_inline,
)

MAX_ROWS = 8
POLICY = BatchPolicy(MAX_ROWS)
PATIENT = BatchPolicy(MAX_ROWS, max_delay_seconds=0.5)
UNBATCHED = BatchPolicy(MAX_ROWS, max_delay_seconds=0.5, is_batched=False)


@dataclass
class Queued:
    """A request as the policy sees it."""

    rows: int = 1
    shape_key: object = None
    arrived: float = 0.0
    deadline: float = math.inf


queues = st.lists(
    st.builds(
        Queued,
        rows=st.integers(1, MAX_ROWS),
        shape_key=st.sampled_from(["a", "b"]),
        arrived=st.floats(0, 1),
        deadline=st.floats(0, 3),
    ),
    min_size=1,
    max_size=12,
)
delays = st.sampled_from([0.0, 0.25, 0.5])
times = st.floats(0, 4)


def longest_prefix(queue: list[Queued]) -> int:
    """Return how many requests from the front may share a batch, the slow and plain way."""
    return max(
        count
        for count in range(1, len(queue) + 1)
        if sum(one.rows for one in queue[:count]) <= MAX_ROWS
        and len({one.shape_key for one in queue[:count]}) == 1
    )


@given(queues, delays, times)
def test_a_batch_is_the_longest_prefix_that_fits_and_has_one_shape(
    queue: list[Queued], delay: float, now: float
) -> None:
    """Order is kept, max_rows is never exceeded, only equal shapes are joined, none is left out."""
    step = next_step(queue, BatchPolicy(MAX_ROWS, delay), now)

    if isinstance(step, Dispatch):
        assert step.count == longest_prefix(queue)


@given(queues, times)
def test_without_a_delay_nothing_that_waits_is_ever_held(queue: list[Queued], now: float) -> None:
    """The policy conserves work: a free model and a waiting request make a batch."""
    assert isinstance(next_step(queue, POLICY, now), Dispatch)


@given(queues, times)
def test_only_a_batch_that_could_grow_is_held(queue: list[Queued], now: float) -> None:
    """With a delay, only a queue that is one unfinished batch waits, and only until it is due."""
    step = next_step(queue, PATIENT, now)
    could_grow = (
        len({one.shape_key for one in queue}) == 1 and sum(one.rows for one in queue) < MAX_ROWS
    )
    due = min(
        min(one.arrived + PATIENT.max_delay_seconds, (one.arrived + one.deadline) / 2)
        for one in queue
    )

    assert isinstance(step, Hold) == (could_grow and now < due)
    if isinstance(step, Hold):
        assert step.until == due
        assert isinstance(next_step(queue, PATIENT, due), Dispatch)


@given(queues, times)
def test_an_unbatched_model_runs_one_request_at_a_time(queue: list[Queued], now: float) -> None:
    """Whatever waits, and whatever delay is set, the first request goes alone and at once."""
    assert next_step(queue, UNBATCHED, now) == Dispatch(1, Closed.SINGLE)


@pytest.mark.parametrize("policy", [POLICY, PATIENT, UNBATCHED])
def test_an_empty_queue_holds_until_a_request_arrives(policy: BatchPolicy) -> None:
    """With nothing waiting there is no time to wake up at."""
    assert next_step([], policy, now=5.0) == Hold(until=None)


@pytest.mark.parametrize(
    ("queue", "now", "step"),
    [
        ([Queued(3), Queued(2)], 0.0, Dispatch(2, Closed.EMPTY)),
        ([Queued(3), Queued(5)], 0.0, Dispatch(2, Closed.FULL)),
        ([Queued(3), Queued(6), Queued(1)], 0.0, Dispatch(1, Closed.FULL)),
        ([Queued(8), Queued(1)], 0.0, Dispatch(1, Closed.FULL)),
        ([Queued(1), Queued(1, "other")], 0.0, Dispatch(1, Closed.SHAPE)),
        ([Queued(1), Queued(1, "other"), Queued(1)], 0.0, Dispatch(1, Closed.SHAPE)),
    ],
    ids=["all that waits", "exactly full", "the next is too large", "full alone", "shape", "order"],
)
def test_the_reason_says_what_ended_the_batch(
    queue: list[Queued], now: float, step: Dispatch
) -> None:
    """Queue empty, full, or another shape next; a large request is not overtaken."""
    assert next_step(queue, POLICY, now) == step


@pytest.mark.parametrize(
    ("queue", "reason"),
    [
        ([Queued(8)], Closed.FULL),
        ([Queued(1), Queued(8)], Closed.FULL),
        ([Queued(1), Queued(1, "other")], Closed.SHAPE),
    ],
)
def test_a_batch_that_cannot_grow_does_not_wait_for_the_delay(
    queue: list[Queued], reason: Closed
) -> None:
    """A delay is for company that could still come; these batches can take none."""
    assert next_step(queue, PATIENT, now=0.0) == Dispatch(1, reason)


def test_the_first_request_holds_for_the_delay_and_then_runs() -> None:
    """The delay counts from the first arrival, and its end is the reason given."""
    queue = [Queued(arrived=10.0), Queued(arrived=10.4)]

    assert next_step(queue, PATIENT, now=10.4) == Hold(until=10.5)
    assert next_step(queue, PATIENT, now=10.5) == Dispatch(2, Closed.DELAY)


def test_a_short_deadline_shortens_the_wait_for_everyone() -> None:
    """Whoever has less time than the delay waits half of it, so that there is time left to run."""
    queue = [Queued(arrived=10.0), Queued(arrived=10.0, deadline=10.25)]

    assert next_step(queue, PATIENT, now=10.0) == Hold(until=10.125)
    assert next_step(queue, PATIENT, now=10.125) == Dispatch(2, Closed.DELAY)


def test_a_request_larger_than_a_batch_is_a_mistake_of_the_caller() -> None:
    """Requests are split before they are queued; one that was not would never run."""
    with pytest.raises(AssertionError, match="must be split before it is queued"):
        next_step([Queued(MAX_ROWS + 1)], POLICY, now=0.0)


@pytest.mark.parametrize("was_inline", [True, False])
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_chosen_execution_is_kept_whatever_is_measured(seconds: float, was_inline: bool) -> None:
    """The setting wins over the measurement."""
    for has_run in (True, False):
        assert runs_inline(Execution.INLINE, seconds, was_inline=was_inline, has_run=has_run)
        assert not runs_inline(Execution.THREAD, seconds, was_inline=was_inline, has_run=has_run)


@pytest.mark.parametrize(
    ("times_border", "was_inline", "expected"),
    [
        (0.5, True, True),
        (0.5, False, True),
        (1.0, False, False),
        (1.5, True, True),
        (1.5, False, False),
        (2.0, True, False),
        (9.0, True, False),
    ],
)
def test_a_model_near_the_border_stays_where_it_is(
    times_border: float, was_inline: bool, expected: bool
) -> None:
    """Below the border inline, above twice the border on a thread, between them as before."""
    seconds = times_border * INLINE_BELOW_SECONDS

    assert runs_inline(Execution.AUTO, seconds, was_inline=was_inline, has_run=True) is expected


@given(st.floats(0, 0.01))
def test_the_choice_does_not_swing_for_a_steady_run_time(seconds: float) -> None:
    """Choosing again with the same run time gives the same place."""
    for was_inline in (True, False):
        first = runs_inline(Execution.AUTO, seconds, was_inline=was_inline, has_run=True)

        assert runs_inline(Execution.AUTO, seconds, was_inline=first, has_run=True) is first


def test_what_has_answered_nobody_yet_runs_on_a_thread() -> None:
    """A model may hang on the first real rows, however quick its warm-up was."""
    assert not runs_inline(Execution.AUTO, 0.0, was_inline=True, has_run=False)
