"""What operators may ask of releases: how one stands, to change it, and what it has been through.

Decides what an answer says, and that a call which changes something returns when every worker
answers by the new state, or says which do not. Does not know HTTP.

Concurrency: event loop only.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from server.controlplane.fleet import Fleet, WorkerState
from server.controlplane.known import KnownModel
from server.controlplane.release_calls import Call
from server.controlplane.release_candidates import candidate
from server.controlplane.release_keeper import ReleaseKeeper
from server.controlplane.releases import Releases, Wish
from server.controlplane.router import Router
from server.errors import ModelNotFound, VersionNotFound
from server.operator_errors import StoreUnavailable
from server.release.actions import Action, Verb
from server.release.change import Change
from server.release.mismatches import Mismatch
from server.release.route import ReleaseRoute, to_json
from server.release.states import states
from server.settings import Settings

if TYPE_CHECKING:
    from server.store.audit import Entry

LAST_CHANGE_SECONDS = 1.0
"""How long an answer waits for the store to say who has changed something last."""


class ReleaseOperations:
    """The verbs of releases."""

    def __init__(
        self,
        settings: Settings,
        releases: Releases,
        keeper: ReleaseKeeper,
        router: Router,
        fleet: Fleet,
        models: Mapping[str, KnownModel],
    ) -> None:
        self.gates: Callable[[str], Any] = lambda _model: None
        """What the gates of a model say, as JSON values; whoever judges candidates sets it."""
        self.mismatches: Callable[[tuple[str, str, str]], Sequence[Mismatch]] = lambda _key: ()
        """Samples of rows that a shadow answered differently, by model, version and epoch."""
        self._settings = settings
        self._releases = releases
        self._keeper = keeper
        self._router = router
        self._fleet = fleet
        self._models = models

    async def status(self, model: str) -> dict[str, Any]:
        """Return how a release stands.

        Raises:
            ModelNotFound: nobody goes by that name.

        """
        route = self._releases.route(model)
        known = self._models.get(model)
        if known is None and not route.generation:
            raise ModelNotFound(f"model '{model[:128]}' is not in the repository")
        mode = known.setup.settings.release if known is not None and known.setup else None
        return {
            **to_json(route),
            "mode": mode,
            "versions": self._versions(known, route) if known is not None else [],
            "workers": [_worker(worker, model) for worker in self._fleet.workers],
            "unwritten_changes": self._keeper.unwritten,
            "last_change": await self._last_change(model),
            "gates": self.gates(model),
        }

    async def call(self, model: str, call: Call, request_id: str) -> dict[str, Any]:
        """Change a release, and return when every worker answers by its new state.

        Raises:
            ModelNotFound, VersionNotFound, InvalidRequest: the call makes no sense here.
            ReleaseRefused: something is in the way.
            StaleGeneration: somebody else was first.
            StoreUnavailable: it cannot be written down, and so nothing has changed.

        """
        action = self._completed(model, call.action)
        wish = Wish(
            call.actor,
            call.reason,
            call.expected,
            request_id=request_id,
            key=call.key,
        )
        if call.is_dry_run:
            change = self._releases.preview(model, action, wish)
            return {**_told(change), "dry_run": True}
        outcome = await self._releases.change(model, action, wish)
        generation = outcome.change.after.generation
        is_acknowledged = await self._acknowledged(model, generation)
        return {
            **_told(outcome.change),
            "durable": outcome.is_durable,
            "repeated": outcome.is_repeated,
            "acknowledged": is_acknowledged,
            "workers_behind": [_worker(one, model) for one in self._late(model, generation)],
        }

    async def history(
        self, model: str, limit: int, before_seq: int | None, *, is_verified: bool
    ) -> dict[str, Any]:
        """Return the last changes of a model, newest first; with a look at the whole chain.

        Raises:
            ModelNotFound: nobody goes by that name, and nobody has.
            StoreUnavailable: the audit cannot be read now.

        """
        entries = await self._keeper.history(model, limit, before_seq)
        if not entries and model not in self._models and before_seq is None:
            raise ModelNotFound(f"model '{model[:128]}' is not in the repository")
        answer: dict[str, Any] = {
            "model": model,
            "entries": [asdict(entry) for entry in entries],
            "unwritten_changes": self._keeper.unwritten,
        }
        if is_verified:
            problem = await self._keeper.verify()
            answer["is_sound"] = problem is None
            answer["problem"] = asdict(problem) if problem is not None else None
            first = await self._keeper.first(model)
            answer["begins"] = first and {
                "at_seconds": first.at_seconds,
                "generation": first.from_generation,
            }
        return answer

    def samples(self, model: str, version: str | None) -> dict[str, Any]:
        """Return samples of rows that the shadows of a model, or one of them, answered differently.

        Raises:
            ModelNotFound: nobody goes by that name.
            VersionNotFound: the version is no shadow.

        """
        route = self._releases.route(model)
        if model not in self._models and not route.generation:
            raise ModelNotFound(f"model '{model[:128]}' is not in the repository")
        shadows = [one for one in route.shadows if version in (None, one.version)]
        if version is not None and not shadows:
            raise VersionNotFound(f"version '{version[:32]}' of model '{model}' is no shadow")
        return {
            "model": model,
            "shadows": [
                {
                    "version": one.version,
                    "epoch": one.epoch,
                    "mismatches": [
                        sample.to_json()
                        for sample in self.mismatches((model, one.version, one.epoch))
                    ],
                }
                for one in shadows
            ],
        }

    def _completed(self, model: str, action: Action) -> Action:
        """Return an action with what it can only mean, and with what the model's settings say.

        A promotion without a version means the canary; there is one at most.
        """
        canary = self._releases.route(model).canary
        if action.verb is Verb.PROMOTE and action.version is None and canary is not None:
            return replace(action, version=canary.version)
        known = self._models.get(model)
        if action.verb is Verb.START_CANARY and known is not None and known.setup is not None:
            usual = known.setup.canary
            return replace(
                action,
                steps=action.steps or usual.steps,
                needs_approval=action.needs_approval or usual.approval,
            )
        return action

    def _versions(self, model: KnownModel, route: ReleaseRoute) -> list[dict[str, Any]]:
        """Return digest, state and reason of each version, highest first."""
        ordered = sorted(model.versions, key=int, reverse=True)
        facts = {version: candidate(model, version, route, self._fleet) for version in ordered}
        found = states(route, facts.values())
        return [
            {
                "version": version,
                "digest": facts[version].digest,
                "state": one.state,
                "reason": one.reason,
                "incompatible": facts[version].incompatible,
            }
            for version, one in found.items()
        ]

    async def _last_change(self, model: str) -> dict[str, Any] | None:
        """Return who has changed something last, None if nobody has or the store does not say."""
        last: Change | Entry | None = self._releases.last.get(model)
        if last is None:
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(LAST_CHANGE_SECONDS):
                    entries = await self._keeper.history(model, 1, None)
                    last = entries[0] if entries else None
        if last is None:
            return None
        return {
            "action": last.action,
            "actor": last.actor,
            "reason": last.reason,
            "at_seconds": last.at_seconds,
        }

    async def _acknowledged(self, model: str, generation: int) -> bool:
        """Wait until every worker answers by a generation; say whether they do in time."""

        def is_served() -> bool:
            return bool(self._fleet.workers) and not self._late(model, generation)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.load_timeout_seconds):
                await self._router.until(is_served)
        return is_served()

    def _late(self, model: str, generation: int) -> list[WorkerState]:
        """Return the workers that do not answer by a generation of a release yet."""
        state = self._router.state
        plan = state.models.get(model)
        if plan is not None and plan.release_generation < generation:
            return self._fleet.workers
        if plan is None or plan.live is None:
            # Nobody answers for the model, so a worker has only to know.
            return self._fleet.behind(lambda one: one.generation >= state.generation)
        return self._fleet.behind(lambda one: one.released.get(model, -1) >= generation)


def _told(change: Change) -> dict[str, Any]:
    """Return what an answer says of a change."""
    return {
        "model": change.model,
        "action": change.action,
        "generation": change.after.generation,
        "before": to_json(change.before),
        "after": to_json(change.after),
    }


def _worker(worker: WorkerState, model: str) -> dict[str, Any]:
    """Return the generation by which a worker answers for a model; None while it does not."""
    status = worker.status
    return {
        "worker": worker.hello.worker,
        "pid": worker.hello.pid,
        "generation": status.released.get(model) if status is not None else None,
    }
