"""What changes of a release have in common: the next generation, another live version, a refusal.

Decides what else changes when the live version does. Which changes are allowed is in
`transitions.py`. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from server.release.route import ReleaseRoute, Shadow

MAX_REFUSED = 100
"""Refused digests that are remembered; the oldest are forgotten first."""
ROLLED_BACK = "rolled back"
"""How the reason begins for which what was live before a roll back is refused."""
PASSED_OVER = "passed over"
"""How the reason begins for which the version policy does not bring a version back."""


def following(route: ReleaseRoute, **changes: Any) -> ReleaseRoute:
    """Return the route of the next generation."""
    return replace(route, generation=route.generation + 1, **changes)


def with_live(route: ReleaseRoute, version: str, digest: str, now_seconds: float) -> ReleaseRoute:
    """Return the route with another live version, or other files of the same."""
    epoch = str(route.generation + 1)
    after = following(
        route,
        live=version,
        live_digest=digest,
        live_since_seconds=now_seconds,
        shadows=tuple(
            replace(one, epoch=epoch, since_seconds=now_seconds)
            for one in without(route.shadows, version)
        ),
        refused={one: why for one, why in route.refused.items() if one != digest},
    )
    if version == route.live:
        canary = route.canary and replace(route.canary, epoch=epoch, step_since_seconds=now_seconds)
        return replace(after, canary=canary)
    return replace(after, previous=route.live, previous_digest=route.live_digest, canary=None)


def recounted(route: ReleaseRoute, now_seconds: float) -> ReleaseRoute:
    """Return the route with nothing seen of its shadows: they are held to other rules now."""
    epoch = str(route.generation + 1)
    shadows = (replace(one, epoch=epoch, since_seconds=now_seconds) for one in route.shadows)
    return following(route, shadows=tuple(shadows))


def without(shadows: Sequence[Shadow], version: str) -> tuple[Shadow, ...]:
    """Return the shadows but for that of a version."""
    return tuple(one for one in shadows if one.version != version)


def refusing(refused: Mapping[str, str], digest: str, why: str) -> dict[str, str]:
    """Return what is refused, with one digest more as the newest, and not too many."""
    others = [(one, reason) for one, reason in refused.items() if one != digest]
    return dict([*others, (digest, why)][-MAX_REFUSED:])


def stopped(reason: str) -> str:
    """Say why a candidate that an operator has stopped is refused."""
    return f"stopped by an operator: {reason}" if reason else "stopped by an operator"
