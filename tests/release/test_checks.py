"""What a caller may ask of a release."""

import pytest

from server.errors import InvalidRequest
from server.release.checks import MAX_REASON_LENGTH, check_reason, check_share, check_steps


@pytest.mark.parametrize("steps", [(0,), (10_000,), (100, 500, 2500, 5000), tuple(range(20))])
def test_weights_that_rise_are_steps(steps: tuple[int, ...]) -> None:
    """From 0, at which only pinned requests reach the canary, to all."""
    check_steps(steps)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((), "steps: expected 1 to 20 weights, got 0"),
        (tuple(range(21)), "steps: expected 1 to 20 weights, got 21"),
        ((-1,), r"steps\[0\]: .* from 0 to 10000, got -1"),
        ((1, 10_001), r"steps\[1\]: .* from 0 to 10000, got 10001"),
        ((1, 2.5), r"steps\[1\]: .*, got 2.5"),
        ((True,), r"steps\[0\]: .*, got True"),
        (("9" * 99,), r"steps\[0\]: .*, got 9{50}$"),
        ((5, 5), r"steps\[1\]: expected more than 5, got 5"),
        ((5, 4), r"steps\[1\]: expected more than 5, got 4"),
    ],
)
def test_other_steps_are_refused_with_their_place(steps: tuple[int, ...], words: str) -> None:
    """The step that is wrong is named; a long value is cut."""
    with pytest.raises(InvalidRequest, match=words):
        check_steps(steps)


def test_a_share_is_a_whole_number_of_basis_points() -> None:
    """Both ends belong to it; the field is named."""
    check_share("sample_bp", 0)
    check_share("sample_bp", 10_000)
    with pytest.raises(InvalidRequest, match="sample_bp: expected a whole number"):
        check_share("sample_bp", 10_001)


def test_a_reason_has_a_length() -> None:
    """It is kept for ever."""
    check_reason("")
    check_reason("r" * MAX_REASON_LENGTH, is_needed=True)
    with pytest.raises(InvalidRequest, match="at most 500 characters, got 501"):
        check_reason("r" * (MAX_REASON_LENGTH + 1))
