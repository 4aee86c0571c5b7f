"""Decide when a child that ended is started again, and when one that lives counts as stuck.

Nothing here starts, waits or reads a clock. `supervisor.py` carries the decisions out.
"""

from collections.abc import Sequence

BACK_OFF_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
FORGIVEN_AFTER_SECONDS = 60.0
START_SECONDS = 60.0
"""Time that a new child has for its first heartbeat."""

PAUSE_SECONDS = 1.0
"""A turn of the supervisor that takes longer than this means that it was paused itself."""


def restart_at(ends: Sequence[float], now: float) -> float:
    """Return when to start a child again whose latest ends were at `ends`, the last at `now`.

    The first end is answered at once; the more ends in a row, the longer the wait. A child that
    ran for FORGIVEN_AFTER_SECONDS starts with a clean slate.
    """
    recent = 0
    later = now
    for end in reversed(ends):
        if later - end > FORGIVEN_AFTER_SECONDS:
            break
        recent, later = recent + 1, end
    step = min(max(recent - 1, 0), len(BACK_OFF_SECONDS) - 1)
    return now + BACK_OFF_SECONDS[step]


def is_excused(*, was_serving: bool, max_version_faults: int) -> bool:
    """Say whether an end has the next start wait no longer.

    A worker that died of a request is started at once, because the version that killed it is held
    to a number of faults. Where it is held to none, only the wait keeps a core from being spent on
    starts.
    """
    return was_serving and max_version_faults > 0


def was_paused(last_turn: float, now: float) -> bool:
    """Say whether the supervisor did not run for a while: a frozen container, a suspended job.

    Its children may have been paused with it, so their silence until now means nothing.
    """
    return now - last_turn > PAUSE_SECONDS


def is_stuck(
    started: float,
    last_beat: float | None,
    stuck_seconds: float,
    now: float,
    starved_seconds: float = 0.0,
) -> bool:
    """Say whether a living child's event loop has stopped turning.

    For `starved_seconds` of its silence it would have run, but the machine had others to run: a
    child that is replaced for that has to start anew, on a machine that is busier than before.
    """
    if last_beat is None:
        return now - started - starved_seconds > max(START_SECONDS, stuck_seconds)
    return now - last_beat - starved_seconds > stuck_seconds
