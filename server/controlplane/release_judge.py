"""What the gates say of the candidates of a model now, and what there is to begin with.

Decides which counts and which settings belong to which part of a release. A model whose files say
nothing of gates, and whose release is not automatic, asks for none: their verdicts are shown, and
promote on an operator's word all the same.

Concurrency: event loop only.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from server.controlplane.evidence_book import EvidenceBook, live_epoch
from server.controlplane.known import KnownModel
from server.release.answers import answers_labels
from server.release.automatic import Newcomer, Situation
from server.release.canary_gates import judge_canary, judge_live
from server.release.gate_settings import GateSettings
from server.release.gates import Report
from server.release.route import Canary, ReleaseRoute, Shadow
from server.release.shadow_gates import judge_shadow
from server.release.shadow_rules import NO_RULES
from server.store.keys import EvidenceKey

NOT_TRIED = "it is neither shadow nor canary, so that nothing was seen of it"


class Judge:
    """Verdicts on demand."""

    def __init__(
        self,
        models: Mapping[str, KnownModel],
        route: Callable[[str], ReleaseRoute],
        book: EvidenceBook,
    ) -> None:
        self._models = models
        self._route = route
        self._book = book

    def is_idle(self, name: str) -> bool:
        """Say whether nothing can follow by itself for a model, so that it need not be judged."""
        model, route = self._models.get(name), self._route(name)
        if model is None or model.setup is None or route.live is None:
            return True
        if route.canary is not None:
            return False
        if self._book.has(EvidenceKey(name, route.live, live_epoch(route))):
            return False
        is_automatic = model.setup.settings.release == "automatic"
        return not is_automatic or not (route.shadows or _newcomer(model, route))

    def rules(self, name: str) -> str:
        """Return by which rules the shadows of a model are compared now, empty if not known."""
        model, live = self._models.get(name), self._route(name).live
        known = model.versions.get(live) if model is not None and live is not None else None
        rules = known.shadow_rules if known is not None else None
        return rules.counting_digest() if rules is not None else ""

    def situation(self, name: str) -> Situation | None:
        """Return all that a decision about a model rests on; None if its settings are not known."""
        model, route = self._models.get(name), self._route(name)
        if model is None or model.setup is None:
            return None
        return Situation(
            model.setup.settings.release,
            _gates(model),
            model.setup.canary,
            newcomer=_newcomer(model, route),
            shadows={one.version: self._shadow(model, route, one) for one in route.shadows},
            canary=self._canary(model, route.canary),
            canary_requests=self._requests(name, route.canary),
            live=self._live(model, route),
        )

    def unproven(self, name: str, version: str) -> tuple[str, ...]:
        """Say which gates keep a version from being promoted; nothing if none are asked for."""
        model, route = self._models.get(name), self._route(name)
        if model is None or model.setup is None:
            return ()
        if model.setup.gates is None and model.setup.settings.release != "automatic":
            return ()
        if route.canary is not None and route.canary.version == version:
            return self._canary(model, route.canary).unproven
        for shadow in route.shadows:
            if shadow.version == version:
                return self._shadow(model, route, shadow).unproven
        return (NOT_TRIED,)

    def report(self, name: str) -> dict[str, Any]:
        """Return what all gates of a model say, as JSON values."""
        situation, route = self.situation(name), self._route(name)
        if situation is None:
            return {"shadows": [], "canary": None, "live": None}
        canary = route.canary
        return {
            "shadows": [
                _told(one.version, one.epoch, situation.shadows[one.version])
                for one in route.shadows
            ],
            "canary": canary and _told(canary.version, canary.epoch, situation.canary),
            "live": _told(route.live, live_epoch(route), situation.live)
            if route.live is not None and situation.live.readings
            else None,
        }

    def reports(self, name: str) -> Iterator[tuple[str, str, Report]]:
        """Yield part, version and report of each that is judged."""
        model, route = self._models.get(name), self._route(name)
        if model is None or route.live is None:
            return
        for shadow in route.shadows:
            yield "shadow", shadow.version, self._shadow(model, route, shadow)
        if route.canary is not None:
            yield "canary", route.canary.version, self._canary(model, route.canary)
        yield "live", route.live, self._live(model, route)

    def _shadow(self, model: KnownModel, route: ReleaseRoute, shadow: Shadow) -> Report:
        seen = self._book.of(EvidenceKey(model.name, shadow.version, shadow.epoch))
        has_labels = _answers_labels(model, route)
        return judge_shadow(
            seen.shadow,
            _gates(model),
            has_labels=has_labels,
            labels=seen.labels,
            nearness=seen.nearness,
        )

    def _canary(self, model: KnownModel, canary: Canary | None) -> Report:
        if canary is None:
            return Report()
        key = EvidenceKey(model.name, canary.version, canary.epoch)
        return judge_canary(self._book.of(key).canary, _gates(model))

    def _requests(self, model: str, canary: Canary | None) -> int:
        if canary is None:
            return 0
        key = EvidenceKey(model, canary.version, canary.epoch)
        return self._book.of(key).canary.requests_in(canary.step)

    def _live(self, model: KnownModel, route: ReleaseRoute) -> Report:
        key = EvidenceKey(model.name, route.live or "", live_epoch(route))
        if not self._book.has(key):
            return Report()  # It was not promoted by itself.
        return judge_live(self._book.of(key).live, _gates(model))


def _gates(model: KnownModel) -> GateSettings:
    gates = model.setup.gates if model.setup is not None else None
    return gates or GateSettings()


def _answers_labels(model: KnownModel, route: ReleaseRoute) -> bool:
    live = model.versions.get(route.live or "")
    if live is None or live.verdict is None:
        return True  # Served as before a restart, and not looked at yet.
    return answers_labels(live.verdict.signature, live.shadow_rules or NO_RULES)


def _newcomer(model: KnownModel, route: ReleaseRoute) -> Newcomer | None:
    """Return the newest version that is selected and good, if it is newer than the live one."""
    newer = {version for version in model.versions if int(version) > int(route.live or 0)}
    if route.live is None or not newer:
        return None
    for version in sorted(newer & {*model.selected()}, key=int, reverse=True):
        known = model.versions[version]
        if known.plan is None or known.is_checking:
            continue
        failure = model.failures.get(version)
        if failure is None or failure.digest != known.plan.digest:
            return Newcomer(version, known.plan.digest)
    return None


def _told(version: str | None, epoch: str, report: Report) -> dict[str, Any]:
    return {
        "version": version,
        "epoch": epoch,
        "verdict": report.verdict.value,
        "gates": [reading.to_json() for reading in report.readings],
    }
