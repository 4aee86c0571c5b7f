"""What stands in the way of a change, in words: each function returns all that it finds.

Decides what forbids what, for a version by itself and within a release state. Which change asks
what is in `transitions.py`. Pure.
"""

from collections.abc import Sequence

from server.operator_errors import ReleaseRefused
from server.release.candidate import Candidate
from server.release.route import ReleaseRoute


def allow(route: ReleaseRoute, action: str, missing: Sequence[str]) -> None:
    """Let a change pass, or say all that is in its way.

    Raises:
        ReleaseRefused: something is.

    """
    if missing:
        raise ReleaseRefused(
            f"model '{route.model}': cannot {action}: {'; '.join(missing)}", missing=missing
        )


def obstacles(
    candidate: Candidate, *, must_be_loaded: bool, must_be_compatible: bool = True
) -> list[str]:
    """Say what keeps a version from taking a part, whatever the release state."""
    found = []
    if candidate.problem:
        found.append(f"it cannot be served: {candidate.problem}")
    elif must_be_loaded and not candidate.is_loaded:
        found.append("it is not loaded by every worker")
    if must_be_compatible:
        found.extend(candidate.incompatible)
    return found


def held_obstacles(route: ReleaseRoute) -> list[str]:
    """Say why nothing goes on by itself."""
    return [f"the release is held: {route.held}"] if route.held else []


def refused_obstacles(route: ReleaseRoute, candidate: Candidate) -> list[str]:
    """Say why these files do not become anything by themselves."""
    why = route.refused.get(candidate.digest)
    return [] if why is None else [f"it was refused: {why}"]


def live_obstacles(route: ReleaseRoute, candidate: Candidate) -> list[str]:
    """Say that these files are live already."""
    is_live = (route.live, route.live_digest) == (candidate.version, candidate.digest)
    return ["it is live"] if is_live else []


def trial_obstacles(route: ReleaseRoute, candidate: Candidate, *, is_automatic: bool) -> list[str]:
    """Say why a version cannot be held against the live one."""
    missing = []
    if route.live is None:
        missing.append("there is no live version to compare it with")
    elif candidate.version == route.live:
        missing.append("it is live")
    if is_automatic:
        missing += held_obstacles(route) + refused_obstacles(route, candidate)
    return missing


def canary_obstacles(route: ReleaseRoute, candidate: Candidate) -> list[str]:
    """Say what a canary that runs has against the promotion of a version."""
    canary = route.canary
    if canary is None:
        return []
    if canary.version != candidate.version:
        return [f"version '{canary.version}' is the canary"]
    if canary.digest != candidate.digest:
        return ["its files are not those that the canary began with"]
    if canary.needs_approval and not canary.approved_by:
        return [f"someone other than {canary.requested_by or 'whoever asked'} must approve"]
    return []
