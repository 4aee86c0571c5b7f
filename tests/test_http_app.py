"""What both Starlette applications share: JSON answers, and errors in the one form there is."""

import asyncio
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from server.access.roles import Role
from server.errors import InvalidInput, QueueFull
from server.http_app import EXCEPTION_HANDLERS, json_response, respond, route, starlette_app
from server.protocol.errors import INTERNAL_TEXT
from server.protocol.http_answer import Answer


@dataclass
class Heard:
    """One answer of an application."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def fine(_: Request) -> Response:
    return json_response({"a": [1, "ü"]}, 201)


async def raw(_: Request) -> Response:
    return respond(Answer(200, [(b"x-b", b"1"), (b"content-length", b"2")], b"ok"))


async def refuse(_: Request) -> NoReturn:
    raise InvalidInput("input 'x' is wrong")


async def shed(_: Request) -> NoReturn:
    raise QueueFull("the queue is full")


async def fail(_: Request) -> NoReturn:
    raise RuntimeError("/secret/path")


async def object_to(_: Request) -> NoReturn:
    raise HTTPException(400, "the form is wrong")


APP = Starlette(
    routes=[
        Route("/fine", fine, methods=["GET"]),
        Route("/raw", raw),
        Route("/refuse", refuse),
        Route("/shed", shed),
        Route("/fail", fail),
        Route("/object", object_to),
        Route("/post", fine, methods=["POST"]),
    ],
    exception_handlers=EXCEPTION_HANDLERS,
)


def ask(path: str, method: str = "GET", headers: list[tuple[bytes, bytes]] | None = None) -> Heard:
    """Ask the application as an ASGI server does."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": headers or [],
    }
    try:
        asyncio.run(APP(scope, receive, send))
    except RuntimeError:
        assert path == "/fail", "Starlette raises on only what is not ours"
    return Heard(sent[0]["status"], sent[0]["headers"], b"".join(part["body"] for part in sent[1:]))


def test_json_is_answered_with_its_headers_and_no_others() -> None:
    """The same as the hot path writes: type and length."""
    heard = ask("/fine")

    assert (heard.status, heard.json) == (201, {"a": [1, "ü"]})
    assert heard.headers == [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(heard.body)),
    ]


def test_an_answer_keeps_its_headers_as_they_are() -> None:
    """Starlette adds none of its own and does not sort them."""
    assert ask("/raw") == Heard(200, [(b"x-b", b"1"), (b"content-length", b"2")], b"ok")


@pytest.mark.parametrize(
    ("path", "status", "code", "text"),
    [
        ("/refuse", 400, "invalid_input", "input 'x' is wrong"),
        ("/shed", 503, "queue_full", "the queue is full"),
        ("/fail", 500, "internal", INTERNAL_TEXT),
        ("/object", 400, "invalid_request", "the form is wrong"),
        ("/nowhere", 404, "not_found", "there is nothing at /nowhere"),
        ("/" + "n" * 500, 404, "not_found", "there is nothing at /" + "n" * 127),
        ("/post", 405, "method_not_allowed", "GET is not possible on /post; POST is"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_every_failure_has_the_one_form(path: str, status: int, code: str, text: str) -> None:
    """Ours, Starlette's and nobody's: never `detail`, never plain text."""
    heard = ask(path, headers=[(b"x-request-id", b"id-1")])

    assert heard.status == status
    assert heard.json == {"error": text, "code": code, "request_id": "id-1"}
    assert dict(heard.headers)[b"x-request-id"] == b"id-1"
    assert dict(heard.headers)[b"content-type"] == b"application/json"
    assert (b"retry-after" in dict(heard.headers)) == (status == 503)


def test_a_wrong_method_is_told_the_right_ones() -> None:
    """RFC 9110 §15.5.6: a 405 must have Allow."""
    heard = ask("/fine", "DELETE")

    allow = dict(heard.headers)[b"allow"].decode()
    assert set(allow.split(", ")) == {"GET", "HEAD"}
    assert heard.json["error"] == f"DELETE is not possible on /fine; {allow} is"


@pytest.mark.parametrize("given", [None, b"", b"a b", b"x" * 65, b"\xff"])
def test_without_a_safe_request_id_there_is_one_of_ours(given: bytes | None) -> None:
    """So that every failure can be found in the log."""
    headers = [] if given is None else [(b"x-request-id", given)]

    ids = {ask("/refuse", headers=headers).json["request_id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(len(one) == 16 for one in ids)


def test_a_route_says_which_role_it_needs_or_the_application_is_not_built() -> None:
    """A forgotten role must not become an open door."""
    declared = route("/fine", fine, Role.OPEN)

    assert starlette_app([declared]).routes == [declared]
    for other in (Route("/fine", fine), Mount("/static", APP)):
        with pytest.raises(TypeError, match="has no role: declare it with"):
            starlette_app([declared, other])
