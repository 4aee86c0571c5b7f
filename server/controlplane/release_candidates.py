"""What control knows of a version that is to become something, gathered as one value.

Decides nothing: what the facts forbid is in `release/obstacles.py`.

Concurrency: event loop only.
"""

from collections.abc import Sequence

from server.controlplane.fleet import Fleet
from server.controlplane.known import KnownModel, KnownVersion
from server.errors import VersionNotFound
from server.operator_errors import ReleaseRefused
from server.release.candidate import Candidate
from server.release.compatible import difference
from server.release.route import ReleaseRoute
from server.repository.policy import kept_previous


def candidate(
    model: KnownModel,
    version: str,
    route: ReleaseRoute,
    fleet: Fleet,
    unproven: Sequence[str] = (),
) -> Candidate:
    """Return what is known of one version of a model.

    Raises:
        VersionNotFound: the repository has no such version.

    """
    known = model.versions.get(version)
    if known is None:
        raise VersionNotFound(f"model '{model.name}' has no version '{version[:32]}'")
    digest = known.plan.digest if known.plan is not None else ""
    return Candidate(
        version,
        digest,
        is_loaded=(version, digest) in fleet.loaded_everywhere(model.name),
        problem=_problem(model, version),
        remark=known.remark,
        incompatible=_incompatible(model, version, route),
        unproven=tuple(unproven),
    )


def check_way_back(model: KnownModel, route: ReleaseRoute, fleet: Fleet) -> None:
    """See that the previous version can be served: what cannot would be taken back at once.

    While control starts, nobody has looked at its files again yet, and it is loaded all the same.

    Raises:
        ReleaseRefused: it cannot.

    """
    known = model.versions.get(route.previous or "")
    if route.previous is None or (known is not None and _is_awaited(model, known)):
        return
    try:
        problem = candidate(model, route.previous, route, fleet).problem
    except VersionNotFound:
        problem = "it is not in the repository any more"
    if problem:
        missing = [f"version '{route.previous}' cannot be served: {problem}"]
        raise ReleaseRefused(
            f"model '{model.name}': cannot roll back: {missing[0]}", missing=missing
        )


def other_files(
    model: KnownModel, route: ReleaseRoute, version: str, digest: str, now_seconds: float
) -> str:
    """Say why files may not take the place of a version's: the release names others under it.

    With `release = latest` they may, as everything that is new does.
    """
    if model.setup is None or model.setup.settings.release == "latest":
        return ""
    keep_seconds = model.setup.settings.keep_previous_seconds
    previous = kept_previous(route, now_seconds=now_seconds, keep_previous_seconds=keep_seconds)
    canary = route.canary
    for part, name, named in (
        ("live", route.live, route.live_digest),
        ("kept to be rolled back to", previous, route.previous_digest),
        ("the canary", canary and canary.version, canary and canary.digest),
    ):
        if name == version and named != digest:
            return f"version '{version}' is {part}, with other files"
    return ""


def preferred_to(model: KnownModel, route: ReleaseRoute) -> list[str]:
    """Return the digests of versions that would take over from what an operator promoted."""
    if model.setup is None or model.setup.settings.release != "latest" or route.live is None:
        return []
    return [
        known.plan.digest
        for version, known in model.versions.items()
        if known.plan is not None and int(version) > int(route.live)
    ]


def _is_awaited(model: KnownModel, known: KnownVersion) -> bool:
    """Whether all that is to be said against a version is that it was not checked yet."""
    return known.plan is None and not (known.error or model.setup_error or model.is_unloaded)


def _problem(model: KnownModel, version: str) -> str:
    """Say why a version cannot be served; nothing if it can."""
    known = model.versions[version]
    if model.is_unloaded:
        return "the model was unloaded by an operator"
    if known.plan is None:
        waiting = "it is being checked" if known.is_checking else "it has not been checked yet"
        return known.error or model.setup_error or waiting
    failure = model.failures.get(version)
    return failure.error if failure is not None and failure.digest == known.plan.digest else ""


def _incompatible(model: KnownModel, version: str, route: ReleaseRoute) -> tuple[str, ...]:
    """Say how a version's tensors differ from the live one's in ways that break callers.

    A version whose files have broken since it was checked has no tensors that are known; it is
    served as it was, so there is nothing to be said against it. Against others, there is.
    """
    live = model.versions.get(route.live or "")
    verdict = model.versions[version].verdict
    if live is None or version == route.live:
        return ()
    if live.verdict is None and live.error:
        return (f"it cannot be held to the tensors of version '{route.live}', whose files changed",)
    if live.verdict is None or verdict is None:
        return ()
    return difference(live.verdict.signature, verdict.signature).problems
