"""The control process, which the supervisor starts.

Decides the order in which control starts and ends: workers can join before the repository has been
looked at, so that what was served before is served again at once.

Lifetime: ends after SIGTERM, which the supervisor sends when all workers are gone.
"""

import asyncio
import contextlib
import functools
import socket

import structlog
from prometheus_client.metrics_core import Metric

from server import ports
from server.child import Channel, run_child
from server.controlplane import (
    capture_metrics,
    exposition,
    feedback_metrics,
    machine_metrics,
    release_reading,
    store_keeping,
    store_metrics,
    token_keys,
)
from server.controlplane.app import ControlApp, build_app
from server.controlplane.capturing import Capture
from server.controlplane.catalog import Catalog
from server.controlplane.console_app import ConsoleApp
from server.controlplane.console_facts import ConsoleFacts, ConsoleSources
from server.controlplane.exposition import Sources
from server.controlplane.feedback import Feedback
from server.controlplane.feedback_app import MAX_FEEDBACK_BYTES, FeedbackApp
from server.controlplane.fleet import Fleet
from server.controlplane.intake import Intake
from server.controlplane.intents import Intents
from server.controlplane.login_app import LoginApp
from server.controlplane.monitor import Monitor
from server.controlplane.notifying import Notifier
from server.controlplane.operations import Operations
from server.controlplane.realised_view import RealisedView
from server.controlplane.recent import Recent
from server.controlplane.release_app import ReleaseApp
from server.controlplane.release_operations import ReleaseOperations
from server.controlplane.release_parts import ReleaseParts
from server.controlplane.router import Router
from server.controlplane.tending import Tending
from server.controlplane.totals import Totals
from server.http.connection import Connection
from server.http.port import HttpPort
from server.http.serving import Server
from server.http.tls import certificates
from server.store.database import Store
from server.wire import fault, record, shadow
from server.wire.channel import Charter

log = structlog.get_logger()

MONITOR_WAIT_SECONDS = 30.0
CLOSE_SECONDS = 5.0
"""For what still waits to be written when control ends; a disk may hang for ever."""
STOP_SECONDS = 2.0
"""Time for the last answers of the control port."""


class Control:
    """Control: its parts, and how they are joined."""

    def __init__(self, charter: Charter, channel: Channel) -> None:
        settings = charter.settings
        self._charter = charter
        self._channel = channel
        self._totals = Totals()
        self._recent = Recent(self._totals)
        self._store = Store(settings.state_dir)
        self._notifier = Notifier(settings, self._store)
        self._fleet = Fleet(self)
        self._intents = Intents.read(settings.state_dir)
        self._intake = Intake(settings)
        self._catalog = Catalog(settings, self._intake, self._intents, self._changed)
        self._parts = ReleaseParts(
            settings,
            self._store,
            self._catalog.models,
            self._fleet,
            changed=lambda: self._router.note(),
        )
        releases = self._parts.releases
        channel.listen(self._parts.faults.reported)
        self._router = Router(self._catalog.models, self._fleet, settings, releases)
        self._catalog.guard = release_reading.guard(releases)
        self._tending = Tending(self._catalog, self._router, self._intake, settings.poll_seconds)
        self._operations = Operations(
            settings, self._catalog, self._router, self._fleet, self._totals, self._intents
        )
        release_operations = self._parts.join(
            self._router, self._totals, lambda wanted: channel.report(shadow=wanted)
        )
        self._monitor = Monitor(
            settings,
            self._store,
            self._catalog.models,
            lambda: self._router.state.models,
            lambda: self._router.is_settled,
        )
        self._feedback = Feedback(
            settings, self._store, self._catalog.models, lambda: self._router.state.models
        )
        self._realised = RealisedView(self._feedback, self._store)
        self._monitor.realised = self._realised.readings
        self._parts.feed.take_answers = self._feedback.take_shadow
        self._feedback.take_evidence = self._parts.book.add_labels
        if self._notifier.is_on:
            self._monitor.keeper.wake_notifier = self._notifier.wake
        self._capture = Capture(settings, self._catalog.models)
        self._port = HttpPort(
            settings.model_copy(update={"max_body_bytes": MAX_FEEDBACK_BYTES}),
            browser_host=settings.control_host,
        )
        self._certificates = certificates(settings)
        self._server = self._http_server(release_operations)

    def _http_server(self, release_operations: ReleaseOperations) -> Server:
        """Put all routes of the control port together."""
        feedback_app = FeedbackApp(
            self._feedback, self._realised, self._operations.find, self._monitor.estimated
        )
        app = ControlApp(self._operations, self._collect, self._is_ready, self._monitor)
        console = self._console(release_operations, feedback_app)
        others = [
            *ReleaseApp(release_operations).routes(),
            *feedback_app.routes(),
            *console.routes(),
        ]
        gate, tls = self._port.gate, self._certificates
        login_app = LoginApp(gate, is_secure=tls is not None)
        return Server(
            build_app(app, [*others, *login_app.routes()], gate),
            functools.partial(Connection, self._port),
            self._port,
            tls,
            stop_seconds=STOP_SECONDS,
        )

    def _console(
        self, release_operations: ReleaseOperations, feedback_app: FeedbackApp
    ) -> ConsoleApp:
        sources = ConsoleSources(
            self._charter,
            self._catalog,
            self._operations,
            self._parts.releases,
            release_operations,
            self._monitor,
            feedback_app.report,
            self._totals,
            self._recent,
            self._store,
            self._fleet,
            self._router,
            self._is_ready,
            lambda: self._channel.lag_seconds,
            lambda: (self._parts.feed.status, self._parts.feed.is_wanted),
        )
        return ConsoleApp(ConsoleFacts(sources), release_operations)

    async def run(self, stop: asyncio.Event) -> int:
        """Run until `stop` is set; return the exit code."""
        await self._port.gate.look()
        await self._intake.prepare()
        await self._fleet.listen(self._charter.socket_path, self._router.greeting)
        await self._parts.feed.link.listen(shadow.socket_path(self._charter.socket_path))
        listener = socket.socket(fileno=self._charter.listen_fd)
        ports.give_up_after(listener, self._charter.settings.write_timeout_seconds)
        tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (
                self._router.run(),
                *self._parts.running(self._until_ready_or_late),
                self._port.sweep_forever(),
                self._port.gate.watch_forever(),
                token_keys.run(self._charter.settings),
                *([self._certificates.watch_forever()] if self._certificates else []),
                self._tending.look_then_watch(),
                self._report_when_ready(),
                self._tending.tidy_forever(),
                self._tending.mend_forever(
                    [self._fleet.port.mend, self._parts.feed.link.port.mend, self._router.mend]
                ),
                self._keep_store(),
                self._notify(),
                self._watch_rows(),
                self._join_labels(),
                self._capture.run(),
                self._recent.run(),
            )
        ]
        serving = asyncio.create_task(self._server.serve([listener]))
        await stop.wait()
        self._port.is_draining = True
        self._server.should_exit = True
        await serving
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._intake.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._monitor.close()
                await self._feedback.close()
                await self._parts.close()
                await self._store.close()
                await self._capture.close()
        return 0

    async def _keep_store(self) -> None:
        """Open the store when all is served: until then, the cores have better things to do."""
        await self._router.until(self._is_ready)
        self._parts.keeper.open()
        await store_keeping.keep(self._store)

    async def _notify(self) -> None:
        await self._router.until(self._is_ready)
        await self._notifier.run()

    async def _watch_rows(self) -> None:
        await self._until_ready_or_late()
        await self._monitor.run()

    async def _join_labels(self) -> None:
        await self._until_ready_or_late()
        await self._feedback.run()

    async def _until_ready_or_late(self) -> None:
        """Wait until all is served, or until that takes too long to wait for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MONITOR_WAIT_SECONDS):
                await self._parts.releases.known.wait()
                await self._router.until(self._is_ready)

    async def _report_when_ready(self) -> None:
        """Tell the supervisor when every worker serves, so that it can be printed."""
        await self._router.until(self._is_ready)
        self._channel.report(ready=self._operations.index())

    def _is_ready(self) -> bool:
        state = self._router.state
        return (
            state.is_settled
            and len(self._fleet.workers) >= self._charter.workers
            and self._router.is_stable
        )

    def _changed(self) -> None:
        """The catalog knows something new."""
        self._totals.keep_only(set(self._catalog.models))
        self._parts.models_changed()
        self._router.note()

    def _collect(self) -> list[Metric]:
        if self._router.state.is_settled:
            # Workers count on for a moment after a model has gone.
            self._totals.keep_only(set(self._catalog.models))
        sources = Sources(
            self._totals,
            self._fleet,
            self._catalog,
            self._router,
            self._operations,
            self._charter.workers,
            self._channel.take_lag(),
            self._parts.feed.status,
        )
        return [
            *exposition.collect(sources),
            *machine_metrics.collect(self._charter.restarts),
            *store_metrics.collect(self._store.health),
            *store_metrics.webhook(self._notifier.tries, self._notifier.waiting),
            *self._monitor.metrics(),
            *feedback_metrics.collect(self._feedback),
            *self._parts.metrics(),
            *capture_metrics.collect(self._capture, self._catalog.models.keys()),
        ]

    # What workers say.

    def worker_changed(self) -> None:
        """A worker came, went, or said something new of what it has."""
        self._router.note()

    def tally(self, message: memoryview) -> None:
        """A worker counted something."""
        self._totals.add(message)

    def records(self, message: memoryview) -> None:
        """A worker ran batches."""
        records = record.decode(message)
        self._totals.take_records(records)
        self._monitor.take(records)
        self._feedback.take(records)
        self._parts.feed.take(records, message)
        self._capture.take(records, message)

    def fault(self, message: memoryview) -> None:
        """A version hung in a worker."""
        self._parts.faults.take(fault.decode(message))

    async def answer(self, message: memoryview) -> bytes:
        """A caller of a worker's data port asked something."""
        return self._operations.answered(message)


async def main(charter: Charter, channel: Channel, stop: asyncio.Event) -> int:
    """Run control."""
    return await Control(charter, channel).run(stop)


def start(link: socket.socket, parent_pid: int) -> None:
    """Run until told to end, on a channel to the supervisor."""
    run_child(main, link, parent_pid)
