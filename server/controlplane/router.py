"""Turn releases, models and workers into desired states, one generation after another.

Decides when a new generation is due: whenever what workers should do differs from what they were
last told. It is written to disk first, then sent, so a worker never knows more than a restarted
control; but a disk that takes long is not waited for, or a roll back would wait with it.

Which version is live, the release state says. Where it must change because of what there is in
the repository or in the workers (`repository/policy.py`), it is changed from here.

Concurrency: event loop only.
Lifetime: `run` is one task for the life of control.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import replace

import structlog

from server.clock import steady_seconds
from server.controlplane.fleet import Fleet
from server.controlplane.intents import set_aside, write_whole
from server.controlplane.known import KnownModel
from server.controlplane.releases import Releases, Wish
from server.errors import TidegateError
from server.release.actions import Action, Verb
from server.repository.policy import (
    NO_ROUTE,
    SYSTEM,
    Choice,
    Facts,
    Route,
    choose,
    kept_previous,
    select,
    to_load,
)
from server.settings import Settings
from server.wire import desired
from server.wire.desired import DesiredState, ModelPlan

log = structlog.get_logger()

RETRY_SECONDS = 1.0
"""After it, what could not be changed or written is tried again."""
WRITE_PATIENCE_SECONDS = 0.25
"""How long workers wait for the disk before they are told all the same."""
LOST = "what was live is not known any more: its release state was lost; promote, then resume"


class Router:
    """The desired state, and the way to the next one."""

    def __init__(
        self,
        models: dict[str, KnownModel],
        fleet: Fleet,
        settings: Settings,
        releases: Releases,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._models = models
        self._fleet = fleet
        self._releases = releases
        self._clock = clock
        self._path = settings.state_dir / desired.FILE_NAME
        # What was served before goes on being served until the repository has been looked at.
        self.is_state_lost = False
        """Whether there was a desired state at the start of control, and it could not be read."""
        self._unsure: frozenset[str] = frozenset()
        """Models that may have had a release state which is lost."""
        self._saved = self._read_saved(settings)
        self._is_unsaved = self._saved is None
        """Whether nobody has asked yet what is lost, where there is no state from before."""
        self._is_settled = False
        self._is_written = True
        self._has_failed = False
        self._unwritten: bytes | None = None
        self._writing: asyncio.Task[None] | None = None
        is_signed = settings.signers_path is not None
        self.state = DesiredState(0, {}, str(settings.repository), is_signed=is_signed)
        if self._saved is not None:
            plans = self._saved.models.values()
            releases.take_saved(plan.release for plan in plans if plan.release is not None)
            self.state = replace(
                self._saved,
                generation=self._saved.generation + 1,
                is_settled=False,
                is_signed=is_signed,
            )
        self._dirty = asyncio.Event()
        self._is_idle = True
        self._progress: set[asyncio.Future[None]] = set()

    def _read_saved(self, settings: Settings) -> DesiredState | None:
        try:
            return desired.open_file(settings)
        except (OSError, desired.Damaged) as error:
            self.is_state_lost = True
            moved_to = set_aside(self._path)
            log.error("desired_state_unreadable", error=str(error), moved_to=moved_to)
            return None

    def greeting(self) -> bytes:
        """Return the desired state for a worker that has just come."""
        return desired.encode(self.state)

    def settle(self) -> None:
        """The whole repository has been looked at: from now on, what is not there is gone.

        What is there and cannot be served as it lies there now goes on being served as it was.
        """
        for name, plan in (self._saved.models if self._saved else {}).items():
            model = self._models.get(name)
            if model is not None and model.route == NO_ROUTE:
                model.route = Route(plan.live, frozenset(plan.versions))
                model.fall_back_on(plan.versions, self._releases.route(name).previous)
        self._saved = None
        self._is_settled = True
        self.note()

    @property
    def is_settled(self) -> bool:
        """Whether the whole repository has been looked at."""
        return self._is_settled

    def trust_saved(self) -> None:
        """The repository cannot be looked at: what was served before is all there is, for now.

        Without this, a worker that starts now would serve it and never call itself ready.
        """
        if self._saved is not None and not self.state.is_settled:
            generation = self.state.generation + 1
            self.state = replace(self.state, generation=generation, is_settled=True)
            self._fleet.broadcast(desired.encode(self.state))
            self.note()

    def note(self) -> None:
        """Something changed that may call for another generation."""
        self._dirty.set()
        self._wake()

    async def run(self) -> None:
        """Make and send desired states as they are called for."""
        while True:
            must_retry = self._has_failed or not self._is_written
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if must_retry else None):
                    await self._dirty.wait()
            self._dirty.clear()
            self._is_idle = self._has_failed = False
            try:
                await self._advance()
            except Exception:  # It is tried again; nothing else depends on this task.
                self._has_failed = True
                log.exception("routing_failed")
            self._is_idle = True
            self._wake()

    async def mend(self) -> None:
        """Have the desired state written anew if somebody has removed it."""
        if self.state.generation and not self._path.exists():
            self.note()

    async def _advance(self) -> None:
        if self._saved is None and self._releases.is_known:
            self._note_lost()
            plans, is_settled = self._plans(), self._is_settled
        else:
            # Nobody has looked yet at what there is; but who answers may be changed already.
            plans = {name: self._overlay(name, one) for name, one in self.state.models.items()}
            is_settled = self.state.is_settled
        overtaken = self._fleet.highest_generation() > self.state.generation
        same = plans == self.state.models and self.state.is_settled == is_settled
        if same and not (overtaken and self._saved is None):
            if self.state.generation and not (self._is_written and self._path.exists()):
                await self._write(desired.encode(self.state))
            return
        generation = max(self.state.generation, self._fleet.highest_generation()) + 1
        self.state = replace(self.state, generation=generation, models=plans, is_settled=is_settled)
        message = desired.encode(self.state)
        await self._write(message)
        self._fleet.broadcast(message)
        log.info("generation", generation=generation, models=len(plans))

    def _note_lost(self) -> None:
        """Find out, once all is read that there is, whether it is known what was live before."""
        if self._is_settled and self._is_unsaved:
            self._is_unsaved = False
            if self.is_state_lost or self._releases.may_be_lost:
                self._unsure = frozenset(self._models)

    def _plans(self) -> dict[str, ModelPlan]:
        """Say what workers shall do about each model."""
        for model in self._models.values():
            self._route(model)
        return {
            name: model.to_plan(self._releases.route(name))
            for name, model in sorted(self._models.items())
            if not model.is_unloaded
        }

    def _route(self, model: KnownModel) -> None:
        """Find who answers for a model and what is loaded, and keep its release state true."""
        fleet, name = self._fleet, model.name
        loaded = fleet.loaded_everywhere(name)
        model.forget_gone(self._kept_previous(model))
        model.note_failures(fleet.failures(name), loaded)
        model.note_faults(self._releases.route(name))
        servable = model.servable(model.failures, fleet.loaded_somewhere(name))
        if not servable or model.setup is None:
            model.route = NO_ROUTE
            return
        settings = model.setup.settings
        facts = Facts(
            settings.release,
            select(settings.version_policy, servable.keys() - model.gone()),
            servable,
            loaded,
            is_complete=self._is_settled
            and not any(known.is_checking for known in model.versions.values()),
        )
        live = self._choose(model, facts)
        previous = self._kept_previous(model)
        model.route = Route(live, to_load(self._releases.route(name), live, previous, facts))

    def _kept_previous(self, model: KnownModel) -> str | None:
        """Return what was live before and is still to be kept loaded."""
        if model.setup is None:
            return None
        return kept_previous(
            self._releases.route(model.name),
            now_seconds=self._clock(),
            keep_previous_seconds=model.setup.settings.keep_previous_seconds,
        )

    def _choose(self, model: KnownModel, facts: Facts) -> str | None:
        """Return the version that answers, once the release state says so too."""
        if model.name in self._unsure:
            self._take_lost(model, facts)
        release = self._releases.route(model.name)
        choice = choose(release, model.route.live, facts)
        if not choice.actor or self._change(model, choice):
            return choice.live
        return release.live if release.live in facts.servable else None

    def _take_lost(self, model: KnownModel, facts: Facts) -> None:
        """Have a person say what is live, if neither the saved state nor the store does.

        With `release = latest` the highest version is, as it would be of new files; and of one
        version there is no doubt.
        """
        self._unsure -= {model.name}
        if self._releases.route(model.name).generation or len(model.versions) == 1:
            return
        log.error("release_state_lost", model=model.name, release=facts.mode)
        if facts.mode != "latest":
            self._releases.change_now(model.name, Action(Verb.HOLD), Wish(SYSTEM, LOST))

    def _change(self, model: KnownModel, choice: Choice) -> bool:
        """Change the release state to what is chosen; say whether that was possible."""
        release = self._releases.route(model.name)
        is_back = choice.actor == SYSTEM and choice.live == release.previous
        action = Action(Verb.FALL_BACK) if is_back else Action(Verb.SET_LIVE, choice.live)
        try:
            self._releases.change_now(model.name, action, Wish(choice.actor, choice.reason))
        except TidegateError as error:
            self._has_failed = True
            log.warning("release_not_changed", model=model.name, error=str(error))
            return False
        return True

    def forgive(self, model: KnownModel) -> None:
        """Have versions served again that were taken out, because an operator loads them."""
        if model.taken_out:
            action, wish = Action(Verb.FORGIVE), Wish("operator", "load call")
            self._releases.change_now(model.name, action, wish)

    def _overlay(self, name: str, plan: ModelPlan) -> ModelPlan:
        """Return a saved plan with a newer release state, if that names a version of it."""
        release = self._releases.route(name)
        if release.generation <= plan.release_generation or release.live not in plan.versions:
            return plan
        return replace(plan, live=release.live, release=release)

    async def _write(self, message: bytes) -> None:
        """Write the desired state to disk; if that fails, it is tried again soon.

        Workers are told all the same: serving goes on when the disk does not.
        """
        self._unwritten = message
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_newest())
        _, waiting = await asyncio.wait({self._writing}, timeout=WRITE_PATIENCE_SECONDS)
        if waiting:
            self._is_written = False

    async def _write_newest(self) -> None:
        while self._unwritten is not None:
            message, self._unwritten = self._unwritten, None
            try:
                await asyncio.to_thread(write_whole, self._path, desired.sealed(message))
            except OSError:
                if self._is_written:
                    log.exception("desired_state_not_saved")
                self._is_written = False
            else:
                self._is_written = True
                self._wake()

    @property
    def store_writable(self) -> bool:
        """Whether the desired state is on disk, and another one could be."""
        return self._is_written and os.access(self._path.parent, os.W_OK)

    @property
    def is_stable(self) -> bool:
        """Whether every worker has done all there is to do."""
        return (
            self._is_idle
            and not self._dirty.is_set()
            and self._fleet.reached(self.state.generation)
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at whenever something changes."""
        while not condition():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._progress.add(future)
            await future

    def _wake(self) -> None:
        waiting, self._progress = self._progress, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)
