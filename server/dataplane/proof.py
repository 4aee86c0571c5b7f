"""Decide whether a version has shown that it answers, and when to ask it.

An answer to a caller is proof enough. A version that has given none for a while is asked with a
row of our own, through its real queue; a slow one is asked less often, so that asking takes at
most 2 % of a core. One that has answered nobody, us included, in twice that time is not ready. At
rest that is four seconds between answers, and ten until it is not ready.

Overload does not make a version unready: one that sheds most of its requests still answers the
others, and a server that is taken out for being busy leaves its load to the next one.
"""

PROBE_SECONDS = 4.0
"""Time without an answer after which a version is asked."""
STALE_SECONDS = 10.0
"""Time without an answer after which it is not ready."""
_COST = 50.0
"""A probe takes at most one part in so many of the time."""


def is_due(age_seconds: float, typical_seconds: float) -> bool:
    """Say whether to ask a version whose last answer is so old, and which usually takes so long."""
    return age_seconds >= max(PROBE_SECONDS, _COST * typical_seconds)


def is_stale(age_seconds: float, typical_seconds: float) -> bool:
    """Say whether a version has not answered for too long."""
    return age_seconds > max(STALE_SECONDS, 2 * _COST * typical_seconds)


def patience_seconds(typical_seconds: float) -> float:
    """Return how long a probe may take, waiting included."""
    return STALE_SECONDS / 2 + 10 * typical_seconds
