"""Where events are posted to: the address that was looked at, and none around us by accident."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from server.controlplane.notifying import Notifier
from server.settings import Settings
from server.store import outbox
from server.store.database import Store
from tests.support.receiver import OK, receiving

REFUSED = "its address is not public, and webhook_allow_private is off"


def post_to(
    folder: Path,
    host: str,
    *,
    allow: str = "off",
    before: Callable[[], Awaitable[None]] | None = None,
) -> tuple[int, str]:
    """Post an event to a host that a receiver here may answer for; return posts and the error."""

    async def main() -> tuple[int, str]:
        async with receiving([OK]) as receiver:
            url = f"http://{host}:{urlsplit(receiver.url).port}/hook"
            settings = Settings.model_validate({"webhook_url": url, "webhook_allow_private": allow})
            store = Store(folder, busy_timeout_seconds=0.0)
            notifier = Notifier(settings, store)
            if before is not None:
                await before()
            try:
                await store.run(lambda c: outbox.put(c, "e", "key", b"{}", time.time()))
                [event] = await store.run(lambda c: outbox.due(c, time.time() + 1))
                failure = await notifier._post(event)
            finally:
                await store.close()
            return len(receiver.posts), "" if failure is None else failure.words

    return asyncio.run(main())


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.1.1",
        "224.0.0.1",
        "0.0.0.0",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)
def test_addresses_around_us_get_nothing(tmp_path: Path, host: str) -> None:
    """However they are written; nothing is even connected to."""
    assert post_to(tmp_path, host) == (0, REFUSED)


def test_an_operator_may_allow_them(tmp_path: Path) -> None:
    """Receivers in the own network are what most webhooks are for."""
    assert post_to(tmp_path, "0x7f.1", allow="on") == (1, "")
    assert post_to(tmp_path, "localhost") == (1, "")


def resolving(*addresses: str) -> Callable[[], Awaitable[None]]:
    """Have the loop find these addresses for any name, once, and 169.254.169.254 after that."""

    async def patch() -> None:
        loop: Any = asyncio.get_running_loop()
        found = [addresses, *[("169.254.169.254",)] * 9]
        known = loop.getaddrinfo

        async def lookup(host: str, port: int, **more: Any) -> Any:
            if host.replace(".", "").isdigit():
                return await known(host, port, **more)
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, (address, port)) for address in found.pop(0)]

        loop.getaddrinfo = lookup

    return patch


def test_a_name_with_one_address_around_us_gets_nothing(tmp_path: Path) -> None:
    """Whoever controls the name decides which of them comes first."""
    both = resolving("93.184.216.34", "127.0.0.1")

    assert post_to(tmp_path, "hooks.example", before=both) == (0, REFUSED)


def test_the_address_that_was_looked_at_is_connected_to(tmp_path: Path) -> None:
    """A name that leads elsewhere a moment later leads nobody astray."""
    once = resolving("127.0.0.1")

    assert post_to(tmp_path, "hooks.example", allow="on", before=once) == (1, "")
