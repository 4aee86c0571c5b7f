"""Whose answers are kept from the river, and what waits to be written.

Decides which version a record is of, in which role it answered, and what kind of answers it gives:
that is learned from its profile, or from its first rows. Does not know the store.

Concurrency: event loop only.
Lifetime: that of control; a version is forgotten when it is not loaded any more and nothing waits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from server.controlplane.kept_predictions import Keeping, Standing
from server.controlplane.known import KnownModel, KnownVersion
from server.monitoring.kept_answers import plan_answers
from server.monitoring.locating import Version
from server.monitoring.prediction_blocks import PredictionBlock
from server.release.shadow_rules import NO_RULES, Tolerance, tolerance_of
from server.wire.desired import ModelPlan
from server.wire.record import BatchRecords, Content

MAX_TRIES = 20
"""Records whose answers are looked at to learn what kind of answers a version gives."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Kept:
    """A version whose predictions are kept, or might be."""

    keeping: Keeping | None = None
    tries: int = 0
    profile_hash: str | None = None
    """Of the profile by which its answers are read; empty without one, None before any record."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """What waits of one version."""

    of: Version
    keeping: Keeping
    blocks: Sequence[PredictionBlock]
    """To be written."""
    pieces: Sequence[PredictionBlock]
    """What these are made of."""


class PredictionIntake:
    """All versions whose answers are kept."""

    def __init__(
        self,
        models: Mapping[str, KnownModel],
        plans: Callable[[], Mapping[str, ModelPlan]],
    ) -> None:
        """Keep answers of what `plans` load; `models` are what is known."""
        self.unkept_rows = 0
        """Rows whose answers could not be kept: too large, or of no known kind."""
        self.lost_rows = 0
        """Rows that were dropped because the store could not be written for long."""
        self._models = models
        self._plans = plans
        self._kept: dict[Version, _Kept] = {}

    def take(self, records: BatchRecords, *, is_shadow: bool = False) -> int:
        """Keep what is to be kept of a message; return how many rows of its version wait.

        `is_shadow`: the answers are those of a candidate to copies of live requests.
        """
        model = self._models.get(records.model)
        known = model.versions.get(records.version) if model is not None else None
        if (
            known is None
            or known.plan is None
            or known.plan.digest != records.digest
            or records.content is Content.MIRROR
        ):
            return 0
        sample_bp = known.plan.settings.feedback_sample_bp
        if not sample_bp:
            return 0
        if not records.outputs:  # They were too large to be sent.
            self.unkept_rows += records.rows
            return 0
        of = Version(records.model, records.version, records.digest)
        try:
            keeping = self._keeping(of, known, records)
            if keeping is None:
                self.unkept_rows += records.rows
                return 0
            standing = Standing(is_shadow=True) if is_shadow else self._standing(of)
            self.unkept_rows += keeping.take(records, standing, sample_bp)
        except Exception:  # Whatever is wrong with these rows, the next ones may be good.
            self.unkept_rows += records.rows
            log.exception("predictions_not_kept", model=of.model, version=of.version)
            return 0
        return keeping.pending_rows

    def _keeping(self, of: Version, known: KnownVersion, records: BatchRecords) -> Keeping | None:
        """Return where rows of a version wait; None if labels cannot be held to its answers."""
        kept = self._kept.setdefault(of, _Kept())
        profile = known.profile
        given = profile.hash if profile is not None else ""
        if kept.profile_hash != given:
            # Another profile may know more of the answers; what waits is judged as it was kept.
            if kept.keeping is not None and kept.keeping.pending_rows:
                return kept.keeping
            kept.keeping, kept.tries, kept.profile_hash = None, 0, given
        if kept.keeping is None and kept.tries < MAX_TRIES and known.verdict and records.rows:
            kept.tries += 1
            outputs = {tensor.name: tensor.array for tensor in records.outputs}
            plan = plan_answers(known.verdict.signature, profile, outputs)
            if plan is not None:
                rules = known.shadow_rules
                kept.keeping = Keeping(plan, rules.segments if rules is not None else ())
        return kept.keeping

    def _standing(self, of: Version) -> Standing:
        plan = self._plans().get(of.model)
        if plan is None:
            return Standing()
        is_canary = plan.canary is not None and plan.canary.version == of.version
        return Standing(is_live=plan.live == of.version, is_canary=is_canary)

    def tolerances(self) -> dict[Version, Tolerance]:
        """Return what is tolerated of each version's first output.

        One that answers a number has no other (`kept_answers.py`).
        """
        return {
            Version(name, version, known.plan.digest): tolerance_of(
                known.shadow_rules or NO_RULES, spec.name, spec.datatype.name
            )
            for name, model in self._models.items()
            for version, known in model.versions.items()
            if known.plan is not None and known.verdict is not None
            for spec in known.verdict.signature.outputs[:1]
        }

    def pending(self) -> list[Waiting]:
        """Return what waits."""
        return [
            Waiting(of, kept.keeping, *kept.keeping.blocks())
            for of, kept in self._kept.items()
            if kept.keeping is not None and kept.keeping.pending_rows
        ]

    def saved(self, waiting: Sequence[Waiting]) -> None:
        """Forget what has reached the store."""
        for one in waiting:
            one.keeping.saved(one.pieces)
            self.lost_rows += one.keeping.take_lost()

    def forget_unloaded(self) -> None:
        """Forget versions that are not loaded any more, unless something of them waits."""
        loaded = {
            Version(name, version, plan.digest)
            for name, model in self._plans().items()
            for version, plan in model.versions.items()
        }
        for of, kept in list(self._kept.items()):
            if of not in loaded and (kept.keeping is None or not kept.keeping.pending_rows):
                del self._kept[of]
