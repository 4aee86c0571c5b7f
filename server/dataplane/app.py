"""The Starlette application of the data port: everything that is not a hot inference.

Decides which routes the data port has and what they answer. Inference itself is the predictor's;
what needs all workers (statistics, the repository's index) is asked of control. The routes that
change something exist on the control port only.

Concurrency: event loop only.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from server.access.gate import Gate
from server.access.quotas import caller_of
from server.access.roles import Role
from server.dataplane.call import CLIENT_GONE, Call
from server.dataplane.plane import Plane
from server.dataplane.routes import ModelRoute
from server.dataplane.served import ServedVersion
from server.dataplane.targets import Target
from server.errors import ModelNotFound, NotFound, TidegateError
from server.http_app import (
    RoleRoute,
    json_response,
    peer_of,
    principal_of,
    respond,
    route,
    starlette_app,
)
from server.protocol import compression, metadata, request_headers, v1
from server.protocol.answers import BatchOutputs, InferAnswer
from server.protocol.contract import Contract
from server.protocol.http_answer import infer_http
from server.protocol.infer_request import InferRequest
from server.protocol.request_headers import InferHeaders

Ask = Callable[[dict[str, Any]], Awaitable[Any]]
"""Put a question to control; return its answer or raise its error."""


class WaitingCall(Call):
    """An inference whose caller is a coroutine."""

    __slots__ = ("_request", "future")

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self.future: asyncio.Future[InferAnswer] = asyncio.get_running_loop().create_future()

    def caller(self) -> str:
        """Return who asks, as quotas count."""
        return caller_of(principal_of(self._request), peer_of(self._request.scope).address)

    def answered(self, answer: InferAnswer | Exception) -> None:
        """Wake the coroutine."""
        if self.future.done():
            return
        if isinstance(answer, InferAnswer):
            self.future.set_result(answer)
        else:
            self.future.set_exception(answer)


class V1Call(WaitingCall):
    """A prediction in the V1 protocol."""

    __slots__ = ("is_columnar",)

    def decode(self, body: bytes, json_length: int | None, contract: Contract) -> InferRequest:
        """Read the request; whether it is columnar decides the form of the answer."""
        del json_length
        request, self.is_columnar = v1.decode(body, contract, self.served.features)
        return request

    def finish(
        self, outputs: BatchOutputs, first: int, number: int, bodies: Sequence[bytes] | None = None
    ) -> str:
        """Answer with the rows from `first` on; return the outcome to count."""
        del bodies
        if self.is_gone:
            return CLIENT_GONE
        self.number = number
        contract = self.served.contract
        rows = slice(first, first + self.rows)
        arrays = [array[rows] if contract.is_batched else array[0] for array in outputs.arrays]
        try:
            self.served.writer.check_size(outputs, self.rows)
            answer = v1.write(
                arrays,
                contract.signature.outputs,
                columnar=self.is_columnar,
                tokens=self.served.settings.non_finite == "token",
                warnings=self.request.warnings,
            )
        except TidegateError as error:
            return self.fail(error)
        self.answered(answer)
        return "ok"


class DataApp:
    """The handlers of the data port."""

    def __init__(self, plane: Plane, ask: Ask) -> None:
        self._plane = plane
        self._ask = ask

    def _model(self, request: Request) -> ModelRoute:
        name = request.path_params["model"]
        route = self._plane.routes.table.models.get(name)
        if route is None:
            raise ModelNotFound(f"model '{name[:128]}' is not found")
        return route

    def _served(self, request: Request) -> ServedVersion:
        params = request.path_params
        return self._plane.routes.table.find(params["model"], params.get("version")).served

    async def live(self, _: Request) -> Response:
        """Say that the event loop turns."""
        return json_response(metadata.live())

    async def ready(self, _: Request) -> Response:
        """Say whether requests should be sent here."""
        reason = self._plane.unready_reason(time.perf_counter())
        return json_response(metadata.ready(reason), 503 if reason else 200)

    async def server_metadata(self, _: Request) -> Response:
        """Describe the server."""
        return json_response(metadata.server_metadata())

    async def models(self, _: Request) -> Response:
        """List the models, as KServe's client asks for them."""
        return json_response({"models": list(self._plane.routes.table.models)})

    async def model_metadata(self, request: Request) -> Response:
        """Describe a model's tensors."""
        served = self._served(request)
        version = request.path_params.get("version")
        versions = [version] if version else list(self._model(request).versions)
        return json_response(
            metadata.model_metadata(served.model, versions, served.signature, served.features)
        )

    async def model_ready(self, request: Request) -> Response:
        """Say whether a model, or one version of it, answers."""
        name, version = request.path_params["model"], request.path_params.get("version")
        route = self._model(request)
        is_ready = route.live is not None if version is None else version in route.versions
        if not is_ready and version is not None:
            self._plane.routes.table.find(name, version)
        reason = "" if is_ready else f"model '{name}' has no version that answers"
        if is_ready and version in (None, route.live):
            reason = self._plane.prover.unproven(time.perf_counter()).get(name, "")
        return json_response(metadata.model_ready(name, reason), 503 if reason else 200)

    async def model_config(self, request: Request) -> Response:
        """Return a model's configuration in Triton's form."""
        served = self._served(request)
        return json_response(
            metadata.model_config(
                served.model,
                served.settings,
                served.signature,
                is_batched=served.contract.is_batched,
            )
        )

    async def statistics(self, request: Request) -> Response:
        """Return the statistics of all workers, which control has."""
        question = {"question": "statistics", **request.path_params}
        return json_response(await self._ask(question))

    async def repository_index(self, request: Request) -> Response:
        """Return the repository's index, which control has."""
        body = await request.body()
        return json_response(await self._ask({"question": "index", "body": body.decode("latin-1")}))

    async def change_elsewhere(self, _: Request) -> Response:
        """Say where models are loaded and unloaded."""
        raise NotFound("models are loaded and unloaded on the control port, not here")

    async def infer(self, request: Request) -> Response:
        """Infer in the V2 protocol, where the hot path does not."""
        call = WaitingCall(request)
        target, headers, body = await self._read(request)
        self._plane.predictor.submit(call, target, body, headers, began=request.scope.get("began"))
        return await self._answer(request, call)

    async def predict(self, request: Request) -> Response:
        """Infer in the V1 protocol."""
        call = V1Call(request)
        target, headers, body = await self._read(request)
        self._plane.predictor.submit(
            call, target, body, headers, call.decode, request.scope.get("began")
        )
        return await self._answer(request, call)

    def _headers(self, request: Request) -> InferHeaders:
        try:
            return request_headers.read(request.scope["headers"])
        except TidegateError as error:
            self._find_or_count(request).telemetry.refused(error.code)
            raise

    def _find_or_count(self, request: Request) -> ServedVersion:
        try:
            return self._served(request)
        except TidegateError as error:
            self._plane.count_refusal(request.path_params["model"], error.code)
            raise

    async def _read(self, request: Request) -> tuple[Target, InferHeaders, bytes]:
        """Return who answers an inference, what its headers ask, and its body."""
        params, body = request.path_params, await request.body()
        headers = self._headers(request)
        target = self._plane.choose(params["model"], params.get("version"), headers)
        try:
            coding = request.headers.get(request_headers.CONTENT_ENCODING.decode(), "")
            settings = self._plane.settings
            # What is all JSON is refused above that limit anyway: it need not be unfolded further.
            limit = settings.max_body_bytes
            if headers.json_length is None:
                limit = min(limit, settings.max_json_bytes)
            body = compression.unfold(body, coding.encode("latin-1"), limit)
        except TidegateError as error:
            target.served.telemetry.refused(error.code, target.marks)
            raise
        return target, headers, body

    async def _answer(self, request: Request, call: WaitingCall) -> Response:
        """Wait for a call's answer, or for its caller to leave."""
        gone = asyncio.create_task(_until_gone(request))
        try:
            either: set[asyncio.Future[Any]] = {gone, call.future}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not call.future.done():
                call.is_gone = True
                return Response(status_code=499)
            result, tag = call.future.result(), self._plane.telemetry.tag
            answer = infer_http(
                result, call.target.origin, call.prediction_id(tag), call.headers.request_id
            )
        finally:
            gone.cancel()
        coding = compression.choose(
            call.headers.accept_encoding, len(answer.body), self._plane.settings.compress_min_bytes
        )
        if coding is not None:
            answer = await asyncio.to_thread(compression.compressed, answer, coding)
        return respond(answer)

    async def predictions_are_posted(self, _: Request) -> Response:
        """Refuse other methods; without this, a model named 'x:predict' would be looked for."""
        raise HTTPException(405, headers={"Allow": "POST"})

    async def v1_model(self, request: Request) -> Response:
        """Say a model's state, in the words of both TensorFlow Serving and KServe."""
        name, asked = request.path_params["model"], request.path_params.get("version")
        route = self._model(request)
        if asked is not None:
            self._served(request)  # Or the error that says why that version does not answer.
        is_ready = asked is not None or route.live is not None
        statuses = [
            {
                "version": version,
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for version in (route.versions if asked is None else (asked,))
        ]
        body = {"name": name, "ready": is_ready, "model_version_status": statuses}
        return json_response(body, 200 if is_ready else 503)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def build_app(plane: Plane, ask: Ask, gate: Gate | None = None) -> Starlette:
    """Build the application of the data port, behind its gate."""
    app = DataApp(plane, ask)
    model = "/v2/models/{model}"
    version = model + "/versions/{version}"
    routes: list[RoleRoute] = [
        route("/v2", app.server_metadata, Role.PREDICT),
        route("/v2/", app.server_metadata, Role.PREDICT),
        route("/v2/health/live", app.live, Role.OPEN),
        route("/v2/health/ready", app.ready, Role.OPEN),
        route("/v2/models", app.models, Role.PREDICT),
        route("/v2/models/stats", app.statistics, Role.READ_METRICS),
        route("/v2/repository/index", app.repository_index, Role.READ_METRICS, methods=["POST"]),
        route(
            "/v2/repository/models/{model}/{verb}",
            app.change_elsewhere,
            Role.OPERATE,
            methods=["POST"],
        ),
        route("/v1/models", app.models, Role.PREDICT),
    ]
    for prefix in (model, version):
        routes += [
            route(prefix, app.model_metadata, Role.PREDICT),
            route(prefix + "/ready", app.model_ready, Role.PREDICT),
            route(prefix + "/config", app.model_config, Role.PREDICT),
            route(prefix + "/stats", app.statistics, Role.READ_METRICS),
            route(prefix + "/infer", app.infer, Role.PREDICT, methods=["POST"]),
        ]
    for prefix in ("/v1/models/{model}", "/v1/models/{model}/versions/{version}"):
        routes += [
            route(prefix + ":predict", app.predict, Role.PREDICT, methods=["POST"]),
            route(prefix + ":predict", app.predictions_are_posted, Role.PREDICT),
            route(prefix, app.v1_model, Role.PREDICT),
        ]
    return starlette_app(routes, gate)
