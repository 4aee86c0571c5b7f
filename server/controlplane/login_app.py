"""The page on which a person enters a key, for a session in place of it.

Decides the form, its answers and the cookie. The cookie is for our own pages only: no script reads
it, no other site sends it. What a session may do is the gate's to say.

Concurrency: event loop only.
"""

import base64
import hashlib
import html
import re
import secrets
from collections.abc import Iterator
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from server.access import browsers
from server.access.gate import Gate
from server.access.roles import Role
from server.access.sessions import COOKIE, SESSION_SECONDS, token_in
from server.errors import TooManyFailures, Unauthenticated
from server.http_app import RoleRoute, peer_of, read_body, route

MAX_FORM_BYTES = 4096
_NEXT = re.compile(r"/(?![/\\])[!-\[\]-~]{0,500}")
"""A path here: two slashes would begin the name of another host."""
_STYLE = (
    "body{font:16px system-ui,sans-serif;max-width:22rem;margin:15vh auto;padding:0 1rem;"
    "color-scheme:light dark}input,button{font:inherit;padding:.5rem;width:100%;"
    "box-sizing:border-box;margin:.25rem 0 1rem}"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tidegate: log in</title>
<style>{style}</style>
<h1>Tidegate</h1>
<form method="post" action="/login">
<p role="alert">{message}</p>
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<input name="next" type="hidden" value="{next}">
<button>Log in</button>
</form>
</html>
"""
_HEADERS = {
    "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'",
    "cache-control": "no-store",
    "content-type": "text/html; charset=utf-8",
    # With no referrer at all, a browser sends `Origin: null` with the form, and is refused.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class LoginApp:
    """The handlers of sessions."""

    def __init__(self, gate: Gate, *, is_secure: bool) -> None:
        """Open sessions at `gate`; `is_secure` says that the port speaks TLS only."""
        self._gate = gate
        self._attributes = "; HttpOnly; SameSite=Strict; Path=/" + ("; Secure" * is_secure)

    def routes(self) -> Iterator[RoleRoute]:
        """Yield the routes."""
        yield route("/login", self.show, Role.OPEN)
        yield route("/login", self.log_in, Role.OPEN, methods=["POST"])
        yield route("/logout", self.log_out, Role.OPEN, methods=["POST"])

    async def show(self, request: Request) -> Response:
        """Ask for a key."""
        return _page("", request.query_params.get("next", ""))

    async def log_in(self, request: Request) -> Response:
        """Open a session and go on to the page that was asked for, or say that the key is wrong."""
        form = parse_qs((await read_body(request, MAX_FORM_BYTES)).decode("latin-1"))
        key, target = (form.get(name, [""])[0].strip() for name in ("key", "next"))
        token = secrets.token_urlsafe(32)
        try:
            self._gate.log_in(key, request.scope["headers"], peer_of(request.scope), token)
        except Unauthenticated:
            return _page("That key is not valid.", target, 401)
        except TooManyFailures:
            return _page("Too many keys that are not valid have come from here.", target, 429)
        return self._redirect(_local(target), f"{token}; Max-Age={SESSION_SECONDS:.0f}")

    async def log_out(self, request: Request) -> Response:
        """End the session of this browser."""
        browsers.check_origin(request.scope["headers"])
        if self._gate.sessions is not None:
            self._gate.sessions.end(token_in(request.headers.get("cookie", "").encode("latin-1")))
        return self._redirect("/login", "; Max-Age=0")

    def _redirect(self, target: str, cookie: str) -> Response:
        headers = {
            "location": target,
            "set-cookie": f"{COOKIE}={cookie}{self._attributes}",
            "cache-control": "no-store",
        }
        return Response(status_code=303, headers=headers)


def _page(message: str, target: str, status: int = 200) -> Response:
    text = _PAGE.format(
        style=_STYLE, message=html.escape(message), next=html.escape(_local(target))
    )
    return Response(text, status, _HEADERS)


def _local(target: str) -> str:
    """Return a path to go on to: the one that was asked for, if it is one of ours."""
    return target if _NEXT.fullmatch(target) else "/"
