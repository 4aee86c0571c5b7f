"""What all connections of a port share: limits, the budget of request bytes, and the time.

Decides nothing by itself. Time is kept by one timer for all connections, because a timer for each
request costs more than most requests.

Concurrency: event loop only.
"""

import asyncio
from typing import Protocol

from server.engine.admission import Budget
from server.settings import Settings

SWEEP_SECONDS = 0.25


class Sweepable(Protocol):
    """A connection, as the sweep sees it."""

    def check_time(self, now: float) -> None:
        """Act if a time-out has passed."""


class HttpPort:
    """The shared state of one listening socket's connections."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.budget = Budget(settings.max_in_flight_bytes)
        self.connections: set[Sweepable] = set()
        self.is_draining = False
        """Answers ask their clients to reconnect elsewhere."""
        self.clock = 0.0
        """The loop's time at the last sweep: precise enough for time-outs, free to read."""

    def refused(self, code: str) -> None:
        """Hear that a request was refused before anybody was asked; for those who count."""

    async def sweep_forever(self) -> None:
        """Look at every connection's time-outs, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            self.clock = loop.time()
            for connection in list(self.connections):
                connection.check_time(self.clock)
            await asyncio.sleep(SWEEP_SECONDS)
