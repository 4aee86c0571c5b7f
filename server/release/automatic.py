"""What follows by itself for a model now: from its release state, its gates, and the time.

Decides one action at a time, or that there is nothing to do:

    new version --> shadow --pass--> canary, step by step --pass--> live
                      |fail            |fail                          |requests fail
                      v                v                              v
                   refused          refused               previous version comes back

* Steps follow each other, and a canary that fails is ended, whoever started it. A model whose
  release is `automatic` also begins by itself, goes from shadow to canary, and is promoted; in any
  other, these are an operator's.
* Nothing that is not proven goes on: inconclusive gates, or gates without data, wait. When the time
  is up the release is held, for a person to look; it is neither promoted nor rolled back.
* A release that is held stays as it is, and what a person has ended does not come again.
* If it is the gateway that is in doubt, and not the candidate, the release is held.

Does not know how gates are judged (`gates.py`), nor how a change is made (`transitions.py`), which
has the last word. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.release.actions import Action, Verb
from server.release.checks import MAX_REASON_LENGTH
from server.release.gate_settings import CanarySettings, GateSettings
from server.release.gates import Report, Verdict
from server.release.route import Canary, ReleaseRoute, Shadow
from server.settings import ReleaseMode


@dataclass(frozen=True, slots=True)
class Newcomer:
    """The newest version of a model that could become live."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of a model besides its release state."""

    mode: ReleaseMode
    gates: GateSettings = field(default_factory=GateSettings)
    steps: CanarySettings = field(default_factory=CanarySettings)
    newcomer: Newcomer | None = None
    shadows: Mapping[str, Report] = field(default_factory=dict)
    """What the gates say of each shadow, by version."""
    canary: Report = field(default_factory=Report)
    canary_requests: int = 0
    """Requests that the canary has answered in its present step."""
    live: Report = field(default_factory=Report)
    """What the gates say of a live version that was promoted by itself; empty of any other."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and why."""

    action: Action
    reason: str


def next_decision(route: ReleaseRoute, situation: Situation, now_seconds: float) -> Decision | None:
    """Return what is to be done now; None if there is nothing to do but to wait."""
    if route.held or route.live is None:
        return None
    decision = _live(route, situation, now_seconds)
    if decision is None and situation.mode == "automatic":
        decision = _failed_shadow(route, situation)
    if decision is not None:
        return decision
    if route.canary is not None:
        return _canary(route.canary, situation, now_seconds)
    if situation.mode != "automatic":
        return None
    for shadow in route.shadows:
        decision = _shadow(shadow, situation, now_seconds)
        if decision is not None:
            return decision
    return None if route.shadows else _begin(route, situation)


def _live(route: ReleaseRoute, situation: Situation, now_seconds: float) -> Decision | None:
    """Bring the previous version back if requests fail soon after a promotion."""
    is_baking = now_seconds - route.live_since_seconds <= situation.steps.bake_seconds
    if route.previous is None or not is_baking or situation.live.verdict is not Verdict.FAIL:
        return None
    return _decide(Action(Verb.ROLLBACK), f"version '{route.live}'", situation.live)


def _failed_shadow(route: ReleaseRoute, situation: Situation) -> Decision | None:
    for shadow in route.shadows:
        report = situation.shadows.get(shadow.version, Report())
        if report.verdict is Verdict.FAIL:
            return _failed(shadow.version, "shadow", report)
    return None


def _canary(canary: Canary, situation: Situation, now_seconds: float) -> Decision | None:
    report, steps = situation.canary, situation.steps
    elapsed = now_seconds - canary.step_since_seconds
    if report.verdict is Verdict.FAIL:
        return _failed(canary.version, "canary", report)
    is_long_enough = elapsed >= steps.min_seconds
    is_asked_enough = situation.canary_requests >= steps.min_requests
    if report.verdict is Verdict.PASS and is_long_enough and is_asked_enough:
        return _passed(canary, situation)
    if elapsed < steps.max_seconds:
        return None
    step = f"step {canary.step + 1} of {len(canary.steps)} of canary '{canary.version}'"
    if not is_asked_enough:
        words = f"{step}: {situation.canary_requests} of {steps.min_requests} requests"
        return _hold(f"{words} in {elapsed:.0f} s")
    return _decide(Action(Verb.HOLD), f"{step}, after {elapsed:.0f} s", report)


def _passed(canary: Canary, situation: Situation) -> Decision | None:
    """Go to the next step, or promote after the last; a person may have to agree."""
    if canary.step + 1 < len(canary.steps):
        share = canary.steps[canary.step + 1] / 100
        return Decision(Action(Verb.NEXT_STEP), f"all gates pass; next {share:g} % of the requests")
    is_agreed = bool(canary.approved_by) or not canary.needs_approval
    if situation.mode != "automatic" or not is_agreed:
        return None
    return Decision(
        Action(Verb.PROMOTE, canary.version), "all gates pass, at the last step of the canary"
    )


def _shadow(shadow: Shadow, situation: Situation, now_seconds: float) -> Decision | None:
    report = situation.shadows.get(shadow.version, Report())
    elapsed = now_seconds - shadow.since_seconds
    if report.verdict is Verdict.PASS and elapsed >= situation.gates.min_seconds:
        steps = situation.steps
        action = Action(
            Verb.START_CANARY, shadow.version, steps=steps.steps, needs_approval=steps.approval
        )
        return Decision(action, "all gates pass, as a shadow")
    if report.verdict is Verdict.PASS or elapsed < situation.gates.max_seconds:
        return None
    place = f"shadow '{shadow.version}', after {elapsed:.0f} s"
    return _decide(Action(Verb.HOLD), place, report)


def _begin(route: ReleaseRoute, situation: Situation) -> Decision | None:
    one = situation.newcomer
    if one is None or one.digest in route.refused or one.version == route.live:
        return None
    action = Action(Verb.START_SHADOW, one.version, sample_bp=situation.gates.sample_bp)
    return Decision(action, "a new version")


def _failed(version: str, part: str, report: Report) -> Decision:
    """End a candidate that fails, or hold the release if the candidate is not to blame."""
    is_to_blame = any(reading.blames_candidate for reading in report.failed)
    action = Action(Verb.REFUSE, version) if is_to_blame else Action(Verb.HOLD)
    return _decide(action, f"{part} '{version}'", report)


def _decide(action: Action, place: str, report: Report) -> Decision:
    """Give as the reason what speaks against the candidate: failures alone, if there are any."""
    failed = tuple(reading.words for reading in report.failed)
    words = " | ".join(failed or report.unproven or ("nothing was seen of it",))
    return Decision(action, _cut(f"{place}: {words}"))


def _hold(reason: str) -> Decision:
    return Decision(Action(Verb.HOLD), _cut(reason))


def _cut(reason: str) -> str:
    if len(reason) <= MAX_REASON_LENGTH:
        return reason
    return reason[: MAX_REASON_LENGTH - 1] + "…"
