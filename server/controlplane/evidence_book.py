"""What was seen of candidates: counts in memory, and from time to time in the store.

Decides what is kept: counts of the epochs that releases are in now. Those of earlier epochs stay in
the store for a while, for whoever asks why something was decided. A crash loses the counts of a few
seconds, which does no harm: what is decided from fewer counts is as sound. Does not know what
follows from them.

Concurrency: event loop only; one call of `flush` at a time.
Lifetime: that of control.
"""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from server.monitoring.joining import Nearness, Pairs
from server.monitoring.locating import Version
from server.monitoring.nearness import NearnessCounts
from server.monitoring.realised_figures import PairedCounts
from server.operator_errors import StoreUnavailable
from server.release.canary_evidence import CanaryEvidence, Requests
from server.release.evidence import ShadowEvidence
from server.release.route import ReleaseRoute
from server.store.database import Store
from server.store.keys import EvidenceKey

if TYPE_CHECKING:
    from server.store.database import Connection

KEEP_SECONDS = 90 * 86_400.0

log = structlog.get_logger()


@dataclass(slots=True)
class Evidence:
    """What was seen of one version in one epoch, whatever part it had."""

    shadow: ShadowEvidence = field(default_factory=ShadowEvidence)
    canary: CanaryEvidence = field(default_factory=CanaryEvidence)
    live: Requests = field(default_factory=Requests)
    """Requests that it answered since it was promoted."""
    labels: PairedCounts = field(default_factory=PairedCounts)
    """Who was right on requests that it answered as a shadow, by labels that came meanwhile."""
    nearness: NearnessCounts = field(default_factory=NearnessCounts)
    """Who was nearer, of a model that answers numbers."""
    rules: str = ""
    """By which rules its pairs are counted, as a digest; empty before that was noted."""

    def add(self, other: "Evidence") -> None:
        """Add what was seen of the same version in the same epoch at another time."""
        self.shadow.add(other.shadow)
        self.live.add(other.live)
        for step, counts in other.canary.steps.items():
            self.canary.add(step, counts.weight_bp, counts.canary, counts.live)
        self.canary.slow_seconds = self.canary.slow_seconds or other.canary.slow_seconds
        self.canary.lost_workers += other.canary.lost_workers
        self.labels = self.labels.plus(other.labels)
        self.nearness = self.nearness.plus(other.nearness)
        self.rules = self.rules or other.rules

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "shadow": self.shadow.to_json(),
            "canary": self.canary.to_json(),
            "live": asdict(self.live),
            "labels": asdict(self.labels),
            "nearness": asdict(self.nearness),
            "rules": self.rules,
        }

    @classmethod
    def from_json(cls, value: Any) -> "Evidence":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not such a value.

        """
        return cls(
            ShadowEvidence.from_json(value["shadow"]),
            CanaryEvidence.from_json(value["canary"]),
            Requests(**value["live"]),
            PairedCounts(**value["labels"]),
            # Counts from before there were these have none.
            NearnessCounts(**value.get("nearness", {})),
            value.get("rules", ""),
        )


def live_epoch(route: ReleaseRoute) -> str:
    """Return the epoch under which requests are counted since the live version was promoted."""
    return f"live/{route.live_since_seconds:.3f}"


def current_keys(route: ReleaseRoute) -> set[EvidenceKey]:
    """Return whose counts a release may have now."""
    keys = {EvidenceKey(route.model, one.version, one.epoch) for one in route.shadows}
    if route.canary is not None:
        keys.add(EvidenceKey(route.model, route.canary.version, route.canary.epoch))
    if route.live is not None:
        keys.add(EvidenceKey(route.model, route.live, live_epoch(route)))
    return keys


class EvidenceBook:
    """All counts of the present epochs."""

    def __init__(self, store: Store, route: Callable[[str], ReleaseRoute]) -> None:
        """Keep the counts of what has a part in `route` of its model."""
        self._store = store
        self._route = route
        self._kept: dict[EvidenceKey, Evidence] = {}
        self._changed: set[EvidenceKey] = set()
        self._is_open = False

    def of(self, key: EvidenceKey) -> Evidence:
        """Return the counts of a key; empty ones if nothing was seen."""
        return self._kept.get(key) or Evidence()

    def has(self, key: EvidenceKey) -> bool:
        """Say whether something is kept under a key, if only the beginning."""
        return key in self._kept

    def add(self, model: str, version: str, epoch: str, evidence: ShadowEvidence) -> None:
        """Add what was seen of a shadow; nothing if its epoch has passed."""
        kept = self._open(EvidenceKey(model, version, epoch))
        if kept is not None:
            kept.shadow.add(evidence)

    def add_labels(self, pairs: Pairs, nearness: Nearness) -> None:
        """Add what labels say of live versions and others, where these are their shadows now.

        A label counts in the epoch in which it comes, whenever its request was answered: it is
        about the same files, and counts once.
        """
        for (live, other), counts in pairs.items():
            for kept in self._shadows(live, other):
                kept.labels = kept.labels.plus(counts)
        for (live, other), near in nearness.items():
            for kept in self._shadows(live, other):
                kept.nearness = kept.nearness.plus(near)

    def _shadows(self, live: Version, other: Version) -> Iterator[Evidence]:
        """Yield the counts of `other` to be changed, if it is a shadow of `live` now."""
        route = self._route(live.model)
        if (route.live, route.live_digest) != (live.version, live.digest):
            return
        for shadow in route.shadows:
            if (shadow.version, shadow.digest) == (other.version, other.digest):
                kept = self._open(EvidenceKey(route.model, shadow.version, shadow.epoch))
                if kept is not None:
                    yield kept

    def is_counted_by(self, key: EvidenceKey, rules: str) -> bool:
        """Say whether a shadow's pairs are counted by these rules.

        The first that are asked for are; what an earlier process left is counted by its own.
        """
        if not self._is_open:
            return True
        if not self.of(key).rules:
            kept = self._open(key)
            if kept is not None:
                kept.rules = rules
        return self.of(key).rules in ("", rules)

    def add_lost_workers(self, key: EvidenceKey, count: int) -> None:
        """Add workers that had to be replaced while a canary answered."""
        kept = self._open(key)
        if kept is not None:
            kept.canary.lost_workers += count

    def add_routed(self, key: EvidenceKey, canary: Requests, live: Requests) -> None:
        """Add requests that the split gave to a canary and to the live version, in this step."""
        now = self._route(key.model).canary
        kept = self._open(key)
        if kept is not None and now is not None:
            kept.canary.add(now.step, now.weight_bp, canary, live)

    def set_slow(self, key: EvidenceKey, slow_seconds: float) -> None:
        """Fix for all of a canary's epoch which requests are slow."""
        kept = self._open(key)
        if kept is not None:
            kept.canary.slow_seconds = slow_seconds

    def add_live(self, key: EvidenceKey, requests: Requests) -> None:
        """Add requests that a promoted version answered; none of them begins its counts."""
        kept = self._open(key)
        if kept is not None:
            kept.live.add(requests)

    def _open(self, key: EvidenceKey) -> Evidence | None:
        """Return the counts of a key to be changed; None if it has no part any more."""
        if key not in current_keys(self._route(key.model)):
            return None
        self._changed.add(key)
        return self._kept.setdefault(key, Evidence())

    # The store.

    async def open(self) -> None:
        """Take over what an earlier process left, once; it is added to what was seen since.

        Raises:
            StoreUnavailable: it cannot be read now.

        """
        if self._is_open:
            return
        for key, value in (await self._store.run(_load)).items():
            if key not in current_keys(self._route(key.model)):
                continue
            try:
                found = Evidence.from_json(value)
            except (KeyError, TypeError, ValueError):
                log.exception("evidence_unreadable", model=key.model, version=key.version)
                continue
            found.add(self._kept.get(key) or Evidence())
            self._kept[key] = found
        self._is_open = True

    async def flush(self, now: float) -> None:
        """Write what has changed, and forget what has no part any more.

        If the store cannot be used, it waits for the next time.
        """
        for key in self._kept.keys() - self._changed:
            if key not in current_keys(self._route(key.model)):
                del self._kept[key]
        if not self._changed:
            return
        written: set[EvidenceKey] = set()
        try:
            await self.open()
            written, self._changed = self._changed, set()
            # Counts go on changing here while the store's thread writes them: it gets a copy.
            counts = {key: orjson.dumps(self._kept[key].to_json()) for key in written}
            await self._store.run(_saving(counts, frozenset(self._kept), now))
        except StoreUnavailable:
            self._changed |= written  # The store has said so itself.


def _load(connection: "Connection") -> dict[EvidenceKey, dict[str, Any]]:
    from server.store import evidence

    return evidence.load_all(connection)


def _saving(
    counts: Mapping[EvidenceKey, bytes], kept: AbstractSet[EvidenceKey], now: float
) -> "Callable[[Connection], None]":
    def work(connection: "Connection") -> None:
        from server.store import evidence

        values = {key: orjson.loads(one) for key, one in counts.items()}
        evidence.save(connection, values, now)
        evidence.forget(connection, kept, now - KEEP_SECONDS)

    return work
