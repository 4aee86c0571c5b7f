"""Turn what is known of models and workers into desired states, one generation after another.

Decides when a new generation is due: whenever what workers should do differs from what they were
last told. It is written to disk first, then sent, so a worker never knows more than a restarted
control.

Concurrency: event loop only.
Lifetime: `run` is one task for the life of control.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace

import structlog

from server.config import Settings
from server.controlplane.fleet import Fleet
from server.controlplane.intents import write_whole
from server.controlplane.known import KnownModel
from server.repository.policy import NO_ROUTE, Route, next_route
from server.wire import desired
from server.wire.desired import DesiredState

log = structlog.get_logger()


class Router:
    """The desired state, and the way to the next one."""

    def __init__(self, models: dict[str, KnownModel], fleet: Fleet, settings: Settings) -> None:
        self._models = models
        self._fleet = fleet
        self._path = settings.state_dir / desired.FILE_NAME
        # What was served before goes on being served until the repository has been looked at.
        self._saved = desired.read_file(settings.state_dir, settings.repository)
        self._is_settled = False
        self._is_written = True
        self.state = DesiredState(0, {}, str(settings.repository))
        if self._saved is not None:
            self.state = replace(
                self._saved, generation=self._saved.generation + 1, is_settled=False
            )
        self._dirty = asyncio.Event()
        self._is_idle = True
        self._progress: set[asyncio.Future[None]] = set()

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
                model.fall_back_on(plan.versions)
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
            await self._dirty.wait()
            self._dirty.clear()
            self._is_idle = False
            try:
                await self._advance()
            except Exception:  # The next change tries again; nothing else depends on this task.
                log.exception("routing_failed")
            self._is_idle = True
            self._wake()

    async def _advance(self) -> None:
        if self._saved is not None:
            return
        for model in self._models.values():
            model.forget_gone()
            model.note_failures(
                self._fleet.failures(model.name), self._fleet.loaded_everywhere(model.name)
            )
            servable = model.servable(model.failures, self._fleet.loaded_somewhere(model.name))
            if not servable or model.setup is None:
                model.route = NO_ROUTE
                continue
            model.route = next_route(
                model.route,
                model.setup.settings.version_policy,
                servable,
                self._fleet.loaded_everywhere(model.name),
                model.gone(),
            )
        plans = {
            name: model.to_plan()
            for name, model in sorted(self._models.items())
            if not model.is_unloaded
        }
        overtaken = self._fleet.highest_generation() > self.state.generation
        same = plans == self.state.models and self.state.is_settled == self._is_settled
        if same and not overtaken:
            if self.state.generation and not (self._is_written and self._path.exists()):
                await self._write(desired.encode(self.state))
            return
        generation = max(self.state.generation, self._fleet.highest_generation()) + 1
        self.state = DesiredState(
            generation, plans, self.state.repository, is_settled=self._is_settled
        )
        message = desired.encode(self.state)
        await self._write(message)
        self._fleet.broadcast(message)
        log.info("generation", generation=generation, models=len(plans))

    async def _write(self, message: bytes) -> None:
        """Write the desired state to disk; if that fails, workers' next words lead here again.

        Workers are told all the same: serving goes on when the disk does not.
        """
        try:
            await asyncio.to_thread(write_whole, self._path, message)
        except OSError:
            if self._is_written:
                log.exception("desired_state_not_saved")
            self._is_written = False
        else:
            self._is_written = True

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
