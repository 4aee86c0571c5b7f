"""Which versions of a model are loaded, and which one shall answer.

Decides from the release state, the versions that may be served, the model's settings and what the
workers have loaded. Never guesses: what is live is what the release state says; where something
else shall be, the choice says so, who wants it and why, and whoever asked changes the state.

A version becomes live by itself only when every worker has it loaded, and what was live stays
loaded until then; so a switch never meets a version that is missing, and a version that cannot be
loaded changes nothing. A canary or a shadow never becomes live by itself. Pure.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from server.release.faults import failure
from server.release.route import ReleaseRoute
from server.settings import ReleaseMode, parse_version_policy

POLICY, SYSTEM = "policy", "system"
"""Who changes a release state when no operator and no gate does."""


@dataclass(frozen=True, slots=True)
class Route:
    """What shall be: the live version, and every version to have loaded."""

    live: str | None
    loaded: frozenset[str]


NO_ROUTE = Route(None, frozenset())


@dataclass(frozen=True, slots=True)
class Facts:
    """One model as it is now."""

    mode: ReleaseMode
    selected: Sequence[str]
    """The versions that the version policy keeps loaded, lowest first."""
    servable: Mapping[str, str]
    """The digest of each version that may be served."""
    loaded: AbstractSet[tuple[str, str]]
    """The versions and digests that every worker has loaded."""
    is_complete: bool
    """Whether all of its versions have been looked at, so that the best of them is known."""

    def is_ready(self, version: str) -> bool:
        """Whether every worker has a version loaded as it is now."""
        return version in self.servable and (version, self.servable[version]) in self.loaded


@dataclass(frozen=True, slots=True)
class Choice:
    """Which version answers, and what that makes of the release state."""

    live: str | None
    actor: str = ""
    """Who wants the release state to be changed to this; empty if it stays as it is."""
    reason: str = ""


def select(policy: str, servable: AbstractSet[str]) -> list[str]:
    """Return the versions that `policy` keeps loaded, lowest first."""
    kind, numbers = parse_version_policy(policy)
    ordered = sorted(servable, key=int)
    if kind == "latest":
        return ordered[-numbers[0] :]
    if kind == "specific":
        return [version for version in ordered if int(version) in numbers]
    return ordered


def choose(route: ReleaseRoute, answering: str | None, facts: Facts) -> Choice:
    """Return which version shall answer.

    `answering` is the version that answers now. A model without a release state follows its
    version policy; its state begins with the best version that there is, once that is known, unless
    somebody holds it.
    """
    if route.live is None and route.held:
        return Choice(answering if answering in facts.servable else None)
    if route.live is None:
        live = _best(answering, facts, frozenset())
        is_best = live is not None and facts.is_ready(live) and live in facts.selected[-1:]
        if is_best and facts.is_complete:
            return Choice(live, POLICY, "first version")
        return Choice(live)
    if facts.mode == "latest" and not route.held and route.canary is None:
        choice = _latest(route, facts)
    elif route.live in facts.servable:
        choice = Choice(route.live)
    else:
        choice = _fallen_back(route, facts)
    if choice == Choice(route.live) and _has_other_files(route, facts):
        return Choice(route.live, POLICY, "its files are others")
    return choice


def _has_other_files(route: ReleaseRoute, facts: Facts) -> bool:
    live = route.live
    return live is not None and facts.is_ready(live) and facts.servable[live] != route.live_digest


def _latest(route: ReleaseRoute, facts: Facts) -> Choice:
    """Return the version that the version policy prefers to what is live, if any is ready."""
    barred = route.refused.keys() | {shadow.digest for shadow in route.shadows}
    live = _best(route.live, facts, barred)
    if live is None:
        return _fallen_back(route, facts)
    if live != route.live:
        if route.live in facts.servable:
            return Choice(live, POLICY, "the highest version that the version policy selects")
        return Choice(live, SYSTEM, _cannot_be_served(route))
    return Choice(live)


def _best(live: str | None, facts: Facts, barred: AbstractSet[str]) -> str | None:
    """Return the highest selected version that is ready, else what answers if it still may."""
    # What is live gives way to what is preferred to it only: while a worker that starts again has
    # just the older version, or loads new files of the live one, the older one is not brought back.
    selected = list(facts.selected)
    better = selected[selected.index(live) :] if live in selected else selected
    ready = [one for one in better if facts.is_ready(one) and facts.servable[one] not in barred]
    if ready:
        return ready[-1]
    return live if live in facts.servable else None


def _fallen_back(route: ReleaseRoute, facts: Facts) -> Choice:
    """Return what answers when the live version cannot: what was live before, or nothing."""
    previous = route.previous
    if previous is not None and facts.is_ready(previous):
        return Choice(previous, SYSTEM, _cannot_be_served(route))
    return Choice(None)


def _cannot_be_served(route: ReleaseRoute) -> str:
    why = failure(route, route.live_digest)
    return f"version '{route.live}' cannot be served" + (f": {why}" if why else "")


def kept_previous(
    route: ReleaseRoute, *, now_seconds: float, keep_previous_seconds: float
) -> str | None:
    """Return what was live before, while it is still to be kept loaded."""
    is_kept = now_seconds - route.live_since_seconds < keep_previous_seconds
    return route.previous if is_kept else None


def to_load(
    route: ReleaseRoute, live: str | None, previous: str | None, facts: Facts
) -> frozenset[str]:
    """Return every version to have loaded.

    These are what the version policy selects, what answers, the canary, and what was live before:
    while it is kept as `previous`, or for as long as the live version cannot be served.
    """
    wanted = {*facts.selected, live, previous}
    if route.canary is not None:
        wanted.add(route.canary.version)
    if route.live not in facts.servable:
        wanted.add(route.previous)
    return frozenset(version for version in facts.servable if version in wanted)
