"""Decide what becomes of a run that does not come back.

A run is broken off when nobody waits for it any more, or when it has taken far longer than its
model usually does. ONNX Runtime hears that between two nodes of a graph; a node that computes for
ever does not, so a run that goes on all the same is given up, and with it the thread that it is
on: only another process helps then. `runs.py` and `watchdog.py` carry this out.
"""

from enum import StrEnum

FAR_LONGER = 10.0
"""A run that takes so many times what is usual may hang."""
INLINE_LIMIT_SECONDS = 1.0
"""How long a model that usually takes under a millisecond may keep the event loop."""
GIVE_UP_SECONDS = 2.0
"""How long a run may go on after it was broken off."""
_SHORTEST_HANG_SECONDS = 1.0
_STALLED_SECONDS = 0.1


class Step(StrEnum):
    """What to do about a run."""

    WAIT = "wait"
    TERMINATE = "terminate"
    GIVE_UP = "give_up"


def next_step(
    ran_seconds: float,
    limit_seconds: float,
    *,
    is_wanted: bool,
    terminated_seconds: float | None,
) -> Step:
    """Say what to do about a run that has gone on for `ran_seconds`.

    `is_wanted`: somebody still waits for its answer. `terminated_seconds`: how long ago it was
    broken off, None if it was not.
    """
    if terminated_seconds is not None:
        return Step.GIVE_UP if terminated_seconds >= GIVE_UP_SECONDS else Step.WAIT
    return Step.WAIT if is_wanted and ran_seconds < limit_seconds else Step.TERMINATE


def limit_seconds(hang_kill_seconds: float, typical_seconds: float) -> float:
    """Return how long a run may take: what is set, but never what a slow model may need."""
    return max(hang_kill_seconds, FAR_LONGER * typical_seconds)


def was_hanging(ran_seconds: float, typical_seconds: float) -> bool:
    """Say whether a run that was broken off hung, rather than that its callers were hasty."""
    return ran_seconds >= limit_seconds(_SHORTEST_HANG_SECONDS, typical_seconds)


def is_stalled(ran_seconds: float, typical_seconds: float) -> bool:
    """Say whether a run takes so long that its members are better off elsewhere, if they may go."""
    return ran_seconds >= limit_seconds(_STALLED_SECONDS, typical_seconds)
