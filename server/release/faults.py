"""When a version that crashes or hangs is taken out, and what that makes of the release.

Decides how many faults are too many, and which files are served no more: those that the release
state refuses because they failed. It is refused until an operator loads it again; then it may be
chosen by an operator, and does not become anything by itself. Which version answers instead is for
`repository/policy.py`, as for any version that cannot be served. Pure.
"""

from collections.abc import Sequence
from dataclasses import replace

from server.release.candidate import Candidate
from server.release.route import ReleaseRoute
from server.release.succession import following, refusing, without

WINDOW_SECONDS = 120.0
"""Faults further apart than this do not add up. A version that hangs for half a minute each time
has its three well within it."""

FAILED = "taken out"
"""How the reason begins for which files are refused that failed."""
FIX = "find out why and put a new version; a load call has these files served again"


def recent(faults: Sequence[float], now: float) -> list[float]:
    """Return the times of faults that still count; a clock that was set back counts none twice."""
    return [at for at in faults if 0.0 <= now - at <= WINDOW_SECONDS]


def is_too_many(count: int, limit: int) -> bool:
    """Say whether a version with `count` recent faults is to be taken out; limit 0 is none."""
    return 0 < limit <= count


def reason(kinds: Sequence[str]) -> str:
    """Say for what a version is taken out, from the kinds of its faults in order."""
    each = [f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))]
    words = " and ".join(f"{one}{'' if one.startswith('1 ') else _plural(one)}" for one in each)
    return f"{words} within {WINDOW_SECONDS:.0f} seconds"


def _plural(word: str) -> str:
    return "es" if word.endswith("sh") else "s"


def fail(route: ReleaseRoute, candidate: Candidate, why: str) -> ReleaseRoute:
    """Have a version's files served no more, whatever part they have.

    The live version stays what the release state says until another one is ready to take over.
    """
    refused = refusing(route.refused, candidate.digest, f"{FAILED}: {why}")
    canary = route.canary
    return following(
        route,
        canary=None if canary is not None and canary.version == candidate.version else canary,
        shadows=without(route.shadows, candidate.version),
        refused=refused,
    )


def forgive(route: ReleaseRoute) -> ReleaseRoute:
    """Let files that failed be served again, because an operator has loaded them."""
    refused = {
        digest: f"loaded again after it was {why}" if why.startswith(FAILED) else why
        for digest, why in route.refused.items()
    }
    return replace(following(route), refused=refused)


def failure(route: ReleaseRoute, digest: str) -> str:
    """Return why files are not served although nothing is wrong with them; empty if they are."""
    why = route.refused.get(digest, "")
    return why if why.startswith(FAILED) else ""
