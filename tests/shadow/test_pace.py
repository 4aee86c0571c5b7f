"""A candidate runs a little at a time, but never less than the live version did."""

from hypothesis import given
from hypothesis import strategies as st

from server.shadow.pace import REST_SECONDS, REST_SHARE, RUN_SECONDS, Pace


def test_rows_are_as_many_as_a_run_has_time_for() -> None:
    """Before anything is known, as many as the live version ran; never fewer."""
    pace = Pace()
    assert [pace.rows(live) for live in (0, 8)] == [1, 8]

    for _ in range(50):
        pace.note(10, 10 * RUN_SECONDS / 40)
    assert [pace.rows(live) for live in (1, 64)] == [40, 64]

    for _ in range(50):
        pace.note(1, 5 * RUN_SECONDS)
    assert [pace.rows(live) for live in (1, 64)] == [1, 64]


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0.0, 0.01)), max_size=30))
def test_a_rest_is_due_when_a_millisecond_was_run(runs: list[tuple[int, float]]) -> None:
    """It is a tenth of what was run since the last one, and a little."""
    pace, since = Pace(), 0.0
    for rows, seconds in runs:
        since += seconds
        is_due = since >= RUN_SECONDS
        expected = REST_SECONDS + REST_SHARE * since if is_due else 0.0
        assert pace.note(rows, seconds) == expected
        since = 0.0 if is_due else since
