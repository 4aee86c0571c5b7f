"""The routes of releases on the control port.

Decides paths, methods and headers. An answer that tells of a release carries its generation as
ETag, and a call that gives it back as If-Match is refused if the release has moved on; that
refusal shows how it stands now, and who has moved it.

Concurrency: event loop only.
"""

from collections.abc import Iterator
from functools import partial

import orjson
from starlette.requests import Request
from starlette.responses import Response

from server.access.roles import Role
from server.controlplane.release_calls import (
    CALLS,
    HISTORY_PARAMETERS,
    MISMATCH_PARAMETERS,
    STOP_MEMBERS,
    STOP_PARAMETERS,
    Headers,
    check_parameters,
    read_call,
    read_flag,
    read_limit,
    read_seq,
)
from server.controlplane.release_operations import ReleaseOperations
from server.http_app import (
    RoleRoute,
    error_response,
    json_response,
    principal_of,
    read_body,
    route,
)
from server.operator_errors import StaleGeneration
from server.protocol.request_headers import REQUEST_ID, accepted_id, new_request_id

MAX_BODY_BYTES = 64 << 10
DEFAULT_HISTORY = 20


class ReleaseApp:
    """The handlers of releases."""

    def __init__(self, operations: ReleaseOperations) -> None:
        self._operations = operations

    def routes(self) -> Iterator[RoleRoute]:
        """Yield all routes of releases."""
        path = "/v1/models/{model}/release"
        yield route(path, self.status, Role.READ_METRICS)
        yield route(path + "/history", self.history, Role.READ_METRICS)
        yield route(path + "/mismatches", self.mismatches, Role.READ_METRICS)
        for name in CALLS:
            yield route(f"{path}/{name}", partial(self.call, name), Role.OPERATE, methods=["POST"])
        for name in ("shadow", "canary"):
            yield route(
                f"{path}/{name}", partial(self.stop, name), Role.OPERATE, methods=["DELETE"]
            )

    async def status(self, request: Request) -> Response:
        """Say how a release stands."""
        document = await self._operations.status(request.path_params["model"])
        return _with_etag(json_response(document), document["generation"])

    async def history(self, request: Request) -> Response:
        """Return the last changes of a release, newest first."""
        query = request.query_params
        check_parameters(_names(request), HISTORY_PARAMETERS)
        document = await self._operations.history(
            request.path_params["model"],
            read_limit(query.get("limit"), "limit", DEFAULT_HISTORY),
            read_seq(query.get("before")),
            is_verified=read_flag(query.get("verify"), "verify"),
        )
        return json_response(document)

    async def mismatches(self, request: Request) -> Response:
        """Return rows that shadows answered differently."""
        check_parameters(_names(request), MISMATCH_PARAMETERS)
        version = request.query_params.get("version")
        return json_response(self._operations.samples(request.path_params["model"], version))

    async def call(self, name: str, request: Request) -> Response:
        """Change a release."""
        check_parameters(_names(request))
        return await self._change(name, request, await read_body(request, MAX_BODY_BYTES))

    async def stop(self, name: str, request: Request) -> Response:
        """End a shadow, named by the query, or the canary."""
        check_parameters(_names(request), STOP_PARAMETERS)
        members: dict[str, str | bool] = {"stop": True}
        members |= {
            key: value for key, value in request.query_params.items() if key in STOP_MEMBERS
        }
        return await self._change(name, request, orjson.dumps(members))

    async def _change(self, name: str, request: Request, body: bytes) -> Response:
        model = request.path_params["model"]
        call = read_call(model, name, body, _headers(request))
        request_id = accepted_id(dict(request.scope["headers"]).get(REQUEST_ID))
        try:
            document = await self._operations.call(model, call, request_id or new_request_id())
        except StaleGeneration as error:
            return await self._stale(request, model, error)
        return _with_etag(json_response(document), document["generation"])

    async def _stale(self, request: Request, model: str, error: StaleGeneration) -> Response:
        """Refuse a change, and show what it did not know of."""
        refusal = error_response(request, error)
        release = await self._operations.status(model)
        document = {**orjson.loads(refusal.body), "release": release}
        answer = json_response(document, refusal.status_code)
        answer.raw_headers += [one for one in refusal.raw_headers if one[0] == REQUEST_ID]
        return _with_etag(answer, release["generation"])


def _names(request: Request) -> list[str]:
    """Return the names of the query's parameters, as often as each is given."""
    return [name for name, _ in request.query_params.multi_items()]


def _headers(request: Request) -> Headers:
    headers, query = request.headers, request.query_params
    principal = principal_of(request)
    # Starlette reads headers as Latin-1; names of people come in UTF-8.
    named = headers.get("x-tidegate-actor", "").encode("latin-1").decode("utf-8", "replace")
    return Headers(
        # Who has shown a key is its owner, whatever else the call says.
        actor=named if principal is None else principal.name,
        if_match=headers.get("if-match", ""),
        idempotency_key=headers.get("idempotency-key", ""),
        dry_run=query.get("dry_run", ""),
    )


def _with_etag(response: Response, generation: int) -> Response:
    response.raw_headers.append((b"etag", b'"%d"' % generation))
    return response
