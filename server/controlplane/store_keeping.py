"""Keep the store from growing, and notice when it can be written again.

Decides how often old counts are joined, and how long the log of alerts and delivered events are
kept. How counts are joined is decided in `statistics/window.py`, how long answers are kept for
those who ask again in `store/idempotency.py`.

Lifetime: `keep` is one task for the life of control. Its first round opens the file, so a store
that cannot be used is seen soon after the start.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from server.clock import steady_seconds
from server.operator_errors import StoreUnavailable
from server.statistics.window import DAY_SECONDS, HOUR_SECONDS
from server.store.database import Store
from server.store.keys import Subject

if TYPE_CHECKING:
    from server.store.database import Connection

KEEP_ALERT_LOG_SECONDS = 400 * DAY_SECONDS
"""As long as the coarsest counts."""
KEEP_EVENTS_SECONDS = 30 * DAY_SECONDS

LOOK_SECONDS = 5.0


async def keep(store: Store, look_seconds: float = LOOK_SECONDS) -> None:
    """Tidy the store every hour, for ever, and see whether it has recovered from a fault.

    Whoever has something to write finds that out first. An idle gateway would not, and seem to be
    broken for as long as it is idle.
    """
    loop = asyncio.get_running_loop()
    tidied, failures = -math.inf, 0
    while True:
        health = store.health
        with contextlib.suppress(StoreUnavailable):  # The store has said so itself.
            if loop.time() - tidied >= HOUR_SECONDS:
                tidied = loop.time()
                await _tidy(store)
            elif not health.is_writable and health.failures == failures:
                await store.probe()
        failures = store.health.failures
        await asyncio.sleep(look_seconds)


async def _tidy(store: Store) -> None:
    """Tidy each subject in a transaction of its own, so that counts need not wait long."""
    now = time.time()
    for subject in await store.run(_trim(now)):
        await store.run(_compact(subject, now))


def _trim(now: float) -> "Callable[[Connection], set[Subject]]":
    """Return the work of dropping what is too old; it returns whose counts there are."""

    def work(connection: "Connection") -> set[Subject]:
        from server.store import alerts, idempotency, outbox, windows

        alerts.trim_log(connection, now - KEEP_ALERT_LOG_SECONDS)
        outbox.trim(connection, now - KEEP_EVENTS_SECONDS)
        idempotency.trim(connection, steady_seconds())
        return windows.load_subjects(connection)

    return work


def _compact(subject: Subject, now: float) -> "Callable[[Connection], int]":
    """Return the work of joining the old counts of a subject."""

    def work(connection: "Connection") -> int:
        from server.store import windows

        return windows.compact_history(connection, subject, now)

    return work
