"""What all connections of a worker share.

Decides nothing by itself: it is the place where limits, routes, the predictor and the budget of
request bytes meet, and where chance is drawn.

Concurrency: event loop only.
"""

import random

from server.dataplane.hangs import Hangs, leave_at_once
from server.dataplane.predict import Predictor
from server.dataplane.proving import Prover
from server.dataplane.routes import Routes
from server.dataplane.targets import Target
from server.dataplane.telemetry import UNKNOWN, Telemetry
from server.engine.watchdog import Watchdog
from server.errors import TidegateError
from server.http.port import HttpPort
from server.protocol.answers import BINARY_TYPE, JSON_TYPE
from server.protocol.http_answer import Headers, header_lines, ok_prefix
from server.protocol.request_headers import InferHeaders
from server.release.route import ALL_BP
from server.settings import Settings


class Plane(HttpPort):
    """One worker's shared state."""

    def __init__(self, settings: Settings, routes: Routes, telemetry: Telemetry) -> None:
        super().__init__(settings)
        self.routes = routes
        self.telemetry = telemetry
        self.predictor = Predictor(settings, self.budget)
        self.hangs = Hangs(telemetry.worker, telemetry.send)
        self.watchdog = Watchdog(leave_at_once)
        self.prover = Prover(routes)
        self.is_ready = False
        """The first desired state has been carried out."""
        self.prediction_id_end = b"-" + telemetry.tag.encode()
        """What follows the number in a prediction id."""
        self._default_headers: Headers | None = None
        self._json_ok_prefix = b""
        self._binary_ok_prefix = b""
        self._default_head = b""

    def unready_reason(self, now: float) -> str:
        """Return why requests should not be sent here; empty if they should.

        `now` is of `time.perf_counter`.
        """
        if self.is_draining:
            return "the server is stopping"
        if not self.is_ready:
            return "what shall be served is not loaded yet"
        return next(iter(self.prover.unproven(now).values()), "")

    def refused(self, code: str) -> None:
        """Count a request that was refused before its target was known."""
        self.telemetry.refusals(UNKNOWN).refused(code)

    def count_refusal(self, model: str, code: str) -> None:
        """Count a request that reached no version; models that do not exist share one label."""
        known = model in self.routes.table.models
        self.telemetry.refusals(model if known else UNKNOWN).refused(code)

    def choose(self, model: str, version: str | None, headers: InferHeaders) -> Target:
        """Return who answers an inference on a model, or on one version of it.

        Raises:
            TidegateError: nobody does, as `RouteTable.choose` says; that is counted.

        """
        draw_bp = random.randrange(ALL_BP)  # noqa: S311 - a share of requests, and no secret
        try:
            return self.routes.table.choose(model, version, headers, draw_bp)
        except TidegateError as error:
            self.count_refusal(model, error.code)
            raise

    def json_ok_prefix(self, default_headers: Headers) -> bytes:
        """Return the head of an answer in JSON, made anew when the date changes."""
        if default_headers is not self._default_headers:
            self._keep_heads(default_headers)
        return self._json_ok_prefix

    def binary_ok_prefix(self, default_headers: Headers) -> bytes:
        """Return the head of an answer in binary, made anew when the date changes."""
        if default_headers is not self._default_headers:
            self._keep_heads(default_headers)
        return self._binary_ok_prefix

    def default_head(self, default_headers: Headers) -> bytes:
        """Return the server's own headers as they stand in a head."""
        if default_headers is not self._default_headers:
            self._keep_heads(default_headers)
        return self._default_head

    def _keep_heads(self, default_headers: Headers) -> None:
        self._default_headers = default_headers
        self._json_ok_prefix = ok_prefix(JSON_TYPE, default_headers)
        self._binary_ok_prefix = ok_prefix(BINARY_TYPE, default_headers)
        self._default_head = header_lines(default_headers)
