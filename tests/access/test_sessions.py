"""How long a session lasts, and how many there may be."""

import pytest

from server.access.sessions import MAX_SESSIONS, SESSION_SECONDS, Sessions, token_in


def test_a_session_stands_for_a_key_for_half_a_day() -> None:
    """Then its owner enters the key again."""
    sessions = Sessions()
    sessions.begin("token", "abcd0123", 0.0)

    assert sessions.key_id("token", SESSION_SECONDS - 1) == "abcd0123"
    assert sessions.key_id("token", SESSION_SECONDS) is None
    assert sessions.key_id("other", 0.0) is None
    assert sessions.key_id("", 0.0) is None


def test_a_session_can_be_ended() -> None:
    """By who has it; ending one that is not there does nothing."""
    sessions = Sessions()
    sessions.begin("token", "abcd0123", 0.0)
    sessions.end("other")
    sessions.end("token")

    assert sessions.key_id("token", 0.0) is None
    assert len(sessions) == 0


def test_the_oldest_goes_when_there_are_too_many() -> None:
    """Those that have ended by themselves go first."""
    sessions = Sessions()
    sessions.begin("ended", "a", -SESSION_SECONDS)
    for number in range(MAX_SESSIONS + 1):
        sessions.begin(str(number), "a", float(number))

    assert len(sessions) == MAX_SESSIONS
    assert sessions.key_id("0", 0.0) is None
    assert sessions.key_id("1", 0.0) == "a"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"tidegate_session=abc", "abc"),
        (b"a=b; tidegate_session=abc; c=d", "abc"),
        (b"a=b;tidegate_session=a=b", "a=b"),
        (b"xtidegate_session=abc", ""),
        (b"tidegate_session", ""),
        (b"", ""),
        (b"\xff", ""),
    ],
)
def test_the_token_is_found_among_other_cookies(header: bytes, token: str) -> None:
    """Other programs on the same host set cookies that we see."""
    assert token_in(header) == token
