"""A client that asks at one rate for as long as it is let, so that two states can be compared.

Decides when requests are due: as those of many independent callers are (a Poisson process, from a
fixed seed). Connections are opened once and used in turns, so that every window of a measurement
asks the same workers in the same way; a client that opens them anew for each run spreads them
differently each time, and p99 with them.

The client is a thread of the highest priority, where the system lets it: on another machine it
would not compete with what is measured. How late it was is kept beside every answer.

Concurrency: the thread has an event loop of its own; `window` may be called by another thread.
Lifetime: that of a `with` block.
"""

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import numpy as np
import uvloop
from numpy.typing import NDArray

CONNECTIONS = 64
LATEST_SECONDS = 5.0
"""How long after its end the last answers of a window are waited for."""


@dataclass(frozen=True)
class Window:
    """The requests that were due within some time."""

    seconds: NDArray[np.float64]
    """From when each was due to its answer."""
    sent_late: NDArray[np.float64]
    """How long after it was due each was sent, in seconds."""
    failures: list[str]

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies in seconds."""
        return float(np.quantile(self.seconds, share)) if len(self.seconds) else float("nan")


@dataclass(slots=True)
class _Request:
    """One request."""

    due: float
    sent: float = 0.0
    done: float = 0.0
    failure: str = ""


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with one request at a time."""

    def __init__(self, load: "SteadyLoad") -> None:
        self._load = load
        self._received = b""
        self._request: _Request | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def send(self, request: _Request, content: bytes) -> None:
        """Send a request."""
        self._request = request
        request.sent = time.perf_counter()
        self.transport.write(content)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        at = head.find(b"content-length: ")
        if not blank or len(body) < int(head[at + 16 :].partition(b"\r")[0]):
            return
        self._received = b""
        request, self._request = self._request, None
        assert request is not None, "an answer that nobody asked for"
        self._load.answered(self, request, head, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self, self._request, exc)


class SteadyLoad:
    """Requests at a rate, until the block ends."""

    def __init__(self, url: str, body: bytes, expected: bytes, rate: float) -> None:
        """Post `body`; an answer is good if it has status 200 and `expected` in it."""
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        head = f"POST {parts.path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        self._content = head.encode() + body
        self._expected = expected
        self._rate = rate
        self._requests: deque[_Request] = deque()
        self._waiting: deque[_Request] = deque()
        self._idle: deque[_Connection] = deque()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.native_id = 0
        """Of the client's thread."""

    def __enter__(self) -> Self:
        # A look at all the requests of a run would be some of them late.
        gc.disable()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        gc.enable()

    def window(self, seconds: float) -> Window:
        """Return what became of the requests that are due within the next seconds."""
        first = time.perf_counter()
        time.sleep(seconds)
        last = time.perf_counter()
        deadline = last + LATEST_SECONDS
        while True:
            some = [one for one in self._requests.copy() if first <= one.due < last]
            missing = sum(not one.done for one in some)
            if not missing or time.perf_counter() > deadline:
                break
            time.sleep(0.05)
        while self._requests and self._requests[0].due < last:
            self._requests.popleft()
        failures = [one.failure for one in some if one.failure]
        return Window(
            np.array([one.done - one.due for one in some if one.done]),
            np.array([one.sent - one.due for one in some if one.sent]),
            failures + ["no answer"] * missing,
        )

    # On the client's thread.

    def _run(self) -> None:
        self.native_id = threading.get_native_id()
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        uvloop.run(self._ask())

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        connections = [
            (await loop.create_connection(lambda: _Connection(self), *self._address))[1]
            for _ in range(CONNECTIONS)
        ]
        self._idle.extend(connections)
        generator = np.random.default_rng(0)
        due = time.perf_counter()
        while not self._is_over.is_set():
            for gap in generator.exponential(1 / self._rate, 256).tolist():
                due += gap
                early = due - time.perf_counter()
                if early > 0:
                    await asyncio.sleep(early)
                request = _Request(due)
                self._requests.append(request)
                if self._idle:
                    self._idle.popleft().send(request, self._content)
                else:
                    self._waiting.append(request)
        for connection in connections:
            connection.transport.abort()
        await asyncio.sleep(0.01)  # A loop that ends with transports that still close may hang.

    def answered(
        self, connection: _Connection, request: _Request, head: bytes, body: bytes
    ) -> None:
        """Take an answer; its connection may be used again."""
        request.done = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 200") or self._expected not in body:
            request.failure = f"{head[:20]!r} {body[:200]!r}"
        if self._waiting:
            connection.send(self._waiting.popleft(), self._content)
        else:
            self._idle.append(connection)

    def lost(
        self, connection: _Connection, request: _Request | None, error: Exception | None
    ) -> None:
        """Note what a lost connection has cost; one that waited for nothing harms nobody."""
        if request is not None:
            request.done = time.perf_counter()
            request.failure = f"connection lost: {error!r}"
        elif connection in self._idle:
            self._idle.remove(connection)
