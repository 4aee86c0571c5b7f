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


def test_the_first_full_batch_replaces_the_guess_and_later_ones_are_smoothed() -> None:
    """A warm-up with one row says little; a single slow batch is not the model's speed."""
    room = Room(RoomPolicy(8192, 0.25, 100), row_seconds=0.005)
    assert room.rows[NORMAL] == 100

    room.ran(100, 10.0, 10.01, is_full=True, is_behind=False)
    assert room.row_seconds == pytest.approx(0.0001)
    assert room.rows[NORMAL] == 2400

    room.ran(100, 20.0, 20.02, is_full=True, is_behind=False)
    assert room.row_seconds == pytest.approx(0.00012)


def test_a_batch_that_had_room_left_says_nothing() -> None:
    """What a run costs by itself must not be taken for what its rows cost."""
    room = Room(RoomPolicy(8192, 0.25, 100), row_seconds=0.0001)

    room.ran(1, 0.0, 0.005, is_full=False, is_behind=False)

    assert room.row_seconds == 0.0001


def test_while_others_wait_the_time_between_batches_counts_too() -> None:
    """From one end to the next one: what the loop and the cores did beside it is in it."""
    room = Room(RoomPolicy(8192, 0.25, 10), row_seconds=0.0)
    room.ran(10, 0.0, 1.0, is_full=True, is_behind=True)
    assert room.row_seconds == pytest.approx(0.1)

    room.ran(10, 2.0, 3.0, is_full=True, is_behind=False)
    assert room.row_seconds == pytest.approx(0.1 + 0.2 * (0.2 - 0.1))

    room.ran(10, 9.0, 10.0, is_full=True, is_behind=False)
    assert room.row_seconds == pytest.approx(0.12 + 0.2 * (0.1 - 0.12)), "it idled before"


@given(
    st.lists(
        st.tuples(
            st.integers(1, 100), st.floats(0, 10), st.floats(0, 10), st.booleans(), st.booleans()
        )
    )
)
def test_the_speed_stays_within_what_was_seen(
    batches: list[tuple[int, float, float, bool, bool]],
) -> None:
    """Whatever batches come, the estimate is a number and the rooms are in order."""
    room, now = Room(RoomPolicy(1000, 0.25, 100), row_seconds=0.0), 0.0
    for rows, idle, seconds, is_full, is_behind in batches:
        room.ran(rows, now + idle, now + idle + seconds, is_full=is_full, is_behind=is_behind)
        now += idle + seconds

        assert 0 <= room.row_seconds <= now
        assert room.rows == rows_that_may_wait(room.policy, room.row_seconds)


def test_the_wait_is_what_runs_still_and_what_is_ahead() -> None:
    """A run that takes longer than foreseen adds nothing: it may end at any moment."""
    room = Room(RoomPolicy(1000, 0.25, 10), row_seconds=0.01)

    assert room.wait_seconds(5, 0, 0.0) == pytest.approx(0.05)
    assert room.wait_seconds(5, 10, 0.04) == pytest.approx(0.11)
    assert room.wait_seconds(5, 10, 7.0) == pytest.approx(0.05)
    assert room.longest_seconds >= room.wait_seconds(room.rows[HIGH] + 10, 10, 0.0)
