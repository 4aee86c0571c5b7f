"""A client that sends requests at a rate of its own, whatever the answers take.

A closed loop asks less when the server is slow, and so hides what callers would feel. Here each
request has a time at which it is due; its latency counts from then, waiting for a free connection
included.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import uvloop

CONNECTIONS = 64


@dataclass
class Answers:
    """What the client saw."""

    latencies: list[float] = field(default_factory=list)
    """Seconds from when a request was due to its answer."""
    failures: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies in seconds."""
        return float(np.quantile(self.latencies, share)) if self.latencies else float("nan")


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with one request at a time."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._received = b""
        self._due = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def send(self, due: float, request: bytes) -> None:
        """Send a request that was due at `due`."""
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        if len(body) < length:
            return
        self._received = b""
        self._load.answered(self, self._due, head, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self, exc)


class _Load:
    """One run."""

    def __init__(self, request: bytes, expected: bytes) -> None:
        self.answers = Answers()
        self.is_over = False
        self._request = request
        self._expected = expected
        self._idle: list[_Connection] = []
        self._waiting: deque[float] = deque()

    def answered(self, connection: _Connection, due: float, head: bytes, body: bytes) -> None:
        """Take an answer; its connection may be used again."""
        self.answers.latencies.append(time.perf_counter() - due)
        if not head.startswith(b"HTTP/1.1 200") or self._expected not in body:
            self.answers.failures.append(f"{head[:20]!r} {body[:200]!r}")
        if self._waiting:
            connection.send(self._waiting.popleft(), self._request)
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection, error: Exception | None) -> None:
        """Do without a connection; one that was never used may be closed, and harms nobody."""
        if connection in self._idle:
            self._idle.remove(connection)
        elif not self.is_over:
            self.answers.failures.append(f"connection lost: {error!r}")

    async def run(self, host: str, port: int, rate: float, seconds: float) -> Answers:
        """Send for some seconds, and wait for the last answers."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, connection = await loop.create_connection(lambda: _Connection(self), host, port)
            self._idle.append(connection)
        started, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < started + seconds:
            while started + sent / rate <= now:
                self._send(started + sent / rate)
                sent += 1
            await asyncio.sleep(max(0.0, started + sent / rate - time.perf_counter()))
        for _ in range(1000):
            if len(self.answers.latencies) == sent:
                break
            await asyncio.sleep(0.01)
        missing = sent - len(self.answers.latencies)
        self.answers.failures += ["no answer"] * missing
        self.is_over = True
        return self.answers

    def _send(self, due: float) -> None:
        if self._idle:
            self._idle.pop().send(due, self._request)
        else:
            self._waiting.append(due)


def run(url: str, body: bytes, expected: bytes, rate: float, seconds: float) -> Answers:
    """Post `body` at a rate; an answer is good if it has status 200 and `expected` in it."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    return uvloop.run(_Load(head.encode() + body, expected).run(host, port, rate, seconds))
