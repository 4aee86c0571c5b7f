"""The workers as control sees them: connections, what each has loaded, how busy each is.

Decides which workers are live and what all of them have in common. Hands what workers send to
those who want it; does not know what shall be served.

Concurrency: event loop only.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from server.controlplane.unix_port import UnixPort
from server.wire import status
from server.wire.frames import FrameReader, Kind, frame
from server.wire.status import Failure, Hello, Status

log = structlog.get_logger()


class Listener(Protocol):
    """Who is told what workers say."""

    def worker_changed(self) -> None:
        """A worker came, went, or said something new of what it has."""

    def tally(self, message: memoryview) -> None:
        """A worker counted something."""

    def records(self, message: memoryview) -> None:
        """A worker ran batches."""

    def fault(self, message: memoryview) -> None:
        """A version hung in a worker."""

    async def answer(self, message: memoryview) -> bytes:
        """A caller of a worker's data port asked something."""


@dataclass(slots=True)
class WorkerState:
    """What is known of one connected worker."""

    hello: Hello
    status: Status | None = None


class _WorkerStream(asyncio.Protocol):
    """One worker's connection."""

    def __init__(self, fleet: "Fleet") -> None:
        self.transport: asyncio.Transport | None = None
        self.state: WorkerState | None = None
        self._fleet = fleet
        self._reader = FrameReader()
        self._answers: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for kind, payload in self._reader.feed(data):
            self._take(kind, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._fleet.lost(self)

    def send(self, kind: Kind, message: bytes) -> None:
        """Send a message to the worker."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(frame(kind, message))

    def _take(self, kind: Kind, payload: memoryview) -> None:
        listener = self._fleet.listener
        match kind:
            case Kind.TALLY:
                listener.tally(payload)
            case Kind.RECORDS:
                listener.records(payload)
            case Kind.FAULT:
                listener.fault(payload)
            case Kind.STATUS if self.state is not None:
                before, self.state.status = self.state.status, status.decode_status(payload)
                if self.state.status.is_news(before):
                    listener.worker_changed()
            case Kind.HELLO:
                hello = status.decode_hello(payload)
                self.state = WorkerState(hello)
                self._fleet.joined(self)
            case Kind.ASK:
                task = asyncio.get_running_loop().create_task(self._answer(payload))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)

    async def _answer(self, payload: memoryview) -> None:
        self.send(Kind.ANSWER, await self._fleet.listener.answer(payload))


class Fleet:
    """All connected workers."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._streams: dict[int, _WorkerStream] = {}
        self._greeting: Callable[[], bytes | None] = lambda: None
        self._suspects = b""
        """The last word on suspects; none yet, if empty."""
        self.port = UnixPort(lambda: _WorkerStream(self))
        """Where workers find control."""

    async def listen(self, path: str, greeting: Callable[[], bytes | None]) -> asyncio.Server:
        """Accept workers at `path`; `greeting` gives the desired state to send to a new one."""
        self._greeting = greeting
        return await self.port.open(path)

    def joined(self, stream: _WorkerStream) -> None:
        """A worker said who it is."""
        assert stream.state is not None
        self._streams[stream.state.hello.worker] = stream
        log.info("worker_joined", worker=stream.state.hello.worker, pid=stream.state.hello.pid)
        greeting = self._greeting()
        if greeting is not None:
            stream.send(Kind.DESIRED, greeting)
        if self._suspects:
            stream.send(Kind.SUSPECTS, self._suspects)
        self.listener.worker_changed()

    def lost(self, stream: _WorkerStream) -> None:
        """A worker's connection ended."""
        state = stream.state
        if state is not None and self._streams.get(state.hello.worker) is stream:
            del self._streams[state.hello.worker]
            log.info("worker_left", worker=state.hello.worker, pid=state.hello.pid)
            self.listener.worker_changed()

    def suspect(self, message: bytes) -> None:
        """Tell all workers which requests may kill them, those that are still to come too."""
        self._suspects = message
        for stream in self._streams.values():
            stream.send(Kind.SUSPECTS, message)

    def broadcast(self, message: bytes) -> None:
        """Send a desired state to every worker."""
        for stream in self._streams.values():
            stream.send(Kind.DESIRED, message)

    @property
    def workers(self) -> list[WorkerState]:
        """The connected workers, by number."""
        ordered = sorted(self._streams.items())
        return [stream.state for _, stream in ordered if stream.state is not None]

    def _staying(self) -> list[Status | None]:
        """The states of workers that do not drain; None of one that has not said its state yet."""
        statuses = [worker.status for worker in self.workers]
        return [one for one in statuses if one is None or not one.is_draining]

    def loaded_everywhere(self, model: str) -> set[tuple[str, str]]:
        """Return the (version, digest) pairs that every worker has loaded."""
        statuses = self._staying()
        if not statuses:
            return set()
        return set.intersection(
            *(set(one.loaded.get(model, {}).items() if one else ()) for one in statuses)
        )

    def live_everywhere(self, model: str) -> str | None:
        """Return the version that answers for a model on every worker, None if it is not one."""
        each = {one.live.get(model) if one else None for one in self._staying()}
        return each.pop() if len(each) == 1 else None

    def loaded_somewhere(self, model: str) -> set[str]:
        """Return the versions that any worker has loaded, with whatever files."""
        return {version for one in self._staying() if one for version in one.loaded.get(model, {})}

    def failures(self, model: str) -> Mapping[str, Failure]:
        """Return what any worker could not load, by version."""
        found: dict[str, Failure] = {}
        for one in self._staying():
            found.update(one.failed.get(model, {}) if one else {})
        return found

    def unready(self, model: str) -> dict[str, str]:
        """Return why a model does not answer, by the number of the worker where it does not."""
        return {
            str(worker.hello.worker): worker.status.unready[model]
            for worker in self.workers
            if worker.status is not None and model in worker.status.unready
        }

    def replacements(self) -> dict[int, int]:
        """Return how often each worker was replaced, by its number."""
        return {worker.hello.worker: worker.hello.restarts for worker in self.workers}

    def lag_seconds(self) -> float:
        """Return how late the event loop of any worker came, at most, as they last said."""
        statuses = [worker.status for worker in self.workers]
        return max((one.gauges.loop_lag_seconds for one in statuses if one), default=0.0)

    def reached(self, generation: int) -> bool:
        """Whether every worker that does not drain has carried out `generation`."""
        statuses = self._staying()
        return bool(statuses) and all(
            one is not None and one.generation >= generation for one in statuses
        )

    def behind(self, has_done: Callable[[Status], bool]) -> list[WorkerState]:
        """Return the workers that do not drain and of which `has_done` is not true."""
        return [
            worker
            for worker in self.workers
            if worker.status is None or not (worker.status.is_draining or has_done(worker.status))
        ]

    def highest_generation(self) -> int:
        """Return the highest generation that any worker has carried out."""
        statuses = [worker.status for worker in self.workers]
        return max((one.generation for one in statuses if one is not None), default=-1)
