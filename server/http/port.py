"""What all connections of a port share: limits, the budget of request bytes, and the time.

Decides who may come in, and who is cut off when clients that do not read hold too much memory. Time
is kept by one timer for all connections, because a timer for each request costs more than most
requests.

Concurrency: event loop only.
"""

import asyncio
import enum
from collections import Counter
from typing import Final, Protocol

from server import machine
from server.access.gate import Gate
from server.engine.admission import Budget
from server.settings import Settings

SWEEP_SECONDS = 0.25

RESERVED_DESCRIPTORS: Final = 64
"""File descriptors that are not for connections: models, logs, sockets to other processes."""

SPARE_CONNECTIONS: Final = 32
"""Connections beyond the limit that are heard: health is answered, and all else is refused."""

QUIET_SECONDS: Final = 1.0
"""At the end, an idle connection is closed if no request has come on it for this long."""

SPARE_SECONDS: Final = 1.0
"""Time for a connection beyond the limit to ask for health."""


class Place(enum.Enum):
    """What a new connection gets."""

    ORDINARY = enum.auto()
    SPARE = enum.auto()
    NONE = enum.auto()


class Client(Protocol):
    """A connection, as the port sees it."""

    def check_time(self, now: float) -> None:
        """Act if a time-out has passed."""

    def unread_bytes(self, now: float) -> int:
        """Return how much waits for a client that is slow to read."""

    def cut_off(self) -> None:
        """Let go of the client."""


class HttpPort:
    """The shared state of one listening socket's connections."""

    def __init__(self, settings: Settings, *, browser_host: str | None = None) -> None:
        self.settings = settings
        self.gate = Gate(settings, self.refused, browser_host=browser_host)
        self.budget = Budget(settings.max_in_flight_bytes)
        self.connections: set[Client] = set()
        self.max_connections = connection_limit(
            settings.max_connections, machine.descriptor_limit()
        )
        self.is_draining = False
        """Answers ask their clients to reconnect elsewhere."""
        self.clock = 0.0
        """The loop's time at the last sweep: precise enough for time-outs, free to read."""
        self._addresses: Counter[str] = Counter()
        """Connections by the address of their client, if there is a limit to them."""

    def enter(self, client: Client, address: str) -> Place:
        """Take a new connection in, and say what it may do."""
        self.connections.add(client)
        if self.settings.max_connections_per_address and not self._enter_from(address):
            return Place.NONE
        more = len(self.connections) - self.max_connections
        if more <= 0:
            return Place.ORDINARY
        return Place.SPARE if more <= SPARE_CONNECTIONS else Place.NONE

    def _enter_from(self, address: str) -> bool:
        self._addresses[address] += 1
        return self._addresses[address] <= self.settings.max_connections_per_address

    def leave(self, client: Client, address: str) -> None:
        """Forget a connection that has ended."""
        self.connections.discard(client)
        if self.settings.max_connections_per_address:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    def refused(self, code: str) -> None:
        """Hear that a request was refused before anybody was asked; for those who count."""

    async def sweep_forever(self) -> None:
        """Look at every connection's time-outs, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            self.clock = loop.time()
            self.sweep(self.clock)
            await asyncio.sleep(SWEEP_SECONDS)

    def sweep(self, now: float) -> None:
        """Look at time-outs, and at what waits for clients that do not read.

        That may be as much as requests in flight may be. Beyond it, those who hold the most go.
        """
        held: list[tuple[int, Client]] = []
        for connection in list(self.connections):
            connection.check_time(now)
            unread = connection.unread_bytes(now)
            if unread:
                held.append((unread, connection))
        total = sum(unread for unread, _ in held)
        for unread, connection in sorted(held, key=lambda one: one[0], reverse=True):
            if total <= self.settings.max_in_flight_bytes:
                break
            connection.cut_off()
            total -= unread


def connection_limit(wanted: int, descriptors: int) -> int:
    """Return how many connections there may be, of those wanted, with so many descriptors."""
    return max(1, min(wanted, descriptors - RESERVED_DESCRIPTORS - SPARE_CONNECTIONS))


def address_of(transport: asyncio.BaseTransport) -> str:
    """Return the address of a client; those without one, on Unix sockets say, share one."""
    return host_of(transport.get_extra_info("peername"))


def host_of(peer: object) -> str:
    """Return the address in what the system calls the other end of a socket."""
    return peer[0] if isinstance(peer, tuple) and peer else ""
