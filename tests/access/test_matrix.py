"""Every route of both ports, every method, every kind of caller: let in as docs/access.md says."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from server.access import key_file, keys
from server.access.gate import Gate
from server.access.key_file import new_token
from server.access.keys import Key
from server.access.roles import Role
from server.http_app import RoleRoute
from server.settings import Settings
from tests.support.documents import in_code, page, tables
from tests.support.ports import control_app, data_app

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
APPS = {"data": data_app, "control": control_app}
TOKENS = {
    name: new_token()[1]
    for name in ("expired", "revoked", "other-model", "predict", "read-metrics", "operate")
}


def entry(name: str) -> Key:
    """Return what is kept of a caller's key."""
    token = TOKENS[name].encode()
    role = Role(name) if name in set(Role) else Role.PREDICT
    return Key(
        keys.token_id(token),
        name,
        (role,),
        ("another",) if name == "other-model" else None,
        keys.digest(token),
        expires_seconds=1.0 if name == "expired" else None,
        revoked_seconds=1.0 if name == "revoked" else None,
    )


CALLERS: dict[str, dict[str, str]] = {
    "no key": {},
    "not a key": {"authorization": "Basic dGc6eA=="},
    "unknown": {"authorization": f"Bearer {new_token()[1]}"},
    "a cookie": {"cookie": "tidegate_session=" + "x" * 43},
    **{name: {"authorization": f"Bearer {token}"} for name, token in TOKENS.items()},
}
MAY = {
    "other-model": {"predict"},
    "predict": {"predict"},
    "read-metrics": {"read-metrics"},
    "operate": {"read-metrics", "operate"},
}


def rows(port: str) -> Iterator[tuple[str, str, str]]:
    """Yield method, path and role of each route of a port, as the table has them."""
    for row in tables(page("docs/access.md"), "Route"):
        if row["Port"] not in (port, "both"):
            continue
        method, path = in_code(row["Route"])[0].split(" ")
        for one in {re.sub(r"\[.*?\]", "", path), re.sub(r"[\[\]]", "", path)}:
            yield method, one, in_code(row["Role"])[0]


def documented(port: str) -> dict[str, str]:
    """Return the role of each path of a port."""
    roles: dict[str, str] = {}
    for _, path, role in rows(port):
        assert roles.setdefault(path, role) == role, "the methods of a path have one role"
    return roles


def declared(app: Starlette) -> Iterator[tuple[str, str, str]]:
    """Yield method, path and role of each route of an application; HEAD goes with GET."""
    for one in app.routes:
        assert isinstance(one, RoleRoute)
        for method in (one.methods or set()) - {"HEAD"}:
            yield method, re.sub(r"\{(\w+):path\}", r"{\1}", one.path), one.role.value


@pytest.mark.parametrize("port", APPS)
def test_the_table_has_every_route_with_its_role_and_no_other(port: str) -> None:
    """What is declared in the code, method by method, is what the page promises."""
    assert sorted(rows(port)) == sorted(declared(APPS[port]()))


def expected(caller: str, role: str, path: str) -> int:
    """Return the status of a refusal, or 0 for who is let in."""
    if role == "open":
        return 0
    if caller not in MAY:
        return 401
    is_other = caller == "other-model" and "{model}" in path
    return 0 if role in MAY[caller] and not is_other else 403


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("port", APPS)
def test_each_caller_is_let_in_where_the_table_says(tmp_path: Path, port: str, caller: str) -> None:
    """With every method, also those that a route does not know."""
    settings = Settings(state_dir=tmp_path)
    key_file.change(settings.keys_path, lambda _: [entry(name) for name in TOKENS])
    wrong: list[str] = []

    async def ask_all() -> None:
        gate = Gate(settings, browser_host="127.0.0.1" if port == "control" else None)
        await gate.look()
        app = APPS[port](gate)
        for number, (path, role) in enumerate(documented(port).items()):
            plain = re.sub(r"\{\w+\}", "m", path)
            for method in METHODS:
                # Each from another address: who is not known is slowed down after a while.
                address = f"10.0.{number}.{METHODS.index(method)}"
                status = await ask(app, method, plain, CALLERS[caller], address)
                refusal = status if status in (401, 403) else 0
                # The form itself answers 401 to who enters no key.
                if path != "/login" and refusal != expected(caller, role, path):
                    wrong.append(f"{method} {plain}: {status}")

    asyncio.run(ask_all())
    assert not wrong


async def ask(app: Starlette, method: str, path: str, headers: dict[str, str], address: str) -> int:
    """Return the status of an answer; whoever is let in meets an error, which Starlette raises."""
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (address, 1),
    }
    with contextlib.suppress(AttributeError, TypeError):
        await app(scope, receive, send)
    [status] = statuses
    return status
