"""The life of a child process: its charter, its heartbeat, its end.

Decides how a child starts and how it shows that its event loop turns: the heartbeat is sent by the
loop itself, never by a thread beside it, so a stuck loop is seen.

Concurrency: `Channel` is used on the event loop of the child only.
Lifetime: the process's.
"""

import asyncio
import faulthandler
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import uvloop

from server.logs import configure_logs
from server.machine import die_with_parent, raise_descriptor_limit
from server.wire import channel
from server.wire.channel import Charter

BEAT_SECONDS = 0.25

log = structlog.get_logger()


class Channel:
    """The socket to the supervisor, and the measure of how late the event loop comes."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._unsent = bytearray()
        self._lag_seconds = 0.0

    def report(self, **report: object) -> None:
        """Tell the supervisor something, at the latest with a beat after it has read the rest."""
        self._send(channel.encode_report(**report))

    def _send(self, line: bytes) -> None:
        self._unsent += line
        try:
            while self._unsent:
                # The socket may take a part only, and the rest of the line must still follow.
                del self._unsent[: self._link.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            os._exit(1)  # The supervisor is gone, and nobody is there to say what to do.

    def listen(self, take: Callable[[dict[str, Any]], None]) -> None:
        """Have what the supervisor says from now on handed to `take`."""
        received = bytearray()

        def read() -> None:
            nonlocal received
            try:
                piece = self._link.recv(1 << 20)
            except BlockingIOError:
                return
            except OSError:
                piece = b""
            if not piece:
                loop.remove_reader(self._link)
                return
            *lines, received = (received + piece).split(b"\n")
            for line in lines:
                take(channel.decode_report(bytes(line)))

        loop = asyncio.get_running_loop()
        loop.add_reader(self._link, read)

    @property
    def lag_seconds(self) -> float:
        """How late the loop came at most since the last call of `take_lag`, in seconds."""
        return self._lag_seconds

    def take_lag(self) -> float:
        """Return how late the loop came at most since the last call, in seconds."""
        lag, self._lag_seconds = self._lag_seconds, 0.0
        return lag

    async def beat_forever(self) -> None:
        """Send the heartbeat."""
        loop = asyncio.get_running_loop()
        while True:
            # What is still unsent shows as well that the loop turns; beats must not pile up.
            self._send(b"" if self._unsent else channel.BEAT)
            due = loop.time() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self._lag_seconds = max(self._lag_seconds, loop.time() - due)


def run_child(
    main: Callable[[Charter, Channel, asyncio.Event], Awaitable[int]],
    link: socket.socket,
    parent_pid: int,
) -> None:
    """Run a child's `main` until it ends, with the event that SIGTERM sets; exit with its code.

    `link` is the channel to the supervisor, whose process id is `parent_pid`.
    """
    die_with_parent(parent_pid)
    raise_descriptor_limit()
    faulthandler.enable()
    charter = channel.decode_charter(_read_line(link))
    link.setblocking(False)
    configure_logs(charter.settings, charter.name)
    if charter.memory_fd >= 0:
        # The supervisor prints it, and reads there which thread it was.
        faulthandler.enable(charter.memory_fd)

    async def run() -> int:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        to_supervisor = Channel(link)
        beating = asyncio.create_task(to_supervisor.beat_forever())
        try:
            return await main(charter, to_supervisor, stop)
        finally:
            beating.cancel()

    _calm_collector()
    code = uvloop.run(run())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Another way out would wait for threads, and a model may never end.


def _calm_collector() -> None:
    """Have the cyclic collector look rarely: requests leave no cycles, and a full look is slow."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _read_line(link: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = link.recv(65536)
        if not piece:
            os._exit(1)
        line += piece
    return bytes(line)
