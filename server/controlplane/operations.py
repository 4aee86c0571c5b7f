"""What operators and callers may ask of control: the index, loads, unloads, statistics.

Decides what a load call waits for and what its answer says. Does not know HTTP.

Concurrency: event loop only.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from server.controlplane.catalog import Catalog
from server.controlplane.fleet import Fleet
from server.controlplane.intents import Intents
from server.controlplane.known import KnownModel, State, describe
from server.controlplane.router import Router
from server.controlplane.statistics import model_statistics
from server.controlplane.totals import Totals
from server.errors import (
    InvalidRequest,
    ModelInvalid,
    ModelNotFound,
    TidegateError,
    VersionNotFound,
)
from server.operator_errors import LoadTimeout
from server.repository.model_settings import override_from_config
from server.settings import Settings

log = structlog.get_logger()


class Operations:
    """The verbs of the control plane."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        router: Router,
        fleet: Fleet,
        totals: Totals,
        intents: Intents,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._router = router
        self._fleet = fleet
        self._totals = totals
        self._intents = intents

    @property
    def is_intent_lost(self) -> bool:
        """Whether what operators had asked for could not be read when control started."""
        return self._intents.is_lost

    def answered(self, message: memoryview) -> bytes:
        """Answer what a caller of a worker's data port asked."""
        question = orjson.loads(message)
        number = question["number"]
        try:
            if question["question"] == "index":
                ready_only = ready_filter(question["body"].encode("latin-1"))
                answer: object = self.index(ready_only=ready_only)
            else:
                answer = self.statistics(question.get("model"), question.get("version"))
        except TidegateError as error:
            return orjson.dumps({"number": number, "error": str(error), "code": error.code})
        return orjson.dumps({"number": number, "answer": answer})

    def index(self, *, ready_only: bool = False) -> list[dict[str, Any]]:
        """Return the repository's index: a row for each version, and for each broken folder."""
        rows: list[dict[str, Any]] = []
        for name, model in sorted(self._catalog.models.items()):
            rows += self.model_rows(model)
            if not model.versions:
                rows.append(_broken(name, model.folder.problem))
        rows += [_broken(name, problem) for name, problem in sorted(self._catalog.problems.items())]
        return [row for row in rows if not ready_only or row["state"] == State.READY]

    def model_rows(self, model: KnownModel) -> list[dict[str, Any]]:
        """Return the index rows of one model."""
        loaded = self._fleet.loaded_everywhere(model.name)
        live = self._fleet.live_everywhere(model.name)
        rows = [
            describe(model, version, loaded, model.failures, is_live=version == live)
            for version in model.versions
        ]
        unready = self._fleet.unready(model.name)
        for row in rows:
            if row["live"] and unready:
                row["unready"] = unready
        return rows

    def find(self, name: str) -> KnownModel:
        """Return a known model, or raise ModelNotFound."""
        model = self._catalog.models.get(name)
        if model is None:
            raise ModelNotFound(f"model '{name[:128]}' is not in the repository")
        return model

    async def load(self, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Load a model as it lies in the repository; return its index rows when all is done.

        Raises:
            ModelNotFound: the repository has no such model.
            InvalidRequest: a parameter cannot be followed.
            ModelInvalid: a version that the policy selects cannot be served. What was served
                before still is.
            LoadTimeout: it takes longer than `load_timeout_seconds`.
            StateNotSaved: the wish cannot be written down; nothing has changed.

        """
        override = _override(parameters)
        try:
            async with asyncio.timeout(self._settings.load_timeout_seconds):
                return await self._load(name, override)
        except TimeoutError:
            raise LoadTimeout(
                f"model '{name[:128]}' is still being loaded after "
                f"{self._settings.load_timeout_seconds:g} seconds; the index shows how it goes on"
            ) from None

    async def _load(self, name: str, override: dict[str, Any] | None) -> list[dict[str, Any]]:
        await self._catalog.refresh(name)
        self.find(name)
        before = self._intents.overrides.get(name)
        await self._intents.change(name, is_unloaded=False, override=override)
        try:
            return await self._loaded(name)
        except ModelInvalid:
            if before != override:  # A call that is refused leaves the settings as they were.
                await self._intents.change(name, is_unloaded=False, override=before)
                await self._catalog.refresh(name)
            raise

    async def _loaded(self, name: str) -> list[dict[str, Any]]:
        """Bring a model in as it is now wished; return its index rows when all is done."""
        self._catalog.try_again(name)
        await self._catalog.refresh(name)
        await self._catalog.checks_of(name)
        model = self.find(name)
        if model.setup_error:
            raise ModelInvalid(f"model '{name}': {model.setup_error}", fix=model.setup_fix)
        model.failures.clear()  # Asked for again, so tried again.
        self._router.forgive(model)
        self._router.note()
        await self._router.until(lambda: self._router.is_stable)
        rows = self.model_rows(model)
        selected = set(model.selected())
        if rows and not selected:
            raise ModelInvalid(
                f"model '{name}': the version policy "
                f"'{model.policy}' selects none of its versions ({', '.join(model.versions)})",
                fix="name versions that are there, or add the versions that are named",
            )
        for row in rows:
            if row["version"] in selected and row["reason"]:
                raise ModelInvalid(
                    f"model '{name}' version {row['version']}: {row['reason']}",
                    fix=row.get("fix", ""),
                    problem=row.get("problem", ""),
                )
        if not rows:
            raise ModelInvalid(f"model '{name}': {model.folder.problem}", fix="add a version")
        log.info("load_called", model=name)
        return rows

    async def unload(self, name: str) -> None:
        """Stop serving a model until it is loaded again; returns when no worker answers for it.

        Raises:
            ModelNotFound: the repository has no such model.
            LoadTimeout: a worker does not follow in time.
            StateNotSaved: the wish cannot be written down; nothing has changed.

        """
        model = self.find(name)
        await self._intents.change(name, is_unloaded=True, override=None)
        model.is_unloaded = True
        self._router.note()
        try:
            async with asyncio.timeout(self._settings.load_timeout_seconds):
                await self._router.until(lambda: self._router.is_stable)
        except TimeoutError:
            raise LoadTimeout(f"model '{name}' is still being unloaded") from None
        log.info("unload_called", model=name)

    def statistics(self, name: str | None, version: str | None) -> dict[str, Any]:
        """Return the statistics extension's answer for all models, one, or one version.

        Raises:
            ModelNotFound, VersionNotFound: nobody goes by that name.

        """
        if name is not None:
            model = self.find(name)
            if version is not None and version not in model.versions:
                raise VersionNotFound(f"model '{name}' has no version '{version[:32]}'")
        served = [
            (model.name, one) for model in self._catalog.models.values() for one in model.planned()
        ]
        chosen = [
            key
            for key in served
            if (name is None or key[0] == name) and (version is None or key[1] == version)
        ]
        return model_statistics(self._totals, sorted(chosen))


def ready_filter(body: bytes) -> bool:
    """Read the body of an index request: empty, or {"ready": bool}."""
    if not body.strip():
        return False
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body must be JSON or empty") from None
    ready = value.get("ready", False) if isinstance(value, dict) else None
    if not isinstance(ready, bool):
        raise InvalidRequest("'ready' must be true or false")
    return ready


def _override(parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    for name in parameters:
        if name.startswith("file:"):
            raise InvalidRequest("models are loaded from the repository only; 'file:' is refused")
        if name not in ("config", "unload_dependents"):
            raise InvalidRequest(f"parameter '{str(name)[:64]}' is not known")
    if "config" not in parameters:
        return None
    try:
        config = orjson.loads(parameters["config"])
    except (orjson.JSONDecodeError, TypeError):
        raise InvalidRequest("'config' must be a JSON object in a string") from None
    return override_from_config(config)


def _broken(name: str, problem: str) -> dict[str, Any]:
    return {"name": name, "version": "", "state": State.UNAVAILABLE, "reason": problem}
