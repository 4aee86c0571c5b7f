"""The three classes of requests that overload tells apart, and how callers name them.

`priority` of a V2 request is Triton's: 1 is the highest, higher numbers are lower, 0 is the
default. Two classes beside the normal one are enough to say what is to be refused first.
"""

from typing import Final

from server.errors import InvalidRequest

# Plain integers, for they are looked up by on the hot path.
HIGH: Final = 0
NORMAL: Final = 1
LOW: Final = 2

HEADER = b"x-request-priority"
IN_BODY = b'"priority"'
"""What stands in every body that says a priority, whatever else it is."""

_WORDS = {b"high": HIGH, b"normal": NORMAL, b"low": LOW}


def in_header(value: bytes | None) -> int:
    """Read X-Request-Priority.

    Raises:
        InvalidRequest: it is none of the three words.

    """
    if value is None:
        return NORMAL
    found = _WORDS.get(value.lower())
    if found is None:
        raise InvalidRequest(
            f"X-Request-Priority must be high, normal or low, got '{value[:32].decode('latin-1')}'"
        )
    return found


def in_body(value: object) -> int | None:
    """Read the parameter `priority` of a V2 request; None if it says nothing.

    Raises:
        InvalidRequest: it is no whole number from 0.

    """
    if value is None or value == 0:
        return None
    if type(value) is not int or value < 0:
        raise InvalidRequest("parameter 'priority' must be a whole number from 0")
    return min(value, 3) - 1
