"""A client that sends requests at a rate of its own, whatever the answers take.

A closed loop asks less when the server is slow, and so hides what callers would feel. Here each
request has a time at which it is due; its latency counts from then, waiting for a free connection
included.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
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
    sent_late: list[float] = field(default_factory=list)
    """Seconds by which the client itself began to send after a request was due."""

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
        if not blank or not _is_whole(head, body):
            return
        self._received = b""
        self._load.answered(self, self._due, head, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(self, exc)


def _is_whole(head: bytes, body: bytes) -> bool:
    """Say whether a body has come to its end: by its length, or by an empty last chunk."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return body.endswith(b"\r\n0\r\n\r\n")


class _Load:
    """One run."""

    def __init__(self, requests: Sequence[bytes], expected: bytes, connections: int) -> None:
        self.answers = Answers()
        self.is_over = False
        self._requests = cycle(requests)
        self._expected = expected
        self._connections = connections
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._all_closed = asyncio.Event()
        self._waiting: deque[float] = deque()

    def answered(self, connection: _Connection, due: float, head: bytes, body: bytes) -> None:
        """Take an answer; its connection may be used again."""
        self.answers.latencies.append(time.perf_counter() - due)
        if not head.startswith(b"HTTP/1.1 200") or self._expected not in body:
            self.answers.failures.append(f"{head[:20]!r} {body[:200]!r}")
        if self._waiting:
            connection.send(self._waiting.popleft(), next(self._requests))
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection, error: Exception | None) -> None:
        """Do without a connection; one that was never used may be closed, and harms nobody."""
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()
        if connection in self._idle:
            self._idle.remove(connection)
        elif not self.is_over:
            self.answers.failures.append(f"connection lost: {error!r}")

    async def run(self, host: str, port: int, rate: float, seconds: float) -> Answers:
        """Send for some seconds, and wait for the last answers."""
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), host, port)
            self._idle.append(connection)
            self._open.add(connection)
        started, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < started + seconds:
            while (due := started + sent / rate) <= now:
                self.answers.sent_late.append(now - due)
                self._send(due)
                sent += 1
            await asyncio.sleep(max(0.0, started + sent / rate - time.perf_counter()))
        for _ in range(1000):
            if len(self.answers.latencies) == sent:
                break
            await asyncio.sleep(0.01)
        missing = sent - len(self.answers.latencies)
        self.answers.failures += ["no answer"] * missing
        self.is_over = True
        for connection in list(self._open):
            connection.transport.close()
        if self._open:
            await self._all_closed.wait()
        return self.answers

    def _send(self, due: float) -> None:
        if self._idle:
            self._idle.pop().send(due, next(self._requests))
        else:
            self._waiting.append(due)


def run(url: str, body: bytes, expected: bytes, rate: float, seconds: float) -> Answers:
    """Post `body` at a rate; an answer is good if it has status 200 and `expected` in it."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    load = _Load([head.encode() + body], expected, CONNECTIONS)
    return uvloop.run(load.run(host, port, rate, seconds))


def offer(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, connections: int
) -> Answers:
    """Send whole requests in turn at a rate; an answer is good if it has status 200."""
    return uvloop.run(_Load(requests, b"", connections).run("127.0.0.1", port, rate, seconds))
