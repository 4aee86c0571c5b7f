"""Fetch the public keys of an identity provider, for all processes.

Decides how often, and that what cannot be used leaves the keys of before in place. Redirects are
not followed: the address comes from the settings, and from nobody else.

Concurrency: event loop only; the fetch is made on a thread.
Lifetime: `run` is one task for the life of control; without an address it ends at once.
"""

import asyncio
import http.client
import urllib.request
from email.message import Message
from typing import IO, Any

import structlog

from server.access.tokens import Tokens
from server.controlplane.intents import write_whole
from server.settings import Settings

FETCH_SECONDS = 300.0
RETRY_SECONDS = 10.0
TIMEOUT_SECONDS = 10.0
MAX_BYTES = 1 << 20

log = structlog.get_logger()


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody."""

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        del req, fp, code, msg, headers, newurl


async def run(settings: Settings) -> None:
    """Fetch the keys again and again, and write those that can be used where all look for them."""
    if not settings.jwt_keys_url or settings.jwt_keys_file:
        return
    trouble = ""
    while True:
        try:
            await asyncio.to_thread(_refresh, settings)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if str(error) != trouble:
                log.warning("token_keys_not_fetched", reason=str(error)[:200])
            trouble = str(error)
        else:
            trouble = ""
        await asyncio.sleep(RETRY_SECONDS if trouble else FETCH_SECONDS)


def _refresh(settings: Settings) -> None:
    opener = urllib.request.build_opener(_Stay)
    with opener.open(settings.jwt_keys_url, timeout=TIMEOUT_SECONDS) as answer:
        content: bytes = answer.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"the keys have more than {MAX_BYTES} bytes")
    Tokens(settings).use(content)
    path = settings.jwt_keys_path
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content)
