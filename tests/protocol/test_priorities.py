"""Priorities that callers name: Triton's numbers in the body, words in the header."""

import pytest

from server.errors import InvalidRequest
from server.protocol.priorities import HIGH, LOW, NORMAL, in_body, in_header


@pytest.mark.parametrize(
    ("value", "priority"),
    [(None, NORMAL), (b"high", HIGH), (b"normal", NORMAL), (b"low", LOW), (b"LOW", LOW)],
)
def test_the_header_has_three_words(value: bytes | None, priority: int) -> None:
    """Without it a request is a normal one."""
    assert in_header(value) == priority


@pytest.mark.parametrize("value", [b"", b"1", b"urgent", b"high,low", b" high"])
def test_any_other_word_is_told_to_the_caller(value: bytes) -> None:
    """It is our own header: whoever writes it means something that we should not guess."""
    with pytest.raises(InvalidRequest, match="X-Request-Priority must be high, normal or low"):
        in_header(value)


@pytest.mark.parametrize(
    ("value", "priority"),
    [(None, None), (0, None), (1, HIGH), (2, NORMAL), (3, LOW), (4, LOW), (2**64, LOW)],
)
def test_numbers_are_tritons(value: object, priority: int | None) -> None:
    """1 is the highest, higher numbers are lower, 0 is the default."""
    assert in_body(value) == priority


@pytest.mark.parametrize("value", [-1, 1.0, "1", True, "high"])
def test_what_is_no_number_of_a_class_is_refused(value: object) -> None:
    """A priority that would silently be another one helps nobody."""
    with pytest.raises(InvalidRequest, match="'priority' must be a whole number from 0"):
        in_body(value)
