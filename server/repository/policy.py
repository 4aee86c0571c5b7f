"""Which versions of a model are loaded, and which one answers.

Decides from the versions that may be served, the model's policy and what the workers have loaded.
Never guesses: the result names every version that shall be loaded and the one that is live.

A version becomes live only when every worker has it loaded, and what was live stays loaded until
then; so a switch never meets a version that is missing, and a version that cannot be loaded
changes nothing. Pure.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from server.config import parse_version_policy


@dataclass(frozen=True, slots=True)
class Route:
    """What shall be: the live version, and every version to have loaded."""

    live: str | None
    loaded: frozenset[str]


NO_ROUTE = Route(None, frozenset())


def select(policy: str, servable: AbstractSet[str]) -> list[str]:
    """Return the versions that `policy` keeps loaded, lowest first."""
    kind, numbers = parse_version_policy(policy)
    ordered = sorted(servable, key=int)
    if kind == "latest":
        return ordered[-numbers[0] :]
    if kind == "specific":
        return [version for version in ordered if int(version) in numbers]
    return ordered


def next_route(
    route: Route,
    policy: str,
    servable: Mapping[str, str],
    loaded_everywhere: AbstractSet[tuple[str, str]],
    leaving: AbstractSet[str] = frozenset(),
) -> Route:
    """Return the route that should follow `route`.

    `servable` maps each version that may be served to its digest; `loaded_everywhere` holds the
    (version, digest) pairs that every worker has loaded. Versions of `leaving` are not selected any
    more; one that is live answers until another can.
    """
    selected = select(policy, servable.keys() - leaving)
    # What is live gives way to what is preferred to it only: while a worker that starts again has
    # just the older version, or loads new files of the live one, the older one is not brought back.
    better = selected[selected.index(route.live) :] if route.live in selected else selected
    ready = [version for version in better if (version, servable[version]) in loaded_everywhere]
    live = ready[-1] if ready else None
    if live is None and route.live in servable:
        live = route.live  # Nothing selected is ready yet: what answers goes on answering.
    loaded = frozenset(selected) | ({live} if live is not None else frozenset())
    return Route(live, loaded)
