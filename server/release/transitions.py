"""How one release state follows another: every change that there is, and what is in its way.

A change is a function from one state to the next, whose generation is higher by one. Rules that
hold whatever the order of changes:

1. The live version is neither canary nor shadow, and is not its own predecessor.
2. A roll back needs a previous version and nothing else.
3. There is one canary at most; while it runs, no other version becomes live, except by roll back.
4. Nothing goes on by itself while the route is held, and no version that was refused.
5. Evidence is about a pair of versions: when either changes, a new epoch begins. Epochs go by the
   generation in which they began.

`is_automatic` marks a change that no operator has asked for. Does not know which versions there
are, what a gate says, or how a state is kept: whoever asks for a change brings the facts. Pure.
"""

from collections.abc import Sequence
from dataclasses import replace

from server.operator_errors import StaleGeneration
from server.release.candidate import Candidate
from server.release.checks import check_reason, check_share, check_steps
from server.release.obstacles import (
    allow,
    canary_obstacles,
    held_obstacles,
    live_obstacles,
    obstacles,
    refused_obstacles,
    trial_obstacles,
)
from server.release.route import ALL_BP, DEFAULT_STEPS, Canary, ReleaseRoute, Shadow
from server.release.succession import ROLLED_BACK, following, refusing, stopped, with_live, without

MAX_SHADOWS = 4


def expect(route: ReleaseRoute, generation: int | None) -> None:
    """Hold a caller to the generation that it has looked at; None looks at nothing.

    Raises:
        StaleGeneration: the route has another.

    """
    if generation is not None and generation != route.generation:
        raise StaleGeneration(
            f"the release of model '{route.model}' is at generation {route.generation}, "
            f"expected {generation}"
        )


# The live version.


def set_live(route: ReleaseRoute, candidate: Candidate, *, now_seconds: float) -> ReleaseRoute:
    """Let the policy make a version live: the first one, a newer one, or new files of the same.

    Raises:
        ReleaseRefused: it was refused before, is not loaded, or the route is held or busy.

    """
    missing = obstacles(candidate, must_be_loaded=True, must_be_compatible=False)
    missing += refused_obstacles(route, candidate)
    if route.live not in (None, candidate.version):
        missing += held_obstacles(route)
        if route.canary is not None:
            missing.append(f"version '{route.canary.version}' is the canary")
    missing += live_obstacles(route, candidate)
    allow(route, f"make version '{candidate.version}' live", missing)
    return with_live(route, candidate.version, candidate.digest, now_seconds)


def promote(
    route: ReleaseRoute,
    candidate: Candidate,
    *,
    now_seconds: float,
    reason: str,
    override: bool = False,
    is_automatic: bool = False,
) -> ReleaseRoute:
    """Make a version live; what was live becomes `previous`.

    An operator may `override` gates that have not passed, and tensors that differ. Nobody can
    override that it is not loaded, that another version is the canary, or a second person's
    approval that is asked for.

    Raises:
        InvalidRequest: there is no reason, or it is too long.
        ReleaseRefused: with all that is in the way.

    """
    check_reason(reason, is_needed=True)
    may_override = override and not is_automatic
    missing = live_obstacles(route, candidate)
    missing += obstacles(candidate, must_be_loaded=True, must_be_compatible=not may_override)
    if not may_override:
        missing.extend(candidate.unproven)
    missing += canary_obstacles(route, candidate)
    if is_automatic:
        missing += held_obstacles(route) + refused_obstacles(route, candidate)
    allow(route, f"promote version '{candidate.version}'", missing)
    return with_live(route, candidate.version, candidate.digest, now_seconds)


def rollback(route: ReleaseRoute, *, now_seconds: float, reason: str = "") -> ReleaseRoute:
    """Bring the previous version back. The one that was live does not come again by itself.

    Raises:
        InvalidRequest: the reason is too long.
        ReleaseRefused: there is no previous version.

    """
    check_reason(reason)
    after = fall_back(route, now_seconds=now_seconds)
    words = f"{ROLLED_BACK}: {reason}" if reason else ROLLED_BACK
    return replace(after, refused=refusing(after.refused, route.live_digest, words))


def fall_back(route: ReleaseRoute, *, now_seconds: float) -> ReleaseRoute:
    """Let the previous version answer because the live one cannot, which is nobody's verdict.

    Raises:
        ReleaseRefused: there is no previous version.

    """
    missing = [] if route.previous is not None else ["there is no previous version"]
    allow(route, "roll back", missing)
    assert route.previous is not None
    return with_live(route, route.previous, route.previous_digest, now_seconds)


# Candidates.


def start_shadow(
    route: ReleaseRoute,
    candidate: Candidate,
    *,
    now_seconds: float,
    sample_bp: int = ALL_BP,
    is_automatic: bool = False,
) -> ReleaseRoute:
    """Run a version on copies of live batches, or change how many it is run on.

    Raises:
        InvalidRequest: `sample_bp` is no share.
        ReleaseRefused: with all that is in the way.

    """
    check_share("sample_bp", sample_bp)
    generation = route.generation + 1
    shadow = Shadow(
        candidate.version, candidate.digest, sample_bp, str(generation), since_seconds=now_seconds
    )
    others = []
    for one in route.shadows:
        if one.version != candidate.version:
            others.append(one)
        elif one.digest == candidate.digest:
            shadow = replace(one, sample_bp=sample_bp)
    missing = trial_obstacles(route, candidate, is_automatic=is_automatic)
    missing += obstacles(candidate, must_be_loaded=False)
    if len(others) >= MAX_SHADOWS:
        missing.append(f"there are {MAX_SHADOWS} shadows, which is the limit")
    allow(route, f"shadow version '{candidate.version}'", missing)
    return following(route, shadows=(*others, shadow))


def stop_shadow(route: ReleaseRoute, version: str, *, reason: str = "") -> ReleaseRoute:
    """Let an operator end a shadow, which then does not begin again by itself.

    Raises:
        InvalidRequest: the reason is too long.
        ReleaseRefused: the version is no shadow.

    """
    check_reason(reason)
    digests = [one.digest for one in route.shadows if one.version == version]
    allow(route, f"stop shadowing version '{version}'", [] if digests else ["it is no shadow"])
    refused = refusing(route.refused, digests[0], stopped(reason))
    return following(route, shadows=without(route.shadows, version), refused=refused)


def start_canary(
    route: ReleaseRoute,
    candidate: Candidate,
    *,
    now_seconds: float,
    steps: Sequence[int] = DEFAULT_STEPS,
    approval_of: str | None = None,
    is_automatic: bool = False,
) -> ReleaseRoute:
    """Let a version answer the share of requests that its first step says.

    `approval_of` names who asks, if a second person must agree to its promotion.

    Raises:
        InvalidRequest: the steps are not weights that rise.
        ReleaseRefused: with all that is in the way.

    """
    check_steps(steps)
    missing = trial_obstacles(route, candidate, is_automatic=is_automatic)
    missing += obstacles(candidate, must_be_loaded=True)
    if route.canary is not None:
        missing.append(f"version '{route.canary.version}' is the canary")
    allow(route, f"make version '{candidate.version}' the canary", missing)
    generation = route.generation + 1
    canary = Canary(
        version=candidate.version,
        digest=candidate.digest,
        steps=tuple(steps),
        step=0,
        step_since_seconds=now_seconds,
        epoch=str(generation),
        # Another one for each canary, else the same users would always be the first to try.
        salt=f"{route.model}/{generation}",
        needs_approval=approval_of is not None,
        requested_by=approval_of or "",
    )
    return following(route, canary=canary)


def next_step(
    route: ReleaseRoute, *, now_seconds: float, is_automatic: bool = False
) -> ReleaseRoute:
    """Raise the canary's weight to that of its next step.

    Raises:
        ReleaseRefused: there is no canary, it is at its last step, or the route is held.

    """
    canary = route.canary
    missing = held_obstacles(route) if is_automatic else []
    if canary is None:
        missing.append("there is no canary")
    elif canary.step + 1 >= len(canary.steps):
        missing.append(f"version '{canary.version}' is at its last step")
    allow(route, "go to the next step", missing)
    assert canary is not None
    return following(
        route, canary=replace(canary, step=canary.step + 1, step_since_seconds=now_seconds)
    )


def stop_canary(route: ReleaseRoute, *, reason: str = "") -> ReleaseRoute:
    """Let an operator end the canary, which then does not come again by itself.

    Raises:
        InvalidRequest: the reason is too long.
        ReleaseRefused: there is no canary.

    """
    check_reason(reason)
    canary = route.canary
    allow(route, "stop the canary", [] if canary is not None else ["there is no canary"])
    assert canary is not None
    refused = refusing(route.refused, canary.digest, stopped(reason))
    return following(route, canary=None, refused=refused)


def refuse(route: ReleaseRoute, version: str, *, reason: str) -> ReleaseRoute:
    """End all that a candidate is, canary and shadow, because a gate or a person says no.

    The route is not held by this: another version may be tried.

    Raises:
        InvalidRequest: there is no reason, or it is too long.
        ReleaseRefused: the version is no candidate.

    """
    check_reason(reason, is_needed=True)
    parts = [one for one in (route.canary, *route.shadows) if one and one.version == version]
    missing = [] if parts else ["it is neither canary nor shadow"]
    allow(route, f"refuse version '{version}'", missing)
    refused = route.refused
    for one in parts:
        refused = refusing(refused, one.digest, reason)
    return following(
        route,
        canary=None if route.canary in parts else route.canary,
        shadows=without(route.shadows, version),
        refused=refused,
    )


def approve(route: ReleaseRoute, *, actor: str) -> ReleaseRoute:
    """Note that a second person agrees to the promotion of the canary.

    Raises:
        ReleaseRefused: no approval is asked for or missing, or it is the same person.

    """
    canary, missing = route.canary, []
    if canary is None:
        missing.append("there is no canary")
    elif not canary.needs_approval:
        missing.append(f"version '{canary.version}' needs no approval")
    elif canary.approved_by:
        missing.append(f"version '{canary.version}' was approved by {canary.approved_by}")
    elif actor in ("", canary.requested_by):
        missing.append(f"someone other than {canary.requested_by or 'whoever asked'} must approve")
    allow(route, "approve", missing)
    assert canary is not None
    return following(route, canary=replace(canary, approved_by=actor))


# What goes on by itself.


def hold(route: ReleaseRoute, *, reason: str) -> ReleaseRoute:
    """Stop all that goes on by itself; who answers what stays as it is.

    Raises:
        InvalidRequest: there is no reason, or it is too long.
        ReleaseRefused: the route is held already.

    """
    check_reason(reason, is_needed=True)
    allow(route, "hold", held_obstacles(route))
    return following(route, held=reason)


def resume(route: ReleaseRoute, *, now_seconds: float) -> ReleaseRoute:
    """Let things go on by themselves again; the time of a step and of a shadow starts anew.

    Raises:
        ReleaseRefused: the route is not held.

    """
    allow(route, "resume", [] if route.held else ["it is not held"])
    canary = route.canary and replace(route.canary, step_since_seconds=now_seconds)
    shadows = tuple(replace(one, since_seconds=now_seconds) for one in route.shadows)
    return following(route, held="", canary=canary, shadows=shadows)
