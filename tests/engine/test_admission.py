"""Room: for request bytes in a process, and for rows in front of a model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.admission import Budget, Room, RoomPolicy, rows_that_may_wait
from server.protocol.priorities import HIGH, LOW, NORMAL

POLICIES = st.builds(
    RoomPolicy,
    queue_rows=st.integers(1, 100_000),
    max_queue_seconds=st.floats(0.001, 60),
    full_rows=st.integers(1, 4096),
)
ROW_SECONDS = st.floats(1e-7, 10)


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


@pytest.mark.parametrize(("models", "each"), [(1, 800), (2, 444), (3, 307)])
def test_models_that_want_everything_leave_something_to_another(models: int, each: int) -> None:
    """Alone four fifths, two 44 % each: a newcomer finds room whatever the others do."""
    budget, held = Budget(1000), [0] * models
    for _ in range(1000):
        for model in range(models):
            if budget.take(1, held[model]):
                held[model] += 1

    assert min(held) >= each - 1
    assert budget.take(50)


@given(st.integers(10, 1000), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50))))
def test_a_model_that_holds_nothing_is_refused_only_when_all_is_held(
    limit: int, requests: list[tuple[int, int]]
) -> None:
    """Whoever floods, the share rule refuses the flood and not the first request of a model."""
    budget, held = Budget(limit), [0] * 4
    for model, size in requests:
        fits = budget.used + size <= limit
        taken = budget.take(size, held[model])

        assert taken is fits or (held[model] and not taken)
        held[model] += size * taken
        assert budget.used == sum(held) <= limit


@given(POLICIES, ROW_SECONDS)
def test_as_many_rows_may_wait_as_can_be_taken_in_time(
    policy: RoomPolicy, row_seconds: float
) -> None:
    """At least what runs at once, so the model never idles; at most the bound in rows."""
    rooms = rows_that_may_wait(policy, row_seconds)
    normal = rooms[NORMAL]

    assert 1 <= rooms[LOW] <= normal <= rooms[HIGH] <= policy.queue_rows
    assert normal >= min(policy.full_rows, policy.queue_rows)
    if normal > policy.full_rows:
        waiting = (normal + policy.full_rows) * row_seconds
        assert waiting <= policy.max_queue_seconds * (1 + 1e-9)
        assert normal == policy.queue_rows or (
            waiting + row_seconds >= policy.max_queue_seconds * (1 - 1e-9)
        )


@given(POLICIES, ROW_SECONDS, st.floats(1, 100))
def test_a_slower_model_never_has_more_room(
    policy: RoomPolicy, row_seconds: float, times: float
) -> None:
    """More seconds a row, no more rows, for every priority."""
    quick = rows_that_may_wait(policy, row_seconds)
    slow = rows_that_may_wait(policy, row_seconds * times)

    assert all(one >= other for one, other in zip(quick, slow, strict=True))


def test_an_unknown_speed_leaves_the_bound_in_rows() -> None:
    """Nobody is refused for a wait that nobody knows."""
    assert rows_that_may_wait(RoomPolicy(100, 0.25, 8), 0.0) == (100, 100, 50)


def test_the_first_full_batch_replaces_a_guess_that_was_too_slow() -> None:
    """A warm-up with one row says how slow a row is at most."""
    room = Room(RoomPolicy(8192, 0.25, 100))
    assert room.rows[NORMAL] == 8192
    room.guess(0.005)
    assert room.rows[NORMAL] == 100

    room.ran(100, 0.01)
    assert room.row_seconds == pytest.approx(0.0001)
    assert room.rows[NORMAL] in (2399, 2400)


def test_a_model_that_gets_slower_is_believed_little_by_little() -> None:
    """One batch that took a hundred times as long is the machine; twenty of them are the model."""
    room = Room(RoomPolicy(8192, 0.25, 100))
    room.ran(100, 0.01)

    room.ran(100, 1.0)
    assert room.row_seconds == pytest.approx(0.00015)
    for _ in range(20):
        room.ran(100, 1.0)
    assert room.row_seconds == pytest.approx(0.01, rel=0.01)

    room.ran(100, 0.01)
    assert room.row_seconds == pytest.approx(0.005, rel=0.02)


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(1e-6, 10))))
def test_the_speed_stays_within_what_was_seen(batches: list[tuple[int, float]]) -> None:
    """Whatever batches come, the estimate lies between the quickest and the slowest of them."""
    room = Room(RoomPolicy(1000, 0.25, 100))
    room.guess(1.0)
    samples = [1.0]
    for rows, seconds in batches:
        room.ran(rows, seconds)
        samples.append(seconds / rows)

        assert min(samples) * 0.999 <= room.row_seconds <= max(samples) * 1.001
        rooms = [rows_that_may_wait(room.policy, room.row_seconds * by) for by in (1.06, 0.94)]
        assert all(
            least <= here <= most
            for least, here, most in zip(rooms[0], room.rows, rooms[1], strict=True)
        )


def test_the_wait_is_by_rows_once_full_batches_were_seen() -> None:
    """Before, batches are counted: a guess from one row must refuse nobody for the deadline."""
    room = Room(RoomPolicy(1000, 0.25, 10))
    room.guess(0.005)
    assert room.seconds_for(10, 0.006) == pytest.approx(0.006)
    assert room.seconds_for(11, 0.006) == pytest.approx(0.012)

    room.ran(10, 0.01)
    assert room.seconds_for(30, 0.006) == pytest.approx(0.03)
    assert room.longest_seconds >= room.seconds_for(room.rows[HIGH] + 20, 0.0)
