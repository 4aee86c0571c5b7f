"""What a caller may ask of a release: reasons, shares and steps within bounds.

Decides the bounds. Pure.
"""

from collections.abc import Sequence

from server.errors import InvalidRequest
from server.release.route import ALL_BP

MAX_STEPS = 20
MAX_REASON_LENGTH = 500


def check_reason(reason: str, *, is_needed: bool = False) -> None:
    """Refuse a reason that says nothing where one is needed, or too much.

    Raises:
        InvalidRequest: it is empty or too long.

    """
    if is_needed and not reason.strip():
        raise InvalidRequest("reason: expected a text that says why, got none")
    if len(reason) > MAX_REASON_LENGTH:
        raise InvalidRequest(
            f"reason: expected at most {MAX_REASON_LENGTH} characters, got {len(reason)}"
        )


def check_share(name: str, value: object) -> None:
    """Refuse what is no share in basis points; `name` is the field that it came in.

    Raises:
        InvalidRequest: it is none.

    """
    if type(value) is not int or not 0 <= value <= ALL_BP:
        raise InvalidRequest(
            f"{name}: expected a whole number of basis points from 0 to {ALL_BP}, "
            f"got {str(value)[:50]}"
        )


def check_steps(steps: Sequence[int]) -> None:
    """Refuse what are no weights of a canary, in basis points, that rise from step to step.

    Raises:
        InvalidRequest: they are none; names the step.

    """
    if not 1 <= len(steps) <= MAX_STEPS:
        raise InvalidRequest(f"steps: expected 1 to {MAX_STEPS} weights, got {len(steps)}")
    for position, weight in enumerate(steps):
        check_share(f"steps[{position}]", weight)
        # A weight that falls would send users back and forth between versions.
        if position and weight <= steps[position - 1]:
            raise InvalidRequest(
                f"steps[{position}]: expected more than {steps[position - 1]}, got {weight}"
            )
