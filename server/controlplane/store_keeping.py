"""Keep the store from growing: join old counts, drop what is too old to be asked for.

Decides how often, and how long the log of alerts and delivered events are kept. How counts are
joined is decided in `statistics/window.py`.

Lifetime: `keep` is one task for the life of control. Its first round opens the file, so a store
that cannot be used is seen soon after the start.
"""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog

from server.errors import StoreUnavailable
from server.statistics.window import DAY_SECONDS, HOUR_SECONDS
from server.store.database import Store

if TYPE_CHECKING:
    from server.store.database import Connection

KEEP_ALERT_LOG_SECONDS = 400 * DAY_SECONDS
"""As long as the coarsest counts."""
KEEP_EVENTS_SECONDS = 30 * DAY_SECONDS

log = structlog.get_logger()


async def keep(store: Store, every_seconds: float = HOUR_SECONDS) -> None:
    """Tidy the store now and then, for ever; when it cannot be used, the next time."""
    while True:
        with contextlib.suppress(StoreUnavailable):  # The store has said so itself.
            await store.run(_tidy)
        await asyncio.sleep(every_seconds)


def _tidy(connection: "Connection") -> None:
    from server.store import alerts, outbox, windows

    now = time.time()
    fewer = windows.compact_history(connection, now)
    entries = alerts.trim_log(connection, now - KEEP_ALERT_LOG_SECONDS)
    events = outbox.trim(connection, now - KEEP_EVENTS_SECONDS)
    log.debug("store_tidied", cells=fewer, log_entries=entries, events=events)
