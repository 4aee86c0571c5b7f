"""What Starlette applications share: how routes are declared, bodies, answers, errors.

Decides the form of these; every route is declared together with the role that its callers need.
Does not know which routes there are.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from server.access.gate import Gate, Peer
from server.access.principals import Principal
from server.access.roles import Role
from server.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    TidegateError,
    Unauthenticated,
)
from server.protocol.errors import error_answer
from server.protocol.http_answer import Answer, json_headers
from server.protocol.request_headers import REQUEST_ID, accepted_id, new_request_id

Endpoint = Callable[[Request], Awaitable[Response]]


class RoleRoute(Route):
    """A route, and the role that its callers need."""

    def __init__(
        self, path: str, endpoint: Endpoint, role: Role, methods: Collection[str] = ("GET",)
    ) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.role = role

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or refuse it; also one whose method the route does not know.

        This is the only place that does so, for all that an application answers. The path was
        matched before: what is asked for here is what is answered.
        """
        gate: Gate | None = scope["app"].state.gate
        if gate is not None:
            model = scope["path_params"].get("model")
            scope["user"] = gate.admit(self.role, model, scope["headers"], peer_of(scope))
        await super().handle(scope, receive, send)


def route(
    path: str, endpoint: Endpoint, role: Role, *, methods: Collection[str] = ("GET",)
) -> RoleRoute:
    """Declare a route: the one way to do it, on either port."""
    return RoleRoute(path, endpoint, role, methods)


def peer_of(scope: Scope) -> Peer:
    """Return who is at the other end of a request's connection."""
    peer: Peer | None = scope.get("peer")
    return peer or Peer((scope.get("client") or ("",))[0])


def principal_of(request: Request) -> Principal | None:
    """Return who makes a request that was let in; None while callers need not say who they are."""
    principal: Principal | None = request.scope.get("user")
    return principal


def respond(answer: Answer) -> Response:
    """Turn an answer into Starlette's form, its headers as they are."""
    response = Response(answer.body, answer.status)
    response.raw_headers = answer.headers
    return response


def json_response(value: Any, status: int = 200) -> Response:
    """Answer with JSON."""
    body = orjson.dumps(value)
    return respond(Answer(status, json_headers(len(body)), body))


def error_response(request: Request, error: Exception) -> Response:
    """Answer with an error."""
    headers = dict(request.scope["headers"])
    request_id = accepted_id(headers.get(REQUEST_ID)) or new_request_id()
    return respond(error_answer(error, request_id))


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read a request's body, but no more of it than its route needs.

    Starlette's own limit would answer with plain text, and errors are JSON here, all of them.

    Raises:
        PayloadTooLarge: there is more.

    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            raise PayloadTooLarge(f"the body may have {max_bytes} bytes here")
    return bytes(body)


async def _on_error(request: Request, error: Exception) -> Response:
    response = error_response(request, error)
    gate: Gate | None = getattr(request.scope["app"].state, "gate", None)
    if not isinstance(error, Unauthenticated) or gate is None or gate.sessions is None:
        return response
    # A person is asked for a key; a part of a page that is asked for anew has the page moved.
    if "hx-request" in request.headers:
        response.raw_headers.append((b"hx-redirect", b"/login"))
    elif request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        query = request.scope["query_string"].decode("latin-1")
        asked = request.scope["path"] + (f"?{query}" if query else "")
        return Response(status_code=303, headers={"location": f"/login?next={quote(asked)}"})
    return response


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Say what Starlette itself refuses in our words."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"][:128]
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        response = error_response(
            request, MethodNotAllowed(f"{request.method} is not possible on {path}; {allowed} is")
        )
        response.raw_headers.append((b"allow", allowed.encode("latin-1")))
        return response
    if error.status_code == 404:
        return error_response(request, NotFound(f"there is nothing at {path}"))
    return error_response(request, InvalidRequest(str(error.detail)))


def starlette_app(routes: Sequence[BaseRoute], gate: Gate | None = None) -> Starlette:
    """Build an application whose every error has our form, behind the gate of its port.

    Raises:
        TypeError: a route does not say which role its callers need.

    """
    for one in routes:
        if not isinstance(one, RoleRoute):
            raise TypeError(f"{one!r} has no role: declare it with server.http_app.route")
    app = Starlette(routes=list(routes), exception_handlers=EXCEPTION_HANDLERS)
    app.state.gate = gate
    # A path with a slash too many is not found. A redirect would lead to whatever Host was sent.
    app.router.redirect_slashes = False
    return app


EXCEPTION_HANDLERS: Mapping[Any, Any] = {
    TidegateError: _on_error,
    HTTPException: _on_http_exception,
    Exception: _on_error,
}
