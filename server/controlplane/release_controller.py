"""What goes on by itself: count what the split gave to each version, judge, and act.

Decides when: each second for every model with a release. What is to be done is decided in
`release/automatic.py`, and may always be refused: whoever changed the release state meanwhile has
won, and a change that something stands in the way of is asked for again the next second.

Requests are counted only while all workers split by the same weight: what comes while some of them
still split as before, or have just come back, belongs to no step.

Concurrency: event loop only; one thing at a time.
Lifetime: `run` is one task for the life of control; `close` writes what is left.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from server.clock import steady_seconds
from server.controlplane.evidence_book import EvidenceBook, live_epoch
from server.controlplane.release_judge import Judge
from server.controlplane.releases import Releases, Wish
from server.controlplane.routed_counts import RoutedCounts, slow_seconds
from server.errors import TidegateError
from server.operator_errors import ReleaseRefused, StaleGeneration, StoreUnavailable
from server.release.actions import AUTOMATIC, Action, Verb
from server.release.automatic import Decision, next_decision
from server.release.canary_evidence import Requests
from server.release.route import Canary, ReleaseRoute
from server.repository.policy import SYSTEM
from server.store.keys import EvidenceKey
from server.wire.status import Status
from server.wire.tally import Routed, Tally

log = structlog.get_logger()

TICK_SECONDS = 1.0
FLUSH_SECONDS = 5.0
SETTLED_LOOKS = 2
"""In a row at which all workers split by a step's weight: what they counted before has come."""


class Totals(Protocol):
    """What workers have counted since control started."""

    versions: dict[tuple[str, str], Tally]

    def routed(self, model: str, version: str) -> Routed:
        """Return what splits have given to a version."""


class Workers(Protocol):
    """What is known of the workers."""

    def replacements(self) -> Mapping[int, int]:
        """Return how often each worker was replaced, by its number."""

    def behind(self, has_done: Callable[[Status], bool]) -> Sequence[object]:
        """Return the workers of which `has_done` is not true."""


class ReleaseController:
    """The part of control that needs no operator."""

    def __init__(
        self,
        releases: Releases,
        judge: Judge,
        book: EvidenceBook,
        totals: Totals,
        workers: Workers,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self.obstacles: dict[str, str] = {}
        """What stands in the way of the next thing that would be done, by model."""
        self._releases = releases
        self._judge = judge
        self._book = book
        self._totals = totals
        self._workers = workers
        self._replaced: dict[int, int] = {}
        """How often each worker had been replaced when it was last connected."""
        self._clock = clock
        self._counts = RoutedCounts()
        self._looks: dict[str, tuple[int, int]] = {}
        """Of each model with a canary: the generation, and looks in a row at which all had it."""
        self._flush_due = 0.0

    async def run(self) -> None:
        """Go on, for ever."""
        while True:
            try:
                await self.tick()
            except Exception:  # The next second tries again; nothing else depends on this task.
                log.exception("release_controller_failed")
            await asyncio.sleep(TICK_SECONDS)

    def report(self, model: str) -> dict[str, Any]:
        """Return what all gates of a model say, and what is in the way of what would follow."""
        return self._judge.report(model) | {"waits_for": self.obstacles.get(model, "")}

    async def close(self) -> None:
        """Write what is left."""
        await self._book.flush(self._clock())

    async def tick(self) -> None:
        """Do what is due."""
        now = self._clock()
        if not self._releases.is_known:
            return  # What is live is not known for certain; nothing may follow from it.
        # A clock that steps back must not keep counts from the store until it is where it was.
        is_due = not 0.0 < self._flush_due - now <= FLUSH_SECONDS
        if is_due:
            self._flush_due = now + FLUSH_SECONDS
            with contextlib.suppress(StoreUnavailable):  # Then what is seen from now on counts.
                await self._book.open()
        await self._recount()
        routes = {
            model: route
            for model, route in self._releases.routes.items()
            if not self._judge.is_idle(model)
        }
        lost = self._lost_workers()
        self._counts.keep_only({key for route in routes.values() for key in _counted(route)})
        for model in routes:
            route = self._releases.route(model)  # It may have changed while others were judged.
            self._count(model, route)
            if lost and route.canary is not None:
                key = EvidenceKey(model, route.canary.version, route.canary.epoch)
                self._book.add_lost_workers(key, lost)
            situation = self._judge.situation(model)
            decision = situation and next_decision(route, situation, now)
            if decision:
                await self._act(route, decision)
            else:
                self.obstacles.pop(model, None)
            await asyncio.sleep(0)  # A judgement takes milliseconds; others must not wait for all.
        for model in self.obstacles.keys() - routes.keys():
            del self.obstacles[model]
        if is_due:
            await self._book.flush(now)

    async def _recount(self) -> None:
        """Let the counts of shadows begin anew where they are held to other rules than before."""
        for model, route in list(self._releases.routes.items()):
            rules = self._judge.rules(model) if route.shadows else ""
            keys = [EvidenceKey(model, one.version, one.epoch) for one in route.shadows]
            if rules and not all(self._book.is_counted_by(key, rules) for key in keys):
                wish = Wish(SYSTEM, "the rules of [shadow] have changed", route.generation)
                with contextlib.suppress(StaleGeneration, StoreUnavailable):
                    await self._releases.change(model, Action(Verb.RECOUNT), wish)

    async def _act(self, route: ReleaseRoute, decision: Decision) -> None:
        wish = Wish(AUTOMATIC, decision.reason, route.generation, self._judge.report(route.model))
        try:
            outcome = await self._releases.change(route.model, decision.action, wish)
        except StaleGeneration:
            return  # Somebody was faster, and what follows from that is another question.
        except (ReleaseRefused, StoreUnavailable) as error:
            self._note_obstacle(route.model, error)
            return
        self.obstacles.pop(route.model, None)
        after = outcome.change.after
        if decision.action.verb is Verb.PROMOTE and after.live is not None:
            # From here on it is known, over a restart too, that no person promoted it.
            self._book.add_live(EvidenceKey(after.model, after.live, live_epoch(after)), Requests())

    def _note_obstacle(self, model: str, error: TidegateError) -> None:
        if self.obstacles.get(model) != str(error):
            log.warning("release_waits", model=model, error=str(error))
        self.obstacles[model] = str(error)

    # Counting.

    def _lost_workers(self) -> int:
        """Return how many workers have been replaced since the last look."""
        now = self._workers.replacements()
        lost = sum(
            max(0, count - self._replaced.get(worker, count)) for worker, count in now.items()
        )
        self._replaced.update(now)
        return lost

    def _count(self, model: str, route: ReleaseRoute) -> None:
        if route.canary is not None and route.live is not None:
            self._count_split(route, route.live, route.canary)
        else:
            self._looks.pop(model, None)
        if route.live is None:
            return
        key = EvidenceKey(model, route.live, live_epoch(route))
        if self._book.has(key):
            tally = self._totals.versions.get((model, route.live), Tally())
            sums = Routed(tally.outcomes, tally.request)
            new = self._counts.news((model, key.epoch), sums, 0.0)
            self._book.add_live(key, new)

    def _count_split(self, route: ReleaseRoute, live: str, canary: Canary) -> None:
        model = route.model
        key = EvidenceKey(model, canary.version, canary.epoch)
        slow = self._book.of(key).canary.slow_seconds
        new = {
            version: self._counts.news((model, version), self._totals.routed(model, version), slow)
            for version in (live, canary.version)
        }
        if self._is_settled(route):
            self._book.add_routed(key, new[canary.version], new[live])
        if slow == 0.0:
            tally = self._totals.versions.get((model, live), Tally())
            found = slow_seconds(tally.request)
            if found:
                self._book.set_slow(key, found)

    def _is_settled(self, route: ReleaseRoute) -> bool:
        """Say whether what was counted since the last look was split by this state's weight."""
        model, generation = route.model, route.generation
        late = self._workers.behind(lambda one: one.released.get(model, -1) == generation)
        before, looks = self._looks.get(model, (-1, 0))
        looks = 0 if late else (looks + 1 if before == generation else 1)
        self._looks[model] = (generation, looks)
        return looks > SETTLED_LOOKS


def _counted(route: ReleaseRoute) -> set[tuple[str, str]]:
    """Return under which keys requests of a release are counted."""
    versions = {route.live, route.canary.version} if route.canary is not None else set()
    return {(route.model, one or "") for one in (*versions, live_epoch(route))}
