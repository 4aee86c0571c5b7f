"""The release state of every model: what it is now, and the one way to change it.

Decides the order of a change. One that somebody asks for is checked, committed so that a power cut
cannot take it back, put in place, and then carried out by the router. One that cannot wait (a roll
back, a switch by the version policy, a live version that cannot be served) is put in place first
and written as soon as the store can be written; it overtakes a change that is being committed,
which then counts as never made.

Concurrency: event loop only, but for `_is_current`, which the store's thread calls: it compares one
entry of a dictionary with a value that never changes.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from server.clock import steady_seconds
from server.controlplane.fleet import Fleet
from server.controlplane.known import KnownModel
from server.controlplane.release_candidates import candidate, check_way_back, preferred_to
from server.controlplane.release_keeper import ReleaseKeeper
from server.errors import ModelNotFound
from server.operator_errors import IdempotencyConflict, StaleGeneration, StoreUnavailable
from server.release.actions import (
    NEEDS_CANDIDATE,
    Action,
    Asked,
    Verb,
    carry_out,
    passing_over,
    refuse_second_rollback,
)
from server.release.candidate import Candidate
from server.release.change import Change
from server.release.route import ReleaseRoute
from server.release.transitions import expect
from server.repository.policy import SYSTEM
from server.store.keys import IdempotencyKey

log = structlog.get_logger()

IN_A_HURRY = frozenset({Verb.ROLLBACK, Verb.FALL_BACK, Verb.SET_LIVE, Verb.FAIL, Verb.FORGIVE})
"""Changes that are put in place before they are written."""

COMMIT_SECONDS = 15.0
"""How long a change waits to be committed before its caller is told that it is not made."""
ROLLBACK_COMMIT_SECONDS = 2.0
"""How long a change that is in place already waits for the store before its caller hears of it."""
MAX_KEYS = 1000
"""Idempotency keys of calls that waited for nothing."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks for a change, and what goes with it."""

    actor: str
    reason: str = ""
    expected: int | None = None
    """The generation that the caller has looked at; None if it does not matter."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What the change rests on, as JSON values."""
    request_id: str = ""
    key: IdempotencyKey | None = None
    """Under which the same call is made once only."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A change that was made."""

    change: Change
    is_durable: bool = True
    """Whether it is in the store; if not, it will be as soon as the store can be written."""
    is_repeated: bool = False
    """Whether it was made by an earlier call with the same key."""


class Releases:
    """The release state of every model."""

    def __init__(
        self,
        models: Mapping[str, KnownModel],
        fleet: Fleet,
        keeper: ReleaseKeeper,
        changed: Callable[[], None],
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self.unproven: Callable[[str, str], Sequence[str]] = lambda _model, _version: ()
        """What gates have against the promotion of a model's version, in words."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """Changes since control started, by model and verb."""
        self.last: dict[str, Change] = {}
        """The newest change of each model since control started."""
        self.known = asyncio.Event()
        """Set when it may be acted upon: the store has been read, or waited for long enough."""
        self.known.set()
        self.may_be_lost = False
        """Whether there was a store that could have said more, and it was put aside or not read."""
        self._models = models
        self._fleet = fleet
        self._keeper = keeper
        self._changed = changed
        self._clock = clock
        self._routes: dict[str, ReleaseRoute] = {}
        self._committing: dict[str, int] = {}
        """Generations that are being committed, by model: whatever overtakes them is higher."""
        self._turn = asyncio.Lock()
        self._made: dict[tuple[str, str], tuple[str, Change]] = {}
        """By model and key: the hash and the change of calls that waited for nothing."""
        keeper.raised = self._raised

    def route(self, model: str) -> ReleaseRoute:
        """Return the release state of a model; of generation 0 if it has none."""
        return self._routes.get(model) or ReleaseRoute(model)

    @property
    def is_known(self) -> bool:
        """Whether what is here may be acted upon."""
        return self.known.is_set()

    @property
    def routes(self) -> Mapping[str, ReleaseRoute]:
        """The release state of every model that has one."""
        return self._routes

    # What was known before this control.

    def take_saved(self, saved: Iterable[ReleaseRoute]) -> None:
        """Begin with what the last desired state says, until the store has been read."""
        self._routes.update((route.model, route) for route in saved)

    def take_stored(self, stored: Mapping[str, ReleaseRoute], *, is_lost: bool = False) -> None:
        """Take over what the store says, and have written what it does not know yet.

        `is_lost` says that it is a new store, in the place of one that was damaged.

        Of each model, the higher generation is the truth: a change is in the store before it is in
        a desired state, but for one that could not wait for the store.
        """
        for model, route in stored.items():
            if route.generation > self.route(model).generation:
                self._routes[model] = route
        for model, route in self._routes.items():
            before = stored.get(model) or ReleaseRoute(model)
            if route.generation > before.generation and model not in self.last:  # Else it waits.
                reason = "found in the desired state; the store did not have it"
                change = Change("recover", before, route, time.time(), SYSTEM, reason)
                self._keeper.later(replace(change, must_follow=False))
        self._go_on(may_be_lost=is_lost)

    def go_on_without(self) -> None:
        """Act upon what is here: there is no more to be had for now."""
        self._go_on(may_be_lost=True)

    def _go_on(self, *, may_be_lost: bool) -> None:
        self.may_be_lost = may_be_lost
        self.known.set()
        self._changed()

    # Changes.

    def preview(self, model: str, action: Action, wish: Wish) -> Change:
        """Return the change that would follow.

        Raises:
            ModelNotFound, VersionNotFound: nobody goes by that name.
            InvalidRequest: a field of the action, or the reason, cannot be.
            StaleGeneration: the state is not the one that the caller has looked at.
            ReleaseRefused: with all that is in the way.

        """
        before = self.route(model)
        if model not in self._models and before.live is None:
            raise ModelNotFound(f"model '{model[:128]}' is not in the repository")
        expect(before, wish.expected)
        if action.verb is Verb.ROLLBACK:
            self._check_way_back(before, is_looked_at=wish.expected is not None)
        asked = Asked(wish.actor, wish.reason, self._clock())
        after = carry_out(before, action, self._candidate(before, action), asked)
        if action.verb is Verb.PROMOTE:
            after = passing_over(after, preferred_to(self._models[model], after))
        return Change(
            action.verb.value,
            before,
            after,
            time.time(),
            wish.actor,
            wish.reason,
            wish.request_id,
            wish.evidence,
            must_follow=action.verb not in IN_A_HURRY,
        )

    async def change(self, model: str, action: Action, wish: Wish) -> Outcome:
        """Change the release state of a model; returns when it is in place and committed.

        A roll back is in place when this is called, and waits for the store a moment only.

        Raises:
            ModelNotFound, VersionNotFound, InvalidRequest, ReleaseRefused: as `preview`.
            StaleGeneration: the state is not the one that the caller has looked at, or was changed
                while this change was being committed.
            StoreUnavailable: it cannot be committed; nothing has changed.

        """
        if action.verb in IN_A_HURRY:
            return await self._change_in_a_hurry(model, action, wish)
        turn = _Turn()
        work = asyncio.create_task(self._change_in_turn(model, action, wish, turn))
        done, _ = await asyncio.wait({work}, timeout=COMMIT_SECONDS)
        if done:
            return work.result()
        # The store's thread may be past the point of no return; then the change is put in place.
        turn.is_given_up = True
        work.add_done_callback(_note_late)
        raise StoreUnavailable(
            f"the store does not answer within {COMMIT_SECONDS:g} seconds; nothing has changed, "
            f"unless the release state says otherwise later"
        )

    def change_now(self, model: str, action: Action, wish: Wish) -> Change:
        """Change the release state of a model at once, and have it written when that is possible.

        Raises:
            ModelNotFound, VersionNotFound, InvalidRequest, StaleGeneration, ReleaseRefused: as
                `preview`.

        """
        change = self.preview(model, action, wish)
        promised = self._committing.get(model, 0)
        if promised >= change.after.generation:
            after = replace(change.after, generation=promised + 1)
            change = replace(change, after=after)
        self._put(change)
        self._keeper.later(change)
        return change

    async def _change_in_a_hurry(self, model: str, action: Action, wish: Wish) -> Outcome:
        """Make a change that waits for nothing; its key is remembered while control runs."""
        key = wish.key
        made = self._made.get((key.model, key.key)) if key is not None else None
        if key is not None and made is not None:
            if made[0] != key.body_hash:
                raise IdempotencyConflict(
                    f"Idempotency-Key: '{key.key[:64]}' stood for another call"
                )
            change = made[1]
        else:
            change = self.change_now(model, action, wish)
        if key is not None:
            self._made[key.model, key.key] = (key.body_hash, change)
            if len(self._made) > MAX_KEYS:
                del self._made[next(iter(self._made))]
        is_durable = await self._keeper.written(change, ROLLBACK_COMMIT_SECONDS)
        return Outcome(change, is_durable, is_repeated=made is not None)

    async def _change_in_turn(
        self, model: str, action: Action, wish: Wish, turn: "_Turn"
    ) -> Outcome:
        async with self._turn:
            if wish.key is not None:
                made = await self._keeper.find(wish.key, self._clock())
                if made is not None:
                    return Outcome(made, is_repeated=True)
            change = self.preview(model, action, wish)
            self._committing[model] = change.after.generation
            try:
                await self._keeper.commit(
                    change,
                    lambda: not turn.is_given_up and self._is_current(change),
                    wish.key,
                    self._clock(),
                )
            finally:
                del self._committing[model]
            if not self._is_current(change):
                raise _overtaken(self.route(model), self.last.get(model))
            self._put(change)
            return Outcome(change)

    def _is_current(self, change: Change) -> bool:
        """Whether the state that a change begins with is still in place; on any thread."""
        return self.route(change.model).generation == change.before.generation

    def _put(self, change: Change) -> None:
        self._routes[change.model] = change.after
        self.last[change.model] = change
        self.counts[change.model, change.action] += 1
        log.info(
            "release_changed",
            model=change.model,
            action=change.action,
            actor=change.actor,
            reason=change.reason,
            generation=change.after.generation,
            live=change.after.live,
        )
        self._changed()

    def _raised(self, change: Change, saved: ReleaseRoute) -> None:
        """A change that waited for nothing was saved above what the store held meanwhile."""
        if self.route(change.model) == change.after:
            self._routes[change.model] = saved
            self._changed()

    def _candidate(self, route: ReleaseRoute, action: Action) -> Candidate | None:
        if action.verb not in NEEDS_CANDIDATE or action.version is None:
            return None
        model = self._models.get(route.model)
        if model is None:
            raise ModelNotFound(f"model '{route.model}' is not in the repository")
        unproven = self.unproven(model.name, action.version) if action.verb is Verb.PROMOTE else ()
        return candidate(model, action.version, route, self._fleet, unproven)

    def _check_way_back(self, route: ReleaseRoute, *, is_looked_at: bool) -> None:
        if not is_looked_at:
            refuse_second_rollback(route)
        model = self._models.get(route.model)
        if model is not None:  # Else the repository has not been looked at yet.
            check_way_back(model, route, self._fleet)


@dataclass(slots=True)
class _Turn:
    """Whether somebody still waits for a change."""

    is_given_up: bool = False


def _note_late(work: "asyncio.Task[Outcome]") -> None:
    if not work.cancelled() and work.exception() is not None:
        log.warning("release_change_given_up", error=str(work.exception()))


def _overtaken(route: ReleaseRoute, last: Change | None) -> StaleGeneration:
    by = f" by {last.actor}" if last is not None else ""
    return StaleGeneration(
        f"the release of model '{route.model}' was changed{by} to generation {route.generation} "
        "while this change was being written"
    )
