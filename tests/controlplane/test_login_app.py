"""Sessions of people: a key entered once, a cookie that only our own pages use."""

import asyncio
from collections.abc import Awaitable, Callable
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from server.access import key_file, keys
from server.access.failures import BURST
from server.access.gate import Gate
from server.access.key_file import new_token
from server.access.keys import Key
from server.access.roles import Role
from server.controlplane.login_app import LoginApp
from server.http_app import json_response, principal_of, route, starlette_app
from server.settings import Settings

ID, TOKEN = new_token()
ENTRY = Key(ID, "zoë", (Role.READ_METRICS,), sha256=keys.digest(TOKEN.encode()))
BROWSER = {"accept": "text/html,*/*"}
Use = Callable[[httpx.AsyncClient], Awaitable[None]]


async def who(request: Request) -> Response:
    principal = principal_of(request)
    return json_response(principal.name if principal else None)


def run(folder: Path, use: Use, *, is_secure: bool = False) -> None:
    """Let `use` call a port with one key and one page."""
    settings = Settings(state_dir=folder)
    key_file.change(settings.keys_path, lambda _: [ENTRY])

    async def inside() -> None:
        gate = Gate(settings, browser_host="127.0.0.1")
        await gate.look()
        app = starlette_app(
            [*LoginApp(gate, is_secure=is_secure).routes(), route("/page", who, Role.READ_METRICS)],
            gate,
        )
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            await use(client)

    asyncio.run(inside())


def test_a_person_is_led_to_the_form_and_back(tmp_path: Path) -> None:
    """The page that was asked for opens after the key was entered, and the session lasts."""

    async def use(client: httpx.AsyncClient) -> None:
        turned = await client.get("/page?a=1&b=/", headers=BROWSER)
        assert turned.status_code == 303
        form = await client.get(turned.headers["location"])
        assert 'value="/page?a=1&amp;b=/"' in form.text
        opened = await client.post("/login", data={"key": TOKEN, "next": "/page?a=1"})
        assert (opened.status_code, opened.headers["location"]) == (303, "/page?a=1")
        cookie = SimpleCookie(opened.headers["set-cookie"])["tidegate_session"]
        assert cookie["httponly"]
        assert (cookie["samesite"], cookie["path"]) == ("Strict", "/")
        assert not cookie["secure"]
        assert TOKEN not in opened.headers["set-cookie"]
        assert (await client.get("/page")).json() == "zoë"

    run(tmp_path, use)


def test_programs_are_told_and_not_led(tmp_path: Path) -> None:
    """401 in JSON; a part of a page that htmx asks for has the whole page moved."""

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.get("/page")).json()["code"] == "unauthenticated"
        part = await client.get("/page", headers={**BROWSER, "hx-request": "true"})
        assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")
        assert (await client.post("/page", headers=BROWSER)).status_code == 401

    run(tmp_path, use)


def test_logging_out_ends_the_session_here_and_there(tmp_path: Path) -> None:
    """A copy of the cookie is good for nothing then; another site cannot log people out."""

    async def use(client: httpx.AsyncClient) -> None:
        await client.post("/login", data={"key": TOKEN})
        kept = client.cookies["tidegate_session"]
        foreign = await client.post("/logout", headers={"origin": "http://evil"})
        assert foreign.json()["code"] == "cross_origin"
        assert (await client.get("/page")).status_code == 200
        left = await client.post("/logout", headers={"origin": "http://gate"})
        assert left.headers["location"] == "/login"
        assert "tidegate_session" not in client.cookies
        stale = await client.get("/page", headers={"cookie": f"tidegate_session={kept}"})
        assert stale.status_code == 401

    run(tmp_path, use)


def test_a_wrong_key_opens_nothing(tmp_path: Path) -> None:
    """It is said on the page, does not come back on it, and cannot be tried for ever."""

    async def use(client: httpx.AsyncClient) -> None:
        for status in [401] * BURST + [429]:
            page = await client.post("/login", data={"key": "guess-<b>", "next": "//evil"})
            assert page.status_code == status
            assert "guess" not in page.text
            assert 'value="/"' in page.text
            assert "set-cookie" not in page.headers
        foreign = await client.post(
            "/login", data={"key": TOKEN}, headers={"origin": "http://evil"}
        )
        assert foreign.json()["code"] == "cross_origin"

    run(tmp_path, use)


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example", "", "evil", "/a\r\nb: c", "/ü"],
)
def test_nobody_is_led_to_another_site(tmp_path: Path, target: str) -> None:
    """Whatever a link to the form says."""

    async def use(client: httpx.AsyncClient) -> None:
        opened = await client.post("/login", data={"key": TOKEN, "next": target})
        assert opened.headers["location"] == "/"
        form = await client.get("/login", params={"next": target})
        assert 'value="/"' in form.text

    run(tmp_path, use)


def test_the_form_runs_nothing_and_is_framed_by_nobody(tmp_path: Path) -> None:
    """Its policy lets in its own style only; with TLS the cookie is for TLS."""

    async def use(client: httpx.AsyncClient) -> None:
        form = await client.get("/login", params={"next": '/"><script>alert(1)</script>'})
        assert "<script>" not in form.text
        policy = form.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; form-action 'self'; frame-ancestors 'none'")
        assert form.headers["cache-control"] == "no-store"
        opened = await client.post("/login", data={"key": TOKEN})
        assert SimpleCookie(opened.headers["set-cookie"])["tidegate_session"]["secure"]

    run(tmp_path, use, is_secure=True)
