"""Offer requests at a rate of their own, whatever becomes of them, and keep a ledger.

Each request has a time at which it is due and counts from then, waiting for a free connection
included: a server that answers late does not lower the rate. The times are drawn as those of many
independent callers are (a Poisson process, from a fixed seed). Every request ends as one line of
the ledger: its outcome, when it was due and how long it took.
"""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
import orjson
from numpy.typing import NDArray

NO_ANSWER = "no_answer"


@dataclass
class Ledger:
    """What became of every request that was offered."""

    outcomes: list[str] = field(default_factory=list)
    """`ok`, the code of an error, or NO_ANSWER."""
    due: list[float] = field(default_factory=list)
    """Seconds since the start of the offer."""
    seconds: list[float] = field(default_factory=list)
    """From when it was due to its answer."""
    sent_late: list[float] = field(default_factory=list)
    """How long after it was due it was sent, in seconds: the client's own part."""

    def counts(self) -> Counter[str]:
        """Return how many requests had each outcome."""
        return Counter(self.outcomes)

    def seconds_of(self, *, ok: bool) -> NDArray[np.float64]:
        """Return how long the good answers took, or all others."""
        pairs = zip(self.seconds, self.outcomes, strict=True)
        return np.array([took for took, one in pairs if (one == "ok") is ok], np.float64)

    def note(self, outcome: str, due: float, seconds: float, sent_late: float) -> None:
        """Write one line."""
        self.outcomes.append(outcome)
        self.due.append(due)
        self.seconds.append(seconds)
        self.sent_late.append(sent_late)


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with one request at a time."""

    def __init__(self, offer: "Offer") -> None:
        self._offer = offer
        self._received = b""
        self._due = 0.0
        self._sent = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def send(self, due: float, now: float, request: bytes) -> None:
        """Send a request that was due at `due`."""
        self._due, self._sent = due, now
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data
        head_bytes = received.find(b"\r\n\r\n") + 4
        at = received.find(b"content-length: ", 0, head_bytes)
        if head_bytes < 4 or at < 0:
            return
        length = int(received[at + 16 : received.index(b"\r", at)])
        if len(received) < head_bytes + length:
            return
        self._received = b""
        is_good = received.startswith(b"HTTP/1.1 200")
        outcome = "ok" if is_good else orjson.loads(received[head_bytes:])["code"]
        self._offer.answered(self, outcome, self._due, self._sent)


class Offer:
    """One run of requests at a rate."""

    def __init__(self, request: bytes, rate: float, seconds: float, connections: int) -> None:
        self.ledger = Ledger()
        self._request = request
        self._rate = rate
        self._seconds = seconds
        self._connections = connections
        self._idle: deque[_Connection] = deque()
        """Used in turns: a server waits for the first request of a connection so long only."""
        self._waiting: deque[float] = deque()
        self._started = 0.0

    def answered(self, connection: _Connection, outcome: str, due: float, sent: float) -> None:
        """Take an answer; its connection may be used again."""
        now = time.perf_counter()
        self.ledger.note(outcome, due - self._started, now - due, sent - due)
        if self._waiting:
            connection.send(self._waiting.popleft(), now, self._request)
        else:
            self._idle.append(connection)

    async def run(self, port: int) -> Ledger:
        """Offer for some seconds, and wait for the last answers."""
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", port
            )
            self._idle.append(connection)
        self._started = started = time.perf_counter()
        sent = 0
        for due in self._times():
            early = started + due - time.perf_counter()
            if early > 0:
                await asyncio.sleep(early)
            self._send(started + due, time.perf_counter())
            sent += 1
        await asyncio.sleep(max(0.0, started + self._seconds - time.perf_counter()))
        for _ in range(1000):
            if len(self.ledger.outcomes) >= sent:
                break
            await asyncio.sleep(0.01)
        for _ in range(sent - len(self.ledger.outcomes)):
            self.ledger.note(NO_ANSWER, 0.0, 0.0, 0.0)
        for connection in self._idle:
            connection.transport.close()
        return self.ledger

    def _times(self) -> list[float]:
        """Return when requests are due, in seconds from the start."""
        generator = np.random.default_rng(0)
        count = int(self._rate * self._seconds * 1.5) + 100
        times = np.cumsum(generator.exponential(1 / self._rate, count))
        return list(map(float, times[times < self._seconds]))

    def _send(self, due: float, now: float) -> None:
        if self._idle:
            self._idle.popleft().send(due, now, self._request)
        else:
            self._waiting.append(due)


class ClosedLoop(Offer):
    """As much as some connections take, each of which asks again when it is answered."""

    def __init__(self, request: bytes, seconds: float, connections: int) -> None:
        super().__init__(request, 0.0, seconds, connections)

    def answered(self, connection: _Connection, outcome: str, due: float, sent: float) -> None:
        """Take an answer and ask again, until the time is over."""
        now = time.perf_counter()
        self.ledger.note(outcome, due - self._started, now - due, sent - due)
        if now < self._started + self._seconds:
            connection.send(now, now, self._request)

    def _times(self) -> list[float]:
        return [0.0] * self._connections


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return the bytes of a request."""
    more = "".join(f"{header}\r\n" for header in headers)
    head = f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body
