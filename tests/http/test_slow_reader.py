"""When a client that does not read is slow, and when it is stuck."""

from server.http.slow_reader import SLOW_SECONDS, SlowReader


def test_a_client_is_stuck_when_it_has_read_nothing_for_too_long() -> None:
    """Any progress starts the time anew; without it the limit holds."""
    slow = SlowReader()
    slow.begin(10.0)

    assert not slow.is_stuck(20.0, 5000, 30.0)
    assert not slow.is_stuck(49.0, 4000, 30.0)
    assert not slow.is_stuck(79.0, 4000, 30.0)
    assert slow.is_stuck(79.1, 4000, 30.0)


def test_asking_begins_the_time_of_who_was_not_slow() -> None:
    """A connection that closes with bytes unread has its limit from then on."""
    slow = SlowReader()

    assert not slow.is_stuck(1000.0, 10, 30.0)
    assert slow.is_stuck(1030.1, 10, 30.0)


def test_a_client_is_slow_after_a_while_and_not_when_it_has_caught_up() -> None:
    """Everybody is behind for a moment; slow is who stays behind, though it reads a little."""
    slow = SlowReader()
    never = slow.is_slow(1000.0)
    slow.begin(10.0)
    early, late = slow.is_slow(10.0), slow.is_slow(10.0 + SLOW_SECONDS)
    slow.is_stuck(12.0, 1, 30.0)
    still = slow.is_slow(12.0)
    slow.since = None

    assert (never, early, late, still, slow.is_slow(13.0)) == (False, False, True, True, False)
