"""The state of each version of a model, from the release state and what is known of its files.

    registered -> loaded -> shadow -> canary -> live -> previous -> retired
        |                      |         |       |
        v                      +---------+-------+--> held
      failed

Decides which word fits when several do: what a version does now comes before what has become of it.
Does not change anything: how a version gets from state to state is in `transitions.py`. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from server.release.candidate import Candidate
from server.release.route import Canary, ReleaseRoute, Shadow
from server.release.succession import PASSED_OVER


class State(StrEnum):
    """What a version is to its model."""

    REGISTERED = "registered"
    """It is in the repository, and not loaded by every worker."""
    LOADED = "loaded"
    """Every worker has it; it answers requests that name it."""
    SHADOW = "shadow"
    """It is run on copies of live batches."""
    CANARY = "canary"
    """It answers a share of the requests."""
    LIVE = "live"
    """It answers requests that name no version."""
    PREVIOUS = "previous"
    """It was live before, and a roll back brings it back."""
    RETIRED = "retired"
    """A later version is live, and this one is not loaded any more."""
    HELD = "held"
    """It was rolled back, stopped or refused: it becomes something by an operator only."""
    FAILED = "failed"
    """Its files cannot be served."""


@dataclass(frozen=True, slots=True)
class VersionState:
    """The state of one version, and what is to be said of it; `reason` may be empty."""

    state: State
    reason: str


def states(route: ReleaseRoute, versions: Iterable[Candidate]) -> dict[str, VersionState]:
    """Return the state of each of a model's versions."""
    return {one.version: _state(route, one) for one in versions}


def _state(route: ReleaseRoute, one: Candidate) -> VersionState:
    shadow = next((shadow for shadow in route.shadows if shadow.version == one.version), None)
    if one.version == route.live:
        return VersionState(State.LIVE, one.problem or one.remark)
    if route.canary is not None and route.canary.version == one.version:
        return _tried(State.CANARY, route.canary, _weight(route.canary), route, one)
    if shadow is not None:
        words = f"sees {shadow.sample_bp / 100:g} % of the live batches"
        return _tried(State.SHADOW, shadow, words, route, one)
    if one.problem:
        return VersionState(State.FAILED, one.problem)
    refusal = route.refused.get(one.digest)
    is_way_back = one.version == route.previous and (refusal or "").startswith(PASSED_OVER)
    if refusal is not None and not is_way_back:
        return VersionState(State.HELD, refusal)
    return _idle(route, one)


def _idle(route: ReleaseRoute, one: Candidate) -> VersionState:
    """Return the state of a sound version that does nothing."""
    if one.version == route.previous:
        words = [f"a roll back from version {route.live} brings it back", one.remark]
        return VersionState(State.PREVIOUS, "; ".join(filter(None, words)))
    if one.is_loaded:
        return VersionState(State.LOADED, "")
    if route.live is not None and int(one.version) < int(route.live):
        return VersionState(State.RETIRED, f"version {route.live} is live")
    return VersionState(State.REGISTERED, "")


def _tried(
    state: State, part: Canary | Shadow, words: str, route: ReleaseRoute, one: Candidate
) -> VersionState:
    """Return the state of a candidate, with all that an operator should know of it."""
    notes = [words]
    if part.digest != one.digest:
        notes.append("its files are not those that it began with")
    notes += filter(None, (one.problem, one.remark))
    if route.held:
        notes.append(f"held: {route.held}")
    return VersionState(state, "; ".join(notes))


def _weight(canary: Canary) -> str:
    step = f"step {canary.step + 1} of {len(canary.steps)}"
    return f"{step}, answers {canary.weight_bp / 100:g} % of the requests"
