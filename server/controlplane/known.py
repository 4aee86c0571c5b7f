"""What control knows of the models in the repository.

Decides what is said about a version: its state in the protocol's words, and the reason. Holds
values only; `catalog.py` fills them.

Concurrency: event loop only.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from server.monitoring.profile import Profile
from server.release import faults
from server.release.route import ReleaseRoute
from server.release.shadow_rules import ShadowRules
from server.repository.layout import ModelFolder, VersionFolder
from server.repository.model_settings import ModelSetup
from server.repository.policy import NO_ROUTE, Route, select
from server.repository.reference import NO_REFERENCE, Reference
from server.repository.verdict import Verdict
from server.wire.desired import ModelPlan, VersionPlan
from server.wire.status import Failure

CHANGED = "its files have changed and cannot be served"


class State(StrEnum):
    """States of the model repository extension."""

    READY = "READY"
    LOADING = "LOADING"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(slots=True)
class KnownVersion:
    """One version in the repository."""

    folder: VersionFolder
    checked: object = None
    """What the last check was about; another value means it must be checked again."""
    is_checking: bool = False
    plan: VersionPlan | None = None
    """How to serve it, from the last check that succeeded."""
    verdict: Verdict | None = None
    verdict_key: str = ""
    reference: Reference = NO_REFERENCE
    """The reference profile beside the files, from the last check that succeeded."""
    shadow_rules: ShadowRules | None = None
    """How candidates are compared with it; None before a check has succeeded."""
    left_out: Mapping[str, tuple[int, ...]] | None = None
    """Places in a row that are not captured, by tensor; None before a check has succeeded."""
    error: str = ""
    """What the last check found wrong, if anything; `plan` may be from an earlier one."""
    fix: str = ""
    problem: str = ""
    """What was wrong with its signature, if that was it; see `ModelInvalid`."""
    signer: str = ""
    """Who has signed what is served; empty where versions need not be signed."""
    is_gone: bool = False
    """Its files have left the repository."""
    is_copy_gone: bool = False
    """Its private copy was not there when somebody looked last."""
    is_uncopied: bool = False
    """The last check failed because the state directory could not take a copy."""

    @property
    def remark(self) -> str:
        """What is to be said of files that are served; nothing if they lie there as usual."""
        if self.plan is None:
            return ""
        if self.is_gone:
            lost = "; so is its private copy: a worker that starts cannot load it"
            return "its files are gone" + (lost if self.is_copy_gone else "")
        if self.is_copy_gone:
            why = f": {self.error}" if self.error else ""
            return f"its private copy is gone and is to be made anew{why}"
        return f"{CHANGED}: {self.error}" if self.error else ""

    @property
    def profile(self) -> Profile | None:
        """The reference profile that its live rows are held to, if there is one."""
        return self.reference.profile


@dataclass(slots=True)
class KnownModel:
    """One model in the repository."""

    name: str
    folder: ModelFolder
    setup: ModelSetup | None = None
    """The last settings that could be read."""
    setup_key: object = None
    setup_error: str = ""
    setup_fix: str = ""
    versions: dict[str, KnownVersion] = field(default_factory=dict)
    route: Route = NO_ROUTE
    is_unloaded: bool = False
    """An operator unloaded it; it stays so until an operator loads it."""
    failures: dict[str, Failure] = field(default_factory=dict)
    """What a worker could not load, by version. Kept here, because a worker forgets what it is not
    to load; without it, a version that fails would be taken out and tried again without end."""
    taken_out: set[str] = field(default_factory=set)
    """Versions that are not served because they crash or hang; also in `failures`."""

    def fall_back_on(self, saved: Mapping[str, VersionPlan], previous: str | None) -> None:
        """Take over plans from before a restart for what could not be checked well since.

        The private copies that those plans name are as good as they were. What was live before may
        have no files in the repository any more. What nobody has signed who may is not taken over.
        """
        for version, plan in saved.items():
            known = self.versions.get(version)
            if known is None and version == previous:
                folder = VersionFolder(Path(plan.path).parent, (), ())
                known = self.versions[version] = KnownVersion(folder, is_gone=True)
            if known is None or known.plan is not None or known.problem == "unknown_signer":
                continue
            if not Path(plan.path).is_file():
                continue
            known.plan = plan
            known.verdict_key = Path(plan.samples).stem
            if self.setup is None:
                self.setup = ModelSetup(plan.settings, features=plan.features)

    def note_failures(
        self, reported: Mapping[str, Failure], loaded_everywhere: AbstractSet[tuple[str, str]]
    ) -> None:
        """Add what workers report, and drop what is about other files or has been overcome."""
        self.failures.update(reported)
        for version, failure in list(self.failures.items()):
            known = self.versions.get(version)
            digest = known.plan.digest if known is not None and known.plan is not None else ""
            if failure.digest != digest or (version, digest) in loaded_everywhere:
                del self.failures[version]

    def note_faults(self, release: ReleaseRoute) -> None:
        """Take over from the release state which versions are taken out because they failed."""
        for version in self.taken_out:
            self.failures.pop(version, None)
        self.taken_out.clear()
        for version, known in self.versions.items():
            digest = known.plan.digest if known.plan is not None else ""
            why = faults.failure(release, digest)
            if why:
                self.taken_out.add(version)
                self.failures[version] = Failure(digest, why, faults.FIX)

    def servable(self, failures: dict[str, Failure], somewhere: set[str]) -> dict[str, str]:
        """Return the digest of each version that may be served.

        A version that a worker could not load is not, unless it is live and some worker has it
        (`somewhere`): what answers on some workers is not taken from all of them, unless it kills
        them.
        """
        if self.is_unloaded or self.setup is None:
            return {}
        return {
            version: known.plan.digest
            for version, known in self.versions.items()
            if known.plan is not None
            and version not in self.taken_out
            and (
                (version == self.route.live and version in somewhere)
                or version not in failures
                or failures[version].digest != known.plan.digest
            )
        }

    @property
    def policy(self) -> str:
        """The version policy, empty while no settings could be read."""
        return self.setup.settings.version_policy if self.setup else ""

    def selected(self) -> list[str]:
        """Return the versions that the policy would load if all of them were good."""
        there = self.versions.keys() - self.gone()
        if self.setup is None:
            return list(there)
        return select(self.setup.settings.version_policy, there)

    def gone(self) -> set[str]:
        """Return the versions whose files have left the repository and that are still known."""
        return {version for version, known in self.versions.items() if known.is_gone}

    def forget_gone(self, previous: str | None) -> None:
        """Forget versions without files, but for the live one while another may follow it.

        What was live before, and is kept as `previous`, stays while what is live has its files.
        """
        gone = self.gone()
        if self.route.live not in gone:
            gone.discard(previous or "")
        may_follow = any(
            known.plan is not None or known.is_checking
            for known in self.versions.values()
            if not known.is_gone
        )
        for version in gone:
            if version != self.route.live or not may_follow:
                del self.versions[version]

    def to_plan(self, release: ReleaseRoute) -> ModelPlan:
        """Return what workers shall do about this model, whose release state is `release`."""
        versions = self.planned()
        pending = {
            version: known.is_checking
            for version, known in self.versions.items()
            if known.plan is None or (version in self.failures and version not in versions)
        }
        carried_out = release if release.generation else None
        return ModelPlan(self.route.live, versions, pending, carried_out)

    def planned(self) -> dict[str, VersionPlan]:
        """Return the plan of each version that shall be loaded, the one that answers first.

        Workers load them in this order, so that nobody waits for what answers nobody.
        """
        return {
            version: known.plan
            for version in sorted(
                self.route.loaded, key=lambda one: (one != self.route.live, int(one))
            )
            if (known := self.versions.get(version)) is not None and known.plan is not None
        }


def describe(
    model: KnownModel,
    version: str,
    loaded_everywhere: set[tuple[str, str]],
    failures: dict[str, Failure],
    *,
    is_live: bool,
) -> dict[str, Any]:
    """Return one row of the repository's index: name, version, state, reason and what would help.

    `fix`, `problem`, `digest`, `signer`, `live` and `warnings` are additions to the protocol's
    members.
    """
    known = model.versions[version]
    state, reason, fix = _state(model, version, known, loaded_everywhere, failures)
    row: dict[str, Any] = {"name": model.name, "version": version, "state": state, "reason": reason}
    if fix:
        row["fix"] = fix
    if known.problem:
        row["problem"] = known.problem
    if known.plan is not None:
        row["digest"] = known.plan.digest
        if known.signer:
            row["signer"] = known.signer
    row["live"] = is_live
    warnings = [*(model.setup.warnings if model.setup else ())]
    if known.verdict is not None:
        warnings += known.verdict.warnings
    warnings += known.reference.warnings
    if warnings:
        row["warnings"] = warnings
    return row


def _state(
    model: KnownModel,
    version: str,
    known: KnownVersion,
    loaded_everywhere: set[tuple[str, str]],
    failures: dict[str, Failure],
) -> tuple[State, str, str]:
    if model.is_unloaded:
        return State.UNAVAILABLE, "unloaded by an operator", "load it again with a load call"
    error, fix = known.error or model.setup_error, known.fix or model.setup_fix
    if known.plan is None:
        if known.is_checking:
            return State.LOADING, "it is being checked", ""
        return State.UNAVAILABLE, error or "it has not been checked yet", fix
    failure = failures.get(version)
    if failure is not None and failure.digest == known.plan.digest:
        return State.UNAVAILABLE, failure.error, failure.fix
    if version not in model.route.loaded:
        return State.UNAVAILABLE, f"the version policy '{model.policy}' does not load it", ""
    if (version, known.plan.digest) not in loaded_everywhere:
        return State.LOADING, "workers are loading it", ""
    if not known.is_gone:
        return State.READY, known.remark or (f"{CHANGED}: {error}" if error else ""), fix
    is_live = version == model.route.live
    stays = "answers until another version can" if is_live else "stays to be rolled back to"
    return State.READY, f"{known.remark}; it {stays}", ""
