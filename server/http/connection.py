"""One client connection: HTTP/1.1 in, answers out, in order.

Hands each request to the Starlette application through uvicorn's own request cycle; who knows a
shorter way for some says so in a subclass. All share one line of exchanges, so pipelined answers
leave in the order of their requests. Enforces what uvicorn does not: sizes, time-outs and
unambiguous framing (`request_reader.py`).

A request is dispatched when all of it has arrived; no route of ours streams its body. A client
that closes its side is taken to have left: what waits for it is not run.

Given to uvicorn as `Config(http=...)`, bound to its port.

Concurrency: event loop only.
Lifetime: from `connection_made` to `connection_lost`; `HttpPort.connections` holds the open ones.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from server import ports
from server.access.gate import Peer
from server.errors import MemoryBudget, TidegateError, TooManyConnections
from server.http.exchanges import ColdExchange, Exchange, Flow, Refusal
from server.http.port import QUIET_SECONDS, SPARE_SECONDS, HttpPort, Place, address_of
from server.http.request_reader import Listener, RequestReader
from server.http.slow_reader import SlowReader
from server.http.tls import names_of
from server.protocol.errors import error_answer
from server.protocol.http_answer import response_head
from server.protocol.request_headers import new_request_id

MAX_PIPELINED = 32
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LINGER_SECONDS = 2.0
_TOO_MANY = "the worker has all the connections it may have"
_HEALTH = b"/v2/health/"
_WAITING_BYTES = 4096
"""What a cold request that waits in the line takes beside its body."""


@dataclass(frozen=True)
class _Spare:
    """Hears the reader in place of a connection that is beyond the limit."""

    request_begun: Callable[[], None]
    expect_continue: Callable[[], None]
    request_complete: Callable[[], None]


class Connection(asyncio.Protocol):
    """What uvicorn makes for each accepted socket."""

    def __init__(
        self,
        port: HttpPort,
        *,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # The same for all connections.
        self.port = port
        self.server_state = server_state
        self._app = config.loaded_app
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._logger = logging.getLogger("uvicorn.error")
        # Of this connection.
        self._transport: asyncio.Transport
        self._flow: Flow
        self._address = ""
        self._peer: Peer | None = None
        self._reader: RequestReader
        self._exchanges: deque[Exchange] = deque()
        self._is_last = False  # No further request is read; close after the line is empty.
        self._ends = False  # No request is waited for; close when none has come for a moment.
        self._continue_due = False
        self._slow = SlowReader()
        self._linger_until: float | None = None
        self._spare_until: float | None = None

    # What asyncio tells.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the socket, or refuse it when there are too many."""
        self._transport = transport
        self._flow = Flow(transport)
        port = self.port
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        self._address = address_of(transport)  # A transport that has been lost knows it no more.
        place = port.enter(self, self._address)
        listener: Listener = self
        if place is Place.SPARE:
            self._spare_until = self._loop.time() + SPARE_SECONDS
            listener = _Spare(self.request_begun, self._refuse_spare, self._answer_spare)
        self._reader = RequestReader(listener, port.settings, port.budget)
        self._reader.mark(self._loop.time())
        if place is Place.NONE:
            self._refuse_at_once()

    def data_received(self, data: bytes) -> None:
        """Read requests and start them."""
        if self._is_last:
            return
        error = self._reader.feed(data, self.port.clock)
        if error is not None:
            self.refuse(error)
        elif len(self._exchanges) >= MAX_PIPELINED:
            self._flow.pause_reading()

    def eof_received(self) -> None:
        """The client has closed its side: nobody will read the answers."""
        self._abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything that waits for this client."""
        del exc
        self.port.leave(self, self._address)
        self.server_state.connections.discard(self)
        self._abandon()
        self._reader.close()
        self._flow.resume_writing()

    def pause_writing(self) -> None:
        """The client reads too slowly: read nothing more from it, and watch the time."""
        self._slow.begin(self._loop.time())
        self._flow.pause_writing()
        self._flow.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._slow.since = None
        self._flow.resume_writing()
        if len(self._exchanges) < MAX_PIPELINED:
            self._flow.read_on()

    # What the reader tells.

    def request_begun(self) -> None:
        """Whoever has deadlines notes when."""

    def expect_continue(self) -> None:
        """A client waits for permission to send its body: give it when it is its turn."""
        if self._exchanges:
            self._continue_due = True
        else:
            self._transport.write(_CONTINUE)

    def request_complete(self) -> None:
        """Start a request."""
        if self._is_last:
            return
        self._continue_due = False
        self._start_cold(close=self.port.is_draining or not self._reader.keep_alive)

    @property
    def peer(self) -> Peer:
        """Who is at the other end; looked up when it is first asked for."""
        if self._peer is None:
            address = get_remote_addr(self._transport)
            self._peer = Peer(address[0] if address else "", names_of(self._transport))
        return self._peer

    # The line of exchanges.

    def advance(self) -> None:
        """Send the answers whose turn it is; start a cold request that has become the first."""
        exchanges = self._exchanges
        while exchanges:
            first = exchanges[0]
            if first.response is None:
                if isinstance(first, ColdExchange) and not first.is_started:
                    self._run_cold(first)
                return
            exchanges.popleft()
            self._transport.write(first.response)
            if first.close:
                self._finish(linger=isinstance(first, Refusal))
                return
        if self._continue_due:
            self._continue_due = False
            self._transport.write(_CONTINUE)
        if self._flow.read_paused and self._slow.since is None:
            self._flow.read_on()
        self._reader.mark(self.port.clock)

    def refuse(self, error: TidegateError) -> None:
        """Answer with an error that ends the connection, after the answers before it."""
        self._is_last = True
        self._exchanges.append(Refusal(self._refusal(error)))
        self.advance()

    def _refusal(self, error: TidegateError) -> bytes:
        self.port.refused(error.code)
        answer = error_answer(error, new_request_id())
        head = response_head(answer, self.server_state.default_headers, close=True)
        return head + answer.body

    def _answer_spare(self) -> None:
        """Beyond the limit of connections, say whether we are well: full is not dead."""
        reader = self._reader
        if reader.method in (b"GET", b"HEAD") and reader.url.startswith(_HEALTH):
            self._start_cold(close=True)
        else:
            self._refuse_spare()

    def _refuse_spare(self) -> None:
        if not self._is_last:
            self.refuse(TooManyConnections(_TOO_MANY))

    def _refuse_at_once(self) -> None:
        """Say why and close without a moment's wait: so many could take all descriptors."""
        self._is_last = True
        self._transport.write(self._refusal(TooManyConnections(_TOO_MANY)))
        self._transport.close()

    def _finish(self, *, linger: bool) -> None:
        """Close for good, but let the client read a refusal before it meets a reset.

        Closing while the client still sends would make the kernel discard what we wrote; so only
        our side is closed, and what comes is thrown away until the client closes too.
        """
        self._abandon()
        if not linger or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._linger_until = self._loop.time() + _LINGER_SECONDS

    def _abandon(self) -> None:
        """Tell everything that waits that its caller has left."""
        self._is_last = True
        for exchange in self._exchanges:
            exchange.leave()
        self._exchanges.clear()

    # The cold path.

    def _start_cold(self, *, close: bool, began: float | None = None) -> None:
        scope = self._reader.scope(
            client=get_remote_addr(self._transport),
            server=get_local_addr(self._transport),
            state=self._app_state.copy(),
            peer=self.peer,
            began=began,
        )
        held_bytes = len(self._reader.body) + _WAITING_BYTES if self._exchanges else 0
        if not self.port.budget.take(held_bytes):
            self.refuse(MemoryBudget("too many request bytes are in flight"))
            return
        cycle = RequestResponseCycle(
            scope=scope,  # type: ignore[arg-type]
            transport=self._transport,
            flow=self._flow,
            logger=self._logger,
            access_logger=self._logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=not close,
            on_response=self._cold_finished,
        )
        cycle.body = bytearray(self._reader.body)
        cycle.more_body = False
        cycle.message_event.set()
        self._exchanges.append(ColdExchange(cycle, held_bytes, self.port.budget))
        self.advance()

    def _run_cold(self, exchange: ColdExchange) -> None:
        exchange.start()
        self.keep(self._loop.create_task(exchange.cycle.run_asgi(self._app)))

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold on to a task until it is done; uvicorn waits for these when it stops."""
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    def _cold_finished(self) -> None:
        if self._exchanges:
            self._exchanges.popleft()
        if self._transport.is_closing():
            self._abandon()
        else:
            self.advance()

    # Time and the end.

    def check_time(self, now: float) -> None:
        """Act if one of the connection's time-outs has passed; called by the sweep."""
        if self._slow.since is not None or self._transport.is_closing():
            # Closing waits for a client that does not read, too.
            unread = self._transport.get_write_buffer_size()
            if self._slow.is_stuck(now, unread, self.port.settings.write_timeout_seconds):
                self.cut_off()
        elif self._linger_until is not None:
            if now > self._linger_until:
                self._transport.close()
        elif not self._is_last and not self._exchanges:
            self._check_reader(now)

    def _check_reader(self, now: float) -> None:
        error = self._reader.overdue(now)
        if error is not None:
            self.refuse(error)
        elif self._spare_until is not None and now > self._spare_until:
            self._refuse_spare()
        elif self._reader.is_idle_too_long(now) or (
            self._ends and self._reader.is_quiet(now, QUIET_SECONDS)
        ):
            self._transport.close()

    def unread_bytes(self, now: float) -> int:
        """Return the bytes of answers that wait because the client has been slow for a while."""
        if not self._slow.is_slow(now):
            return 0
        waiting = sum(len(one.response) for one in self._exchanges if one.response is not None)
        return waiting + self._transport.get_write_buffer_size()

    def cut_off(self) -> None:
        """Let go of the client and of all that it has not read, in the kernel too."""
        ports.forget_unsent(self._transport.get_extra_info("socket"))
        self._transport.abort()

    def shutdown(self) -> None:
        """Close when what is under way has been answered; uvicorn calls this when it stops.

        A request may be on its way on a connection that was idle a moment ago: it is closed after
        one more, or when none has come for a while.
        """
        self._ends = True
        if not self._exchanges:
            if self._reader.is_quiet(self._loop.time(), QUIET_SECONDS):
                self._transport.close()
            return
        last = self._exchanges[-1]
        if isinstance(last, ColdExchange):
            last.cycle.keep_alive = False
        else:
            last.close = True
