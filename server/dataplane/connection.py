"""A client connection of the data port, on which inference takes a shorter way.

Decides which requests are *hot*: an inference on a ready version is answered here, without an ASGI
scope, a task or a future. Every other one goes to the Starlette application on the same
connection, as `http/connection.py` has it.

Concurrency: event loop only.
"""

import time
from typing import Any

from server.access.principals import Principal
from server.access.quotas import caller_of
from server.access.roles import Role
from server.dataplane.exchanges import HotExchange
from server.dataplane.plane import Plane
from server.dataplane.targets import Target
from server.errors import TidegateError
from server.http.connection import Connection
from server.protocol import request_headers
from server.protocol.request_headers import InferHeaders


class DataConnection(Connection):
    """What uvicorn makes for each socket that is accepted on the data port."""

    def __init__(self, plane: Plane, **uvicorn_arguments: Any) -> None:
        super().__init__(plane, **uvicorn_arguments)
        self.plane = plane
        self._headers: InferHeaders | None = None
        """What the last head says to an inference, if it says anything that is right."""
        self._principal: Principal | None = None
        """Who sent the last head that was let in."""
        self._epoch: object = None
        """Of the gate, when that was found out."""
        self._began: float | None = None
        """When the first piece of the request came, of `time.perf_counter`, if more followed."""

    def request_begun(self) -> None:
        """Note when: the time that its caller gives it runs."""
        self._began = time.perf_counter()

    def request_complete(self) -> None:
        """Start a request: hot if it is an inference on a ready version, else cold."""
        if self._is_last:
            return
        reader, plane = self._reader, self.plane
        began, self._began = self._began, None
        self._continue_due = False
        close = plane.is_draining or not reader.keep_alive
        target = plane.routes.table.hot.get(reader.url)
        if target is None or reader.method != b"POST" or reader.is_encoded:
            self._principal = None  # If this head is refused, a hot repeat must not be let in.
            self._start_cold(close=close, began=began)
            return
        exchange = HotExchange(self, close=close)
        self._exchanges.append(exchange)
        if plane.gate.is_on and not self._may_ask(exchange, target):
            return
        if reader.has_noted and not self._read_headers(exchange, target):
            return
        headers = exchange.headers
        if target.split is not None or (reader.has_noted and headers.model_version is not None):
            version = target.served.version if target.is_named else None
            try:
                target = plane.choose(target.served.model, version, headers)
            except TidegateError as error:
                exchange.answered(error)
                return
        plane.predictor.submit(exchange, target, bytes(reader.body), headers, began=began)

    def caller(self) -> str:
        """Return who sent the last head, as quotas count."""
        return caller_of(self._principal, self.peer.address)

    def _may_ask(self, exchange: HotExchange, target: Target) -> bool:
        """Let an inference in, or answer why not; a head like the last one is the same caller."""
        reader, gate, model = self._reader, self.plane.gate, target.served.model
        known = self._principal if reader.is_repeated and self._epoch is gate.epoch else None
        if known is not None and known.may_ask(model):
            return True
        try:
            self._principal = gate.admit(Role.PREDICT, model, reader.headers, self.peer)
            self._epoch = gate.epoch
        except TidegateError as error:
            self._principal = None
            exchange.headers = request_headers.read_id_only(reader.headers)
            exchange.answered(error)
            return False
        return True

    def _read_headers(self, exchange: HotExchange, target: Target) -> bool:
        """Read what the headers ask of an inference; False if that is wrong, and answered."""
        reader = self._reader
        try:
            if self._headers is None or not reader.is_repeated:
                self._headers = None  # If they cannot be read, neither can those of a repeat.
                self._headers = request_headers.read(reader.headers)
            exchange.headers = self._headers
        except TidegateError as error:
            target.served.telemetry.refused(error.code)
            exchange.headers = request_headers.read_id_only(reader.headers)
            exchange.answered(error)
            return False
        return True
