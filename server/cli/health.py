"""`tidegate health`: does a gateway take requests? For health checks of containers.

Decides which port is asked, and what counts as healthy. The image has no shell and no curl, so the
program looks by itself.
"""

import http.client
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from server.cli.client import fail
from server.cli.plain import visible

if TYPE_CHECKING:
    from server.settings import Settings

_TIMEOUT_SECONDS = 4.0
"""Docker's own limit is 30 seconds by default, Kubernetes' is 1: an answer takes milliseconds."""


def health(
    live: bool = typer.Option(
        False, "--live", help="Ask only whether it lives, not whether it is ready."
    ),
    url: str = typer.Option(
        "",
        "--url",
        help="Address of the data port; by default that of the settings.",
    ),
) -> None:
    """Ask a running gateway whether it takes requests; exit code 0 if it does, 1 if not.

    Without --url it asks the data port that the settings name, on this machine: the same variables
    and file as 'tidegate serve' reads.

    Example: tidegate health --live
    """
    address = (url or _own_url()).rstrip("/")
    if not address.startswith(("http://", "https://")):
        fail(f"'{address}' is not an http:// address: it does not answer", "name the data port")
    path = "/v2/health/live" if live else "/v2/health/ready"
    try:
        status, words = look(address + path, is_own=not url)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        fail(f"{address} does not answer: {reason}", "start it with 'tidegate serve'")
    if status != 200:
        fail(f"{address} answers {status}: {words}", "see 'tidegate model list'")
    typer.echo("live" if live else "ready")


def look(url: str, *, is_own: bool) -> tuple[int, str]:
    """Return the status and the words of what answers; our own port may have any certificate.

    Raises:
        OSError, ValueError, http.client.HTTPException: nobody does, or nobody that speaks HTTP.

    """
    context = _of_this_machine() if is_own and url.startswith("https:") else None
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS, context=context) as answer:
            status, body = answer.status, answer.read(4096)
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read(4096)
    return status, visible(body.decode("utf-8", "replace"))


def _own_url() -> str:
    """Return the address of the data port on this machine, as the settings have it."""
    from server.config import load_settings
    from server.errors import ConfigError

    config = os.environ.get("TIDEGATE_CONFIG")
    try:
        settings, _ = load_settings({}, os.environ, Path(config) if config else None)
    except ConfigError as error:
        fail("\n".join(error.problems), "mend the settings, or name the port with --url")
    return url_of(settings)


def url_of(settings: "Settings") -> str:
    """Return the address of the data port of these settings, for this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    scheme = "https" if settings.speaks_tls else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _of_this_machine() -> ssl.SSLContext:
    """Return what takes any certificate: ours is for the name that others know us by.

    The question has no key in it, and nobody but this machine is asked.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
