"""The worker process, which the supervisor starts.

Decides the order in which a worker starts, drains and ends. It listens when it has carried out a
first desired state, so a replaced worker never answers "loading" for what others serve.

Lifetime: ends after SIGTERM and a drain (exit code 0, or 3 if requests had to be cut off; 4 if a
model has taken a thread for good). One that had better be replaced asks for it, and goes on until
the supervisor has found a successor.
"""

import asyncio
import functools
import os
import socket
import time
from typing import TypeVar

import structlog

from server import machine, ports
from server.child import Channel, run_child
from server.dataplane.app import build_app
from server.dataplane.connection import DataConnection
from server.dataplane.control_link import ControlLink
from server.dataplane.hangs import EXIT_HUNG
from server.dataplane.loader import Loader
from server.dataplane.plane import Plane
from server.dataplane.questions import Questions
from server.dataplane.routes import Routes
from server.dataplane.telemetry import Telemetry
from server.engine.recorder import Recorder
from server.errors import ShuttingDown
from server.http.serving import Server
from server.http.tls import certificates
from server.settings import Settings
from server.wire import desired, status
from server.wire.channel import Charter
from server.wire.frames import Kind
from server.wire.status import Gauges, Hello, Status

log = structlog.get_logger()

STATUS_SECONDS = 1.0
CONTROL_PATIENCE_SECONDS = 3.0
"""How long a new worker waits for control before it goes on with the last state on disk."""
_EXIT_CUT_OFF = 3
_FLUSH_SECONDS = 2.0
_GROWTH = 1.25
"""A worker whose memory is limited may take so much more than it began with, in any case."""
_LAST_ANSWERS_SECONDS = 0.5
"""Time for the answers to requests that are given up to be written out."""


class Worker:
    """One worker: its parts, and how they are joined."""

    def __init__(self, charter: Charter, channel: Channel) -> None:
        self.settings = charter.settings
        self._charter = charter
        self._channel = channel
        self._link = ControlLink(
            charter.socket_path,
            on_frame=self._on_frame,
            on_connected=self._on_connected,
            on_lost=self._on_lost,
        )
        self._questions = Questions(self._link.send)
        self.telemetry = Telemetry(
            charter.worker,
            self._link.send,
            self.settings.river_max_row_bytes,
            charter.workers,
        )
        self.plane = Plane(self.settings, Routes(), self.telemetry)
        self.loader = Loader(self.plane, self._on_change, Recorder(charter.memory_fd))
        self._first_state = asyncio.Event()
        self._certificates = certificates(self.settings)
        self._server = Server(
            build_app(self.plane, self._questions.ask, self.plane.gate),
            functools.partial(DataConnection, self.plane),
            self.plane,
            self._certificates,
            stop_seconds=self.settings.drain_timeout_seconds + _LAST_ANSWERS_SECONDS,
            on_started=self._on_serving,
        )
        self._first_bytes = 0
        """Resident memory when it began to serve."""

    async def run(self, stop: asyncio.Event) -> int:
        """Serve until `stop` is set; return the exit code."""
        self.plane.watchdog.start()
        await self.plane.gate.look()
        tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (
                self._link.run(),
                self.loader.run(),
                self.plane.sweep_forever(),
                self.plane.gate.watch_forever(),
                *([self._certificates.watch_forever()] if self._certificates else []),
                self._send_status_forever(),
                self.plane.prover.probe_forever(),
            )
        ]
        try:
            if await self._first_desired(stop):
                return await self._serve(stop)
            return 0
        finally:
            for task in tasks:
                task.cancel()

    async def _first_desired(self, stop: asyncio.Event) -> bool:
        """Wait until a first desired state has been carried out; False if told to stop before."""
        await _first_of(self._first_state, stop, timeout_seconds=CONTROL_PATIENCE_SECONDS)
        if self.loader.desired.generation < 0 and not stop.is_set():
            saved = desired.read_file(self.settings)
            if saved is not None:
                log.warning("control_missing", generation=saved.generation)
                self.loader.want(saved)
        await _first_of(self._first_state, stop)
        return not stop.is_set()

    async def _serve(self, stop: asyncio.Event) -> int:
        if self.plane.max_connections < self.settings.max_connections:
            log.warning("few_descriptors", max_connections=self.plane.max_connections)
        serving = asyncio.create_task(self._server.serve([_listen(self.settings, self._charter)]))
        await stop.wait()
        self.plane.is_draining = True
        self._send_status()
        await asyncio.sleep(self.settings.drain_delay_seconds)
        self._server.should_exit = True
        await asyncio.wait({serving}, timeout=self.settings.drain_timeout_seconds)
        given_up = 0 if serving.done() else self._give_up()
        await serving
        was_cut_off = given_up + self.plane.predictor.in_flight > 0
        self.telemetry.flush()
        self._send_status()
        await self._link.flush(_FLUSH_SECONDS)
        if self.plane.hangs.lost_to:
            return EXIT_HUNG
        return _EXIT_CUT_OFF if was_cut_off else 0

    def _give_up(self, *, only_stuck: bool = False) -> int:
        """Answer what waits and will not be run any more; return how many there were.

        `only_stuck`: of versions only whose runs do not come back.
        """
        error = ShuttingDown("the server stops before the model could take this request")
        batchers = [served.batcher for served in self.loader.loaded.values()]
        return sum(one.give_up(error) for one in batchers if one.is_stuck or not only_stuck)

    # What control says, and what it is told.

    def _on_frame(self, kind: Kind, payload: memoryview) -> None:
        if kind is Kind.DESIRED:
            self.loader.want(desired.decode(payload))
        elif kind is Kind.SUSPECTS:
            self.loader.suspect(payload)
        elif kind is Kind.ANSWER:
            self._questions.answered(payload)

    def _on_connected(self) -> None:
        hello = Hello(self._charter.worker, os.getpid(), self._charter.restarts)
        self._link.send(Kind.HELLO, [status.encode_hello(hello)])
        self._send_status()

    def _on_lost(self) -> None:
        self._questions.control_lost()

    def _on_change(self) -> None:
        """The loader has loaded, failed or finished something."""
        loader = self.loader
        if loader.generation >= 0:
            self._first_state.set()
        if loader.desired.is_settled and loader.generation == loader.desired.generation:
            self.plane.is_ready = True
        self._send_status()

    def _on_serving(self) -> None:
        self._first_bytes = machine.resident_bytes()
        self._channel.report(serving=True)

    async def _send_status_forever(self) -> None:
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            self._send_status()
            why = self._why_replace()
            if why and self._server.started:
                self._give_up(only_stuck=True)
                self._channel.report(replace=why)

    def _why_replace(self) -> str:
        """Return why another process had better be here instead; empty if this one is well."""
        if self.plane.hangs.lost_to:
            return f"{self.plane.hangs.lost_to} has taken a thread"
        if self.settings.worker_memory_bytes == 0:
            return ""
        # A successor begins with what its models take: below that, no limit can be kept.
        limit = max(self.settings.worker_memory_bytes, int(_GROWTH * self._first_bytes))
        size = machine.resident_bytes()
        return f"it has {size} bytes of memory, more than {limit}" if size > limit else ""

    def _send_status(self) -> None:
        loader = self.loader
        table = self.plane.routes.table
        message = Status(
            generation=loader.generation,
            loaded=_nested({key: served.name.digest for key, served in loader.loaded.items()}),
            live={name: route.live for name, route in table.models.items() if route.live},
            failed=_nested(loader.failed),
            load_seconds=_nested(loader.load_seconds),
            gauges=self._gauges(),
            is_draining=self.plane.is_draining,
            released=loader.released(),
            unready=self.plane.prover.unproven(time.perf_counter()),
        )
        self._link.send(Kind.STATUS, [status.encode_status(message)])

    def _gauges(self) -> Gauges:
        plane = self.plane
        return Gauges(
            in_flight=plane.predictor.in_flight,
            in_flight_bytes=plane.budget.used,
            connections=len(plane.connections),
            loop_lag_seconds=self._channel.take_lag(),
            resident_bytes=machine.resident_bytes(),
            cpu_seconds=machine.cpu_seconds(),
            open_files=machine.open_files(),
            records_sent=self.telemetry.records_sent,
            records_dropped=self.telemetry.records_dropped,
            probes=plane.prover.probes,
            queued_rows=_nested(
                {key: served.batcher.queued_rows for key, served in self.loader.loaded.items()}
            ),
        )


async def _first_of(*events: asyncio.Event, timeout_seconds: float | None = None) -> None:
    """Wait until one of the events is set, or the time is over."""
    tasks = {asyncio.create_task(event.wait()) for event in events}
    await asyncio.wait(tasks, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


Value = TypeVar("Value")


def _nested(flat: dict[tuple[str, str], Value]) -> dict[str, dict[str, Value]]:
    nested: dict[str, dict[str, Value]] = {}
    for (model, version), value in flat.items():
        nested.setdefault(model, {})[version] = value
    return nested


def _listen(settings: Settings, charter: Charter) -> socket.socket:
    """Open this worker's own socket on the shared port; the kernel spreads connections."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((settings.host, charter.port))
    ports.give_up_after(listener, settings.write_timeout_seconds)
    return listener


async def main(charter: Charter, channel: Channel, stop: asyncio.Event) -> int:
    """Run a worker."""
    return await Worker(charter, channel).run(stop)


def start(link: socket.socket, parent_pid: int) -> None:
    """Run until told to end, on a channel to the supervisor."""
    run_child(main, link, parent_pid)
