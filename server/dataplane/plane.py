"""What all connections of a worker share.

Decides nothing by itself: it is the place where limits, routes, the predictor and the budget of
request bytes meet, and where time is kept for time-outs (one timer for all connections, because
a timer for each request costs more than most requests).

Concurrency: event loop only.
"""

import asyncio
from typing import Protocol

from server.config import Settings
from server.dataplane.predict import Predictor
from server.dataplane.routes import Routes
from server.dataplane.telemetry import UNKNOWN, Telemetry
from server.engine.admission import Budget
from server.protocol.http_answer import Headers, json_ok_prefix

SWEEP_SECONDS = 0.25


class Sweepable(Protocol):
    """A connection, as the sweep sees it."""

    def check_time(self, now: float) -> None:
        """Act if a time-out has passed."""


class Plane:
    """One worker's shared state."""

    def __init__(self, settings: Settings, routes: Routes, telemetry: Telemetry) -> None:
        self.settings = settings
        self.routes = routes
        self.telemetry = telemetry
        self.budget = Budget(settings.max_in_flight_bytes)
        self.predictor = Predictor(settings, self.budget)
        self.connections: set[Sweepable] = set()
        self.is_ready = False
        """The first desired state has been carried out."""
        self.is_draining = False
        """Not ready any more; answers ask their clients to reconnect elsewhere."""
        self.clock = 0.0
        """The loop's time at the last sweep: precise enough for time-outs, free to read."""
        self._default_headers: Headers | None = None
        self._json_ok_prefix = b""

    def count_refusal(self, model: str, code: str) -> None:
        """Count a request that reached no version; models that do not exist share one label."""
        known = model in self.routes.table.models
        self.telemetry.refusals(model if known else UNKNOWN).refused(code)

    def json_ok_prefix(self, default_headers: Headers) -> bytes:
        """Return the head of the commonest answer, made anew when the date changes."""
        if default_headers is not self._default_headers:
            self._default_headers = default_headers
            self._json_ok_prefix = json_ok_prefix(default_headers)
        return self._json_ok_prefix

    async def sweep_forever(self) -> None:
        """Look at every connection's time-outs, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            self.clock = loop.time()
            for connection in list(self.connections):
                connection.check_time(self.clock)
            await asyncio.sleep(SWEEP_SECONDS)
