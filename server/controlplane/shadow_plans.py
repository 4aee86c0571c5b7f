"""From release states and what is in the repository to what the shadow process shall do.

Decides which candidates can be compared: those whose files are the ones that the release state
names, beside a live version that has been checked here. Pure.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from server.controlplane.known import KnownModel, KnownVersion
from server.release.route import ALL_BP, ReleaseRoute
from server.wire.record import Content
from server.wire.shadow import CandidatePlan, ComparisonPlan, Runnable

Key = tuple[str, str, str]
"""Model, version and epoch of a candidate."""

Ranges = Callable[[Key], tuple[float, float] | None]
"""Between which edges the scores of a candidate's epoch are counted, if that is known."""


@dataclass(frozen=True, slots=True)
class Target:
    """A candidate, as one that records are mirrored to."""

    version: str
    epoch: str
    sample_bp: int
    largest_bp: int
    """Of all candidates of the model: large rows are sent as often as that one wants."""

    def share(self, content: Content) -> float:
        """Return which share of such records it is run on."""
        all_bp = self.largest_bp if content is Content.MIRROR else ALL_BP
        return self.sample_bp / all_bp if all_bp else 0.0


@dataclass(frozen=True, slots=True)
class Targets:
    """The candidates of one live version."""

    digest: str
    """Of the live version's files."""
    candidates: tuple[Target, ...]


def plans_of(
    routes: Mapping[str, ReleaseRoute],
    models: Mapping[str, KnownModel],
    suspended: Collection[Key],
    ranges: Ranges,
) -> list[ComparisonPlan]:
    """Return what there is to compare; candidates that are suspended are left out."""
    plans = []
    for model, route in sorted(routes.items()):
        known = models.get(model)
        live = known.versions.get(route.live) if known and route.live else None
        if known is None or live is None or live.shadow_rules is None or not route.shadows:
            continue
        own = _runnable(route.live or "", live, route.live_digest)
        candidates = []
        for shadow in route.shadows:
            version = known.versions.get(shadow.version)
            runnable = version and _runnable(shadow.version, version, shadow.digest)
            key = (model, shadow.version, shadow.epoch)
            if version and version.plan and runnable and key not in suspended:
                wants_answers = version.plan.settings.feedback_sample_bp > 0
                candidates.append(CandidatePlan(runnable, shadow.epoch, ranges(key), wants_answers))
        if own is not None and candidates:
            plans.append(ComparisonPlan(model, own, live.shadow_rules, tuple(candidates)))
    return plans


def targets_of(routes: Mapping[str, ReleaseRoute]) -> dict[tuple[str, str], Targets]:
    """Return whom to mirror records to, by model and live version."""
    return {
        (model, route.live): Targets(
            route.live_digest,
            tuple(
                Target(
                    one.version,
                    one.epoch,
                    one.sample_bp,
                    max(shadow.sample_bp for shadow in route.shadows),
                )
                for one in route.shadows
            ),
        )
        for model, route in routes.items()
        if route.live is not None and route.shadows
    }


def _runnable(version: str, known: KnownVersion, digest: str) -> Runnable | None:
    plan = known.plan
    if plan is None or plan.digest != digest:
        return None
    return Runnable(
        version, plan.digest, plan.path, plan.samples, plan.is_batched, plan.settings.max_rows
    )
