"""The pages of the console on the control port.

Decides paths, headers and what is rendered how often: a part of a page that is asked for again and
again is rendered once a second for all who look at it, on a thread. A request of htmx gets the part
that changes, any other one the whole page. Actions make the calls of the release API, for the
generation that was shown, and say in place what has become of them.

Concurrency: event loop only; templates are rendered on threads, from values that do not change.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from server.access.roles import Role
from server.console import actions, drift, model, overview, release, system
from server.console.actions import Message
from server.console.drift import Asked
from server.console.pages import KINDS, POLICY, STATIC, Pages, files
from server.controlplane.console_facts import ConsoleFacts
from server.controlplane.release_calls import Headers, read_call
from server.controlplane.release_operations import ReleaseOperations
from server.errors import NotFound, TidegateError
from server.http_app import RoleRoute, principal_of, read_body, route
from server.operator_errors import StaleGeneration
from server.protocol.errors import error_answer
from server.protocol.request_headers import REQUEST_ID, accepted_id, new_request_id

KEPT_SECONDS = 1.0
MAX_KEPT = 64
"""Parts of pages that are kept for others who ask for them within a second."""
MAX_FORM_BYTES = 16 << 10
MAX_FORM_FIELDS = 20

HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What distinguishes one page from another."""

    name: str
    """Of its templates: `NAME.html`, and `NAME_live.html` for what changes."""
    every: int
    """Seconds between two looks at it."""
    view: Callable[[], Awaitable[Any]]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Values that do not change while somebody looks at it."""


class ConsoleApp:
    """The handlers of the console."""

    def __init__(
        self,
        facts: ConsoleFacts,
        operations: ReleaseOperations,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._facts = facts
        self._operations = operations
        self._pages = Pages()
        self._clock = clock
        self._kept: dict[tuple[str, bool, bool], tuple[float, asyncio.Task[bytes]]] = {}
        """By address and by what the caller may do."""

    def routes(self) -> Iterator[RoleRoute]:
        """Yield all routes of the console."""
        path = "/models/{model}"
        yield route("/", self.overview, Role.READ_METRICS)
        yield route("/system", self.system, Role.READ_METRICS)
        yield route(path, self.model, Role.READ_METRICS)
        yield route(path + "/drift", self.drift, Role.READ_METRICS)
        yield route(path + "/release", self.release, Role.READ_METRICS)
        yield route(path + "/release/{action}", self.act, Role.OPERATE, methods=["POST"])
        yield route(STATIC + "{path:path}", self.file, Role.OPEN)

    async def overview(self, request: Request) -> Response:
        """Show all models."""

        async def view() -> object:
            return await asyncio.to_thread(overview.view, await self._facts.overview())

        return await self._shown(request, Page("overview", 3, view))

    async def model(self, request: Request) -> Response:
        """Show one model."""
        name = request.path_params["model"]

        async def view() -> object:
            # Not on a thread: workers add to these counts meanwhile.
            return model.view(await self._facts.model(name))

        return await self._shown(request, Page("model", 5, view, {"model": name}))

    async def drift(self, request: Request) -> Response:
        """Show what has moved in the rows of a model's version."""
        name, query = request.path_params["model"], request.query_params
        asked = Asked(
            query.get("feature", ""),
            "day" if query.get("span") == "day" else "recent",
            query.get("all") == "1",
        )

        async def view() -> object:
            facts = await self._facts.drift(name, query.get("version"), asked.span)
            return await asyncio.to_thread(drift.view, facts, asked)

        return await self._shown(request, Page("drift", 5, view, {"model": name}))

    async def release(self, request: Request) -> Response:
        """Show how a release stands, and what can be done."""
        return await self._shown(request, self._release_page(request.path_params["model"]))

    def _release_page(self, name: str) -> Page:
        async def view() -> object:
            return release.view(await self._facts.release(name))

        return Page("release", 3, view, {"model": name})

    async def system(self, request: Request) -> Response:
        """Show the gateway itself."""

        async def view() -> object:
            return system.view(self._facts.system())

        return await self._shown(request, Page("system", 3, view))

    async def act(self, request: Request) -> Response:
        """Change a release as a form asks for, and say in place what has become of it."""
        name, action = request.path_params["model"], request.path_params["action"]
        body = await read_body(request, MAX_FORM_BYTES)
        try:
            fields = dict(parse_qsl(body.decode(), max_num_fields=MAX_FORM_FIELDS))
            message, status = await self._acted(request, name, action, fields), 200
        except StaleGeneration as error:
            message = actions.overtaken(str(error), await self._operations.status(name))
            status = error_answer(error, "").status
        except TidegateError as error:
            message = actions.refused(str(error), getattr(error, "fix", ""))
            status = error_answer(error, "").status
        except ValueError:  # Too many fields, or bytes that are no text.
            message, status = actions.refused("the form cannot be read"), 400
        if "hx-request" in request.headers:
            return html(await self._rendered("message.html", {"message": message}), status)
        page = self._release_page(name)
        return await self._shown(request, page, message=message, status=status)

    async def _acted(
        self, request: Request, name: str, action: str, fields: Mapping[str, str]
    ) -> Message:
        call_name, body = actions.call_of(action, fields)
        principal = principal_of(request)
        headers = Headers(
            actor="" if principal is None else principal.name,
            if_match=fields.get("generation", ""),
        )
        call = read_call(name, call_name, body, headers)
        request_id = accepted_id(dict(request.scope["headers"]).get(REQUEST_ID))
        answer = await self._operations.call(name, call, request_id or new_request_id())
        self._kept.clear()  # What was rendered a moment ago is not how it stands now.
        return actions.done(answer)

    async def file(self, request: Request) -> Response:
        """Return a file that pages need; its address changes with its bytes."""
        name = request.path_params["path"]
        content = files().get(name)
        if content is None:
            raise NotFound(f"there is nothing at {request.scope['path'][:128]}")
        headers = {
            "content-type": KINDS["." + name.rsplit(".", 1)[1]],
            "cache-control": "public, max-age=31536000, immutable",
            "x-content-type-options": "nosniff",
        }
        return Response(content, headers=headers)

    # Rendering.

    async def _shown(
        self, request: Request, page: Page, *, message: Message | None = None, status: int = 200
    ) -> Response:
        """Answer with a page, or with the part of it that htmx asks for."""
        address = _address(request)
        principal = principal_of(request)
        may_operate = principal is None or principal.allows(Role.OPERATE)
        has_principal = principal is not None
        fixed = {**page.fixed, "may_operate": may_operate, "has_principal": has_principal}
        try:
            if "hx-request" in request.headers:
                return html(await self._part(address, page, fixed))
            values = {
                **fixed,
                "view": await page.view(),
                "page": page.name,
                "every": page.every,
                # A form that was sent without htmx is answered at an address of its own.
                "address": address if request.method == "GET" else address.rsplit("/", 1)[0],
                "fragment": f"{page.name}_live.html",
                "message": message,
                "caller": principal and principal.name,
            }
            return html(await self._rendered(f"{page.name}.html", values), status)
        except TidegateError as error:
            return await self._failed(request, error)

    async def _failed(self, request: Request, error: TidegateError) -> Response:
        """Say on a page why there is nothing to show, such as that a model is gone."""
        principal = principal_of(request)
        values = {"error": str(error), "caller": principal and principal.name, "page": ""}
        name = "gone_live.html" if "hx-request" in request.headers else "gone.html"
        return html(await self._rendered(name, values), error_answer(error, "").status)

    async def _part(self, address: str, page: Page, fixed: Mapping[str, Any]) -> bytes:
        """Render the part of a page that changes, once a second for all."""
        now = self._clock()
        key = (address, bool(fixed["may_operate"]), bool(fixed["has_principal"]))
        kept = self._kept.get(key)
        if kept is None or now - kept[0] >= KEPT_SECONDS:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            kept = (now, asyncio.create_task(self._render_part(page, fixed)))
            self._kept[key] = kept
        # Whoever leaves does not stop it: others may wait for the same part.
        return await asyncio.shield(kept[1])

    async def _render_part(self, page: Page, fixed: Mapping[str, Any]) -> bytes:
        values = {**fixed, "view": await page.view()}
        return await self._rendered(f"{page.name}_live.html", values)

    async def _rendered(self, template: str, values: dict[str, Any]) -> bytes:
        return await asyncio.to_thread(partial(self._pages.render, template, values))


def html(body: bytes, status: int = 200) -> Response:
    """Answer with HTML."""
    return Response(body, status, {**HEADERS, "content-type": "text/html; charset=utf-8"})


def _address(request: Request) -> str:
    """Return path and query as they came."""
    query = request.scope["query_string"].decode("latin-1")
    path: str = request.scope["raw_path"].decode("latin-1")
    return f"{path}?{query}" if query else path
