"""Post the events of the outbox to the webhook, one after another, until each is delivered.

Decides what counts as delivered (an answer of 200 to 299) and bounds every try in time and bytes.
Redirects are not followed: the address comes from the settings, and from nobody else. Its name is
looked up for each try, and the very addresses that were found fit (`access/posting.py`) are
connected to: a name that leads into the networks around us posts nothing.
When a failed event is tried again is decided in `monitoring/notifier.py`.

A try is noted in the store after its answer. If control ends in between, the event is sent again,
with the same id; if the store cannot be written, it is sent again when it can.

Concurrency: event loop only. `wake` may be called whenever an event was put into the outbox.
Lifetime: `run` is one task for the life of control, if there is a webhook.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import time
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from server.access.posting import is_public, is_this_machine
from server.monitoring.notifier import (
    CONTENT_TYPE,
    Failure,
    is_too_old,
    next_try,
    signature_headers,
)
from server.operator_errors import StoreUnavailable
from server.settings import Settings
from server.store.database import Store

if TYPE_CHECKING:
    from server.store.database import Connection
    from server.store.outbox import Outgoing

TRY_SECONDS = 10.0
"""For one try: name, connection, handshake, post and answer together."""
LOOK_SECONDS = 30.0
"""Between two looks into the outbox when nobody wakes us, and after a fault of the store."""
MAX_HEAD_BYTES = 16 * 1024
MAX_RETRY_AFTER_DIGITS = 9

log = structlog.get_logger()


OUTCOMES = ("ok", "failed", "given_up")
"""What may become of a try; a failed one is followed by another."""


class Notifier:
    """The sender of one webhook."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.tries = Counter(dict.fromkeys(OUTCOMES, 0))
        """Tries by outcome, since control started."""
        self.waiting = 0
        """Events that wait to be delivered, as of the last look."""
        self._url = settings.webhook_url.get_secret_value()
        self._secret = settings.webhook_secret.get_secret_value()
        self._may_be_private = settings.webhook_allow_private == "on"
        self._store = store
        self._woken = asyncio.Event()
        self._delivered: set[str] = set()  # What the store does not know yet.
        self._tls: ssl.SSLContext | None = None

    @property
    def is_on(self) -> bool:
        """Whether there is a webhook; without one, nothing should be put into the outbox."""
        return bool(self._url)

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._woken.set()

    async def run(self) -> None:
        """Send what is due, wait until something is, for ever; without a webhook, nothing."""
        if not self.is_on:
            return
        if self._url.startswith("https:"):
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        while True:
            self._woken.clear()
            pause = LOOK_SECONDS
            with contextlib.suppress(StoreUnavailable):  # The store has said so itself.
                pause = await self._send_due()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, LOOK_SECONDS)):
                    await self._woken.wait()

    async def _send_due(self) -> float:
        """Send each event that is due once; return the seconds until another one is due."""
        now = time.time()

        def look(connection: "Connection") -> "tuple[list[Outgoing], float | None, int]":
            from server.store import outbox

            waiting = outbox.count(connection)[outbox.Outcome.WAITING]
            return outbox.due(connection, now), outbox.next_due_seconds(connection), waiting

        events, next_due, self.waiting = await self._store.run(look)
        for event in events:
            await self._send(event)
        if events:
            return 0.0
        return LOOK_SECONDS if next_due is None else max(0.0, next_due - now)

    async def _send(self, event: "Outgoing") -> None:
        if event.event_id in self._delivered:
            failure = None  # The store could not be written when it was.
        elif is_too_old(event.created_seconds, time.time()):
            failure = Failure("it is too old to be told")
        else:
            failure = await self._post(event)
        if failure is None:
            again = None
            self._delivered.add(event.event_id)
        else:
            chance = random.random()  # noqa: S311 - it spreads tries, and hides nothing
            attempts = event.attempts + 1
            again = next_try(attempts, event.created_seconds, failure, time.time(), chance)

        def note(connection: "Connection") -> None:
            from server.store import outbox

            if failure is None:
                outbox.done(connection, event.event_id)
            else:
                outbox.failed(connection, event.event_id, failure.words, again)

        await self._store.run(note, is_durable=True)
        self._delivered.discard(event.event_id)
        self._count(event, failure, again)

    def _count(self, event: "Outgoing", failure: Failure | None, again: float | None) -> None:
        if failure is None:
            self.tries["ok"] += 1
            log.info("webhook_delivered", event_id=event.event_id)
            return
        self.tries["given_up" if again is None else "failed"] += 1
        log.warning(
            "webhook_not_delivered",
            event_id=event.event_id,
            reason=failure.words,
            is_given_up=again is None,
        )

    async def _post(self, event: "Outgoing") -> Failure | None:
        """Post one event; return why it was not delivered, or None."""
        try:
            async with asyncio.timeout(TRY_SECONDS):
                status, headers = await self._exchange(event)
        except TimeoutError:
            return Failure(f"no answer within {TRY_SECONDS:g} seconds")
        except ssl.SSLCertVerificationError as error:
            return Failure(f"its certificate is not trusted: {error.verify_message}")
        except UnicodeError:
            return Failure("there is no such host")
        except NotPublic:
            return Failure("its address is not public, and webhook_allow_private is off")
        except OSError as error:
            return Failure(f"no connection: {error.strerror or error}")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return Failure("its answer is not HTTP")
        if 200 <= status <= 299:
            return None
        return Failure(f"it answered {status}", status, _seconds(headers.get("retry-after", "")))

    async def _exchange(self, event: "Outgoing") -> tuple[int, dict[str, str]]:
        parts = urlsplit(self._url)
        port = parts.port or (443 if self._tls else 80)
        reader, writer = await self._connect(str(parts.hostname), port)
        try:
            headers = {
                "Host": parts.netloc,
                "Content-Type": CONTENT_TYPE,
                "Content-Length": str(len(event.body)),
                "Connection": "close",
                "User-Agent": "tidegate",
                **signature_headers(event.event_id, event.body, self._secret, time.time()),
            }
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            lines = [f"POST {target} HTTP/1.1", *(f"{name}: {it}" for name, it in headers.items())]
            writer.write("\r\n".join([*lines, "\r\n"]).encode("ascii") + event.body)
            await writer.drain()
            while True:
                status, answered = _read_head(await reader.readuntil(b"\r\n\r\n"))
                if status >= 200:  # Before it may come others, such as 100 Continue.
                    return status, answered
        finally:
            writer.transport.abort()  # Nothing else is to be read, however much there is.

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to one of a host's addresses, having seen that all of them may be posted to."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if not (self._may_be_private or is_this_machine(host) or all(map(is_public, addresses))):
            raise NotPublic
        name = None if self._tls is None else host
        for address in addresses[:-1]:
            with contextlib.suppress(ConnectionError):
                return await asyncio.open_connection(
                    address, port, ssl=self._tls, server_hostname=name, limit=MAX_HEAD_BYTES
                )
        return await asyncio.open_connection(
            addresses[-1], port, ssl=self._tls, server_hostname=name, limit=MAX_HEAD_BYTES
        )


class NotPublic(Exception):
    """The webhook's name leads to an address that is not the internet's."""


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers of an answer.

    Raises:
        ValueError: it is not the head of an HTTP answer.

    """
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
        raise ValueError("no status line")
    pairs = (line.partition(":") for line in lines)
    return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}


def _seconds(retry_after: str) -> float:
    """Return the seconds of a Retry-After; 0 for a date, which nobody sends to a webhook."""
    is_number = retry_after.isdecimal() and len(retry_after) <= MAX_RETRY_AFTER_DIGITS
    return float(retry_after) if is_number else 0.0
