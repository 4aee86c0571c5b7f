"""A client that asks without a pause while a test does something to the gateway."""

import contextlib
import http.client
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.gateway import Gateway

ROW = [[1.0, 2.0, 3.0]]


@dataclass
class Seen:
    """What a client got."""

    answers: Counter[int] = field(default_factory=Counter)
    """By status."""
    errors: list[OSError | http.client.HTTPException] = field(default_factory=list)
    """Connections that broke."""

    @property
    def is_flawless(self) -> bool:
        """Whether every request was answered with 200, and there was one."""
        return set(self.answers) == {200} and not self.errors


@contextlib.contextmanager
def asking(gateway: Gateway, model: str) -> Iterator[Seen]:
    """Ask a model for ROW until the block ends, each time on a new connection."""
    seen = Seen()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                seen.answers[gateway.infer(model, ROW).status] += 1
            except (OSError, http.client.HTTPException) as error:
                seen.errors.append(error)

    thread = threading.Thread(target=ask, name="client")
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def can_bind(url: str) -> bool:
    """Whether the port of an address is free."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((parts.hostname, parts.port))
        except OSError:
            return False
    return True


def listeners(url: str) -> int:
    """Return how many sockets listen on the port of an address."""
    port = urlsplit(url).port
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(int(row[1].rsplit(":", 1)[1], 16) == port and row[3] == "0A" for row in rows)
