"""What may be asked of a release, as one value; and the change that carries it out.

Decides which change goes by which verb, and two things that a change by itself does not know: a
roll back is not to be undone by a second one by mistake, and a version that an operator passes
over does not take over by itself a moment later. Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from server.errors import InvalidRequest
from server.operator_errors import ReleaseRefused
from server.release import faults, transitions
from server.release.candidate import Candidate
from server.release.checks import check_reason
from server.release.route import ALL_BP, DEFAULT_STEPS, ReleaseRoute
from server.release.succession import PASSED_OVER, ROLLED_BACK, recounted, refusing

AUTOMATIC = "automatic"
"""The actor of changes that gates ask for."""


class Verb(StrEnum):
    """What may be asked; also what the audit calls it."""

    SET_LIVE = "set_live"
    """By the version policy only."""
    FALL_BACK = "fall_back"
    """Because the live version cannot be served."""
    FAIL = "fail"
    """Because a version crashes or hangs."""
    FORGIVE = "forgive"
    """Because an operator has loaded versions again that failed."""
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    START_SHADOW = "start_shadow"
    STOP_SHADOW = "stop_shadow"
    START_CANARY = "start_canary"
    NEXT_STEP = "next_step"
    STOP_CANARY = "stop_canary"
    HOLD = "hold"
    RESUME = "resume"
    APPROVE = "approve"
    REFUSE = "refuse"
    RECOUNT = "recount"
    """Because shadows are compared by other rules than before."""


NEEDS_CANDIDATE = frozenset(
    {Verb.SET_LIVE, Verb.FAIL, Verb.PROMOTE, Verb.START_SHADOW, Verb.START_CANARY}
)
"""Verbs that are about a version which has to be fit for it."""

NEEDS_VERSION = NEEDS_CANDIDATE | {Verb.STOP_SHADOW, Verb.REFUSE}


@dataclass(frozen=True, slots=True)
class Action:
    """A verb and what goes with it."""

    verb: Verb
    version: str | None = None
    sample_bp: int = ALL_BP
    """For a shadow."""
    steps: tuple[int, ...] = DEFAULT_STEPS
    """For a canary."""
    needs_approval: bool = False
    """For a canary: whether a second person must agree to its promotion."""
    override: bool = False
    """For a promotion: whether what gates and tensors say is passed over."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, why and when."""

    actor: str
    reason: str
    now_seconds: float

    @property
    def is_automatic(self) -> bool:
        """Whether gates ask, and no person."""
        return self.actor == AUTOMATIC


def carry_out(
    route: ReleaseRoute, action: Action, candidate: Candidate | None, asked: Asked
) -> ReleaseRoute:
    """Return the state that follows; `candidate` is what is known of the action's version.

    Raises:
        InvalidRequest: a field of the action, or the reason, cannot be.
        ReleaseRefused: with all that is in the way.

    """
    check_reason(asked.reason)
    if action.verb in NEEDS_VERSION and action.version is None:
        raise InvalidRequest("version: expected the number of a version, got none")
    if action.verb not in NEEDS_CANDIDATE:
        return _CHANGES[action.verb](route, action, asked)
    assert candidate is not None, "whoever asks for a part brings what is known of the version"
    return _PARTS[action.verb](route, action, candidate, asked)


_CHANGES: Mapping[Verb, Callable[[ReleaseRoute, Action, Asked], ReleaseRoute]] = {
    Verb.FALL_BACK: lambda route, _, asked: transitions.fall_back(
        route, now_seconds=asked.now_seconds
    ),
    Verb.FORGIVE: lambda route, _action, _asked: faults.forgive(route),
    Verb.ROLLBACK: lambda route, _, asked: transitions.rollback(
        route, now_seconds=asked.now_seconds, reason=asked.reason
    ),
    Verb.STOP_SHADOW: lambda route, action, asked: transitions.stop_shadow(
        route, action.version or "", reason=asked.reason
    ),
    Verb.NEXT_STEP: lambda route, _, asked: transitions.next_step(
        route, now_seconds=asked.now_seconds, is_automatic=asked.is_automatic
    ),
    Verb.STOP_CANARY: lambda route, _, asked: transitions.stop_canary(route, reason=asked.reason),
    Verb.HOLD: lambda route, _, asked: transitions.hold(route, reason=asked.reason),
    Verb.RESUME: lambda route, _, asked: transitions.resume(route, now_seconds=asked.now_seconds),
    Verb.APPROVE: lambda route, _, asked: transitions.approve(route, actor=asked.actor),
    Verb.REFUSE: lambda route, action, asked: transitions.refuse(
        route, action.version or "", reason=asked.reason
    ),
    Verb.RECOUNT: lambda route, _, asked: recounted(route, asked.now_seconds),
}
_PARTS: Mapping[Verb, Callable[[ReleaseRoute, Action, Candidate, Asked], ReleaseRoute]] = {
    Verb.SET_LIVE: lambda route, _, candidate, asked: transitions.set_live(
        route, candidate, now_seconds=asked.now_seconds
    ),
    Verb.FAIL: lambda route, _, candidate, asked: faults.fail(route, candidate, asked.reason),
    Verb.PROMOTE: lambda route, action, candidate, asked: transitions.promote(
        route,
        candidate,
        now_seconds=asked.now_seconds,
        reason=asked.reason,
        override=action.override,
        is_automatic=asked.is_automatic,
    ),
    Verb.START_SHADOW: lambda route, action, candidate, asked: transitions.start_shadow(
        route,
        candidate,
        now_seconds=asked.now_seconds,
        sample_bp=action.sample_bp,
        is_automatic=asked.is_automatic,
    ),
    Verb.START_CANARY: lambda route, action, candidate, asked: transitions.start_canary(
        route,
        candidate,
        now_seconds=asked.now_seconds,
        steps=action.steps,
        approval_of=asked.actor if action.needs_approval else None,
        is_automatic=asked.is_automatic,
    ),
}


def refuse_second_rollback(route: ReleaseRoute) -> None:
    """Refuse to go back to a version that was itself rolled back, if nobody has looked.

    Two people who roll back at once, or a client that tries again, would bring back what both
    wanted to be rid of. Whoever names the generation has looked, and is not asked. What was refused
    for another reason, as a canary that was stopped, may well be what one goes back to.

    Raises:
        ReleaseRefused: the previous version was rolled back.

    """
    why = route.refused.get(route.previous_digest)
    if route.previous is not None and why is not None and why.startswith(ROLLED_BACK):
        missing = [f"version '{route.previous}' was {why}"]
        raise ReleaseRefused(
            f"model '{route.model}': cannot roll back again: {missing[0]}; version "
            f"'{route.live}' is live. Name the generation, or promote, if that is what you want",
            missing=missing,
        )


def passing_over(route: ReleaseRoute, digests: Iterable[str]) -> ReleaseRoute:
    """Return a route that an operator has changed, in which these files are refused.

    With `release = latest`, a version that the policy prefers to the promoted one would take over
    again at once. Changes no generation: it belongs to the promotion.
    """
    refused = route.refused
    for digest in digests:
        if digest not in refused and digest != route.live_digest:
            words = f"{PASSED_OVER}: an operator promoted version '{route.live}'"
            refused = refusing(refused, digest, words)
    return replace(route, refused=refused)
