"""The Starlette application of the control port: repository, statistics, drift, metrics, health.

Decides which routes the control port has and what they answer.

Concurrency: event loop only.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from prometheus_client.metrics_core import Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from server.access.gate import Gate
from server.access.roles import Role
from server.controlplane.known import KnownModel, KnownVersion
from server.controlplane.monitor import Monitor
from server.controlplane.operations import Operations, ready_filter
from server.controlplane.page import render
from server.errors import InvalidRequest, ModelUnavailable, VersionNotFound
from server.http_app import RoleRoute, json_response, read_body, route, starlette_app
from server.openapi.document import document
from server.protocol import metadata

MAX_BODY_BYTES = 1 << 20


class ControlApp:
    """The handlers of the control port."""

    def __init__(
        self,
        operations: Operations,
        collect: Callable[[], list[Metric]],
        is_ready: Callable[[], bool],
        monitor: Monitor,
    ) -> None:
        self._operations = operations
        self._collect = collect
        self._is_ready = is_ready
        self._monitor = monitor

    async def live(self, _: Request) -> Response:
        """Say that control's event loop turns."""
        return json_response(metadata.live())

    async def ready(self, _: Request) -> Response:
        """Say whether every worker serves what it should."""
        reason = "" if self._is_ready() else "not every worker serves what it should yet"
        return json_response(metadata.ready(reason), 503 if reason else 200)

    async def server_metadata(self, _: Request) -> Response:
        """Describe the server."""
        return json_response(metadata.server_metadata())

    async def models(self, _: Request) -> Response:
        """List the models."""
        names = {row["name"] for row in self._operations.index(ready_only=True)}
        return json_response({"models": sorted(names)})

    def _version(self, request: Request) -> tuple[KnownModel, str, KnownVersion]:
        model = self._operations.find(request.path_params["model"])
        version = request.path_params.get("version", model.route.live)
        if version is None:
            raise ModelUnavailable(f"no version of model '{model.name}' answers; see the index")
        known = model.versions.get(version)
        if known is None or known.verdict is None:
            raise VersionNotFound(
                f"model '{model.name}' has no version '{version[:32]}' that can be served"
            )
        return model, version, known

    async def model_metadata(self, request: Request) -> Response:
        """Describe a model's tensors."""
        model, version, known = self._version(request)
        assert known.verdict is not None, "_version returns checked versions only"
        asked = request.path_params.get("version")
        versions = [version] if asked else sorted(model.route.loaded, key=int)
        features = known.plan.features if known.plan else {}
        return json_response(
            metadata.model_metadata(model.name, versions, known.verdict.signature, features)
        )

    async def model_ready(self, request: Request) -> Response:
        """Say whether a model, or one version of it, answers."""
        model = self._operations.find(request.path_params["model"])
        version = request.path_params.get("version")
        if version is not None and version not in model.versions:
            raise VersionNotFound(f"model '{model.name}' has no version '{version[:32]}'")
        # What is live is ready even while new files of it are being loaded.
        is_ready = any(
            row["live"] or (row["state"] == "READY" and version is not None)
            for row in self._operations.model_rows(model)
            if version in (None, row["version"])
        )
        reason = "" if is_ready else f"model '{model.name}' has no such version that answers"
        return json_response(metadata.model_ready(model.name, reason), 503 if reason else 200)

    async def model_config(self, request: Request) -> Response:
        """Return a model's configuration in Triton's form."""
        model, _, known = self._version(request)
        assert known.verdict is not None, "_version returns checked versions only"
        assert known.plan is not None, "a checked version has a plan"
        return json_response(
            metadata.model_config(
                model.name,
                known.plan.settings,
                known.verdict.signature,
                is_batched=known.plan.is_batched,
            )
        )

    async def statistics(self, request: Request) -> Response:
        """Return the statistics extension's answer."""
        params = request.path_params
        return json_response(
            self._operations.statistics(params.get("model"), params.get("version"))
        )

    async def index(self, request: Request) -> Response:
        """Return the repository's index."""
        ready_only = ready_filter(await read_body(request, MAX_BODY_BYTES))
        return json_response(self._operations.index(ready_only=ready_only))

    async def load(self, request: Request) -> Response:
        """Load a model, and answer when every worker has it or with the reason why not."""
        parameters = await _parameters(request)
        rows = await self._operations.load(request.path_params["model"], parameters)
        return json_response({"model": request.path_params["model"], "versions": rows})

    async def unload(self, request: Request) -> Response:
        """Unload a model, and answer when no worker answers for it any more."""
        await _parameters(request)
        await self._operations.unload(request.path_params["model"])
        return json_response({"model": request.path_params["model"]})

    async def drift(self, request: Request) -> Response:
        """Return the drift report of a model."""
        model = self._operations.find(request.path_params["model"])
        return json_response(await self._monitor.report(model, request.query_params.get("version")))

    async def openapi(self, _: Request) -> Response:
        """Describe both ports in OpenAPI's form."""
        return json_response(document())

    async def metrics(self, request: Request) -> Response:
        """Return all metrics."""
        families = self._collect()
        accept = request.headers.get("accept", "")
        page, content_type = await asyncio.to_thread(render, families, accept)
        return Response(page, headers={"content-type": content_type})


async def _parameters(request: Request) -> dict[str, Any]:
    """Read the `parameters` of a load or unload call; the body may be empty."""
    body = await read_body(request, MAX_BODY_BYTES)
    if not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body must be JSON or empty") from None
    parameters = document.get("parameters") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(parameters or {}, dict):
        raise InvalidRequest("the body must be an object, 'parameters' in it too")
    return parameters or {}


def build_app(
    app: ControlApp, others: Iterable[RoleRoute] = (), gate: Gate | None = None
) -> Starlette:
    """Build the application of the control port; `others` are routes that are told elsewhere."""
    model = "/v2/models/{model}"
    version = model + "/versions/{version}"
    repository = "/v2/repository/models/{model}"
    routes: list[RoleRoute] = [
        route("/v2", app.server_metadata, Role.READ_METRICS),
        route("/v2/", app.server_metadata, Role.READ_METRICS),
        route("/v2/health/live", app.live, Role.OPEN),
        route("/v2/health/ready", app.ready, Role.OPEN),
        route("/v2/models", app.models, Role.READ_METRICS),
        route("/v2/models/stats", app.statistics, Role.READ_METRICS),
        route("/v2/repository/index", app.index, Role.READ_METRICS, methods=["POST"]),
        route(repository + "/load", app.load, Role.OPERATE, methods=["POST"]),
        route(repository + "/unload", app.unload, Role.OPERATE, methods=["POST"]),
        route("/v1/models/{model}/drift", app.drift, Role.READ_METRICS),
        route("/metrics", app.metrics, Role.READ_METRICS),
        route("/openapi.json", app.openapi, Role.READ_METRICS),
        *others,
    ]
    for prefix in (model, version):
        routes += [
            route(prefix, app.model_metadata, Role.READ_METRICS),
            route(prefix + "/ready", app.model_ready, Role.READ_METRICS),
            route(prefix + "/config", app.model_config, Role.READ_METRICS),
            route(prefix + "/stats", app.statistics, Role.READ_METRICS),
        ]
    return starlette_app(routes, gate)
