"""Calls of the control port, for commands.

Decides how a failure of a call is told: what, why and what would help.
"""

import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import typer

from server.cli.plain import visible

DEFAULT_URL = "http://127.0.0.1:8001"


def post(
    url: str,
    path: str,
    body: dict[str, Any] | None = None,
    timeout: float = 300.0,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """Post JSON to the control port and return its answer; end the program if that fails."""
    return _call(url, path, json.dumps(body or {}).encode(), timeout, headers)


def get(url: str, path: str, timeout: float = 30.0) -> Any:
    """Return what the control port answers to a GET; end the program if that fails."""
    return _call(url, path, None, timeout, {})


def _call(
    url: str, path: str, body: bytes | None, timeout: float, headers: Mapping[str, str]
) -> Any:
    if not url.startswith(("http://", "https://")):
        _fail_for_address(url)
    try:
        request = urllib.request.Request(
            url.rstrip("/") + path,
            data=body,
            headers={"content-type": "application/json", **headers},
            method="GET" if body is None else "POST",
        )
        key = os.environ.get("TIDEGATE_KEY", "")
        if key:
            # Not to whoever a redirect leads to.
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        context = _context(url)
        with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        _fail_with(error)
    except (ValueError, http.client.InvalidURL):
        _fail_for_address(url)
    except OSError as error:
        _fail_to_reach(url, error)
    except http.client.HTTPException:
        _fail_for_stranger(url)
    try:
        return json.loads(content) if content else None
    except ValueError:
        _fail_for_stranger(url)


def _fail_to_reach(url: str, error: OSError) -> NoReturn:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        fail(
            f"the certificate of {url} is not trusted: {reason.verify_message}",
            "name the file of its authority in SSL_CERT_FILE",
        )
    fail(
        f"the control port at {url} cannot be reached: {reason}",
        "start the gateway with 'tidegate serve', or name its control port with --url",
    )


def _context(url: str) -> ssl.SSLContext | None:
    """Return what shows a certificate of our own, if there is one."""
    certificate = os.environ.get("TIDEGATE_CERTIFICATE", "")
    if not certificate or not url.startswith("https://"):
        return None
    context = ssl.create_default_context()
    try:
        context.load_cert_chain(certificate)
    except OSError as error:
        is_wrong = isinstance(error, ssl.SSLError)
        reason = "it does not hold both in PEM" if is_wrong else error.strerror
        fail(
            f"TIDEGATE_CERTIFICATE={certificate} cannot be used: {reason}",
            "name a PEM file with a certificate and its private key",
        )
    return context


def _fail_for_address(url: str) -> NoReturn:
    fail(f"'{url}' is not an http:// address", "name the control port with --url")


def _fail_for_stranger(url: str) -> NoReturn:
    fail(
        f"what answers at {url} is not a control port",
        "name the control port with --url; 'tidegate serve' prints it",
    )


def _fail_with(error: urllib.error.HTTPError) -> NoReturn:
    try:
        answer = json.loads(error.read())
        fail(str(answer["error"]), str(answer.get("fix", "")) or _advice(answer))
    except (ValueError, KeyError, TypeError):
        fail(f"the control port answered with status {error.code}", "")


def _advice(answer: dict[str, Any]) -> str:
    """Say which key to use, or what to look at if a release was changed in the meantime."""
    if answer.get("code") in ("unauthenticated", "forbidden"):
        return "put a key with that role into TIDEGATE_KEY; 'tidegate key create' makes one"
    if "release" not in answer:
        return ""
    last = answer["release"]["last_change"]
    by = f", after a {last['action']} by {last['actor']}" if last else ""
    return f"version {answer['release']['live']} is live{by}; look again, then decide"


def fail(what: str, fix: str) -> NoReturn:
    """Say what is wrong and what would help, and end with code 1."""
    typer.echo(f"tidegate: {visible(what)}", err=True)
    if fix:
        typer.echo(f"  fix: {visible(fix)}", err=True)
    raise typer.Exit(1)


def default_url() -> str:
    """Return the address of the control port when no flag names it."""
    return os.environ.get("TIDEGATE_URL", DEFAULT_URL)
