"""The link to control over a real socket: it connects, comes back, refuses, and ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from server.dataplane.control_link import MAX_PENDING_BYTES, ControlLink
from server.wire.frames import MAX_PAYLOAD_BYTES, FrameReader, Kind, frame
from tests.support.batches import PATIENCE_SECONDS, on_loop


class Control:
    """The listening end: every connection, and what came over it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None
        self.connections: list[asyncio.StreamWriter] = []
        self.received: list[tuple[Kind, bytes]] = []
        self.reads = True
        self.hangs_up = False
        self.changed = asyncio.Condition()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        """Go away as a process does: no more listening, every connection closed."""
        assert self._server is not None
        self._server.close()
        for connection in self.connections:
            connection.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        frames = FrameReader()
        await self._tell()
        if self.hangs_up:
            writer.close()
            return
        with contextlib.suppress(ConnectionError):
            while self.reads and (chunk := await reader.read(1 << 16)):
                for kind, payload in frames.feed(chunk):
                    self.received.append((kind, bytes(payload)))
                await self._tell()
        if self.reads:
            writer.close()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), self.changed:
            await self.changed.wait_for(lambda: bool(condition()))


class Worker:
    """The connecting end: a link, and what it told its owner."""

    def __init__(self, path: Path) -> None:
        self.frames: asyncio.Queue[tuple[Kind, bytes]] = asyncio.Queue()
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.link = ControlLink(
            str(path),
            on_frame=self._on_frame,
            on_connected=lambda: self.events.put_nowait("connected"),
            on_lost=lambda: self.events.put_nowait("lost"),
        )

    def _on_frame(self, kind: Kind, payload: memoryview) -> None:
        self.frames.put_nowait((kind, bytes(payload)))

    async def event(self) -> str:
        """Return the next thing that the link told."""
        return await asyncio.wait_for(self.events.get(), PATIENCE_SECONDS)

    async def frame(self) -> tuple[Kind, bytes]:
        return await asyncio.wait_for(self.frames.get(), PATIENCE_SECONDS)


@contextlib.asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.link.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def with_both(
    folder: Path, scenario: Callable[[Control, Worker], Coroutine[Any, Any, None]]
) -> None:
    """Run a scenario with a control that listens and a worker that keeps its link."""

    async def run() -> None:
        path = folder / "control.sock"
        control, worker = Control(path), Worker(path)
        await control.start()
        async with running(worker):
            await scenario(control, worker)
        await control.stop()

    on_loop(run)


def test_messages_go_both_ways(tmp_path: Path) -> None:
    """Once connected, frames arrive at each end in the order in which they were sent."""

    async def scenario(control: Control, worker: Worker) -> None:
        assert not worker.link.is_connected
        assert await worker.event() == "connected"
        assert worker.link.is_connected
        assert worker.link.send(Kind.HELLO, [b"a", b"b"])
        assert worker.link.send(Kind.STATUS, [b""])
        await control.until(lambda: len(control.received) == 2)
        assert control.received == [(Kind.HELLO, b"ab"), (Kind.STATUS, b"")]
        control.connections[0].write(frame(Kind.DESIRED, b"1") + frame(Kind.ANSWER, b"2"))

        assert [await worker.frame(), await worker.frame()] == [
            (Kind.DESIRED, b"1"),
            (Kind.ANSWER, b"2"),
        ]

    with_both(tmp_path, scenario)


def test_a_link_without_control_refuses_and_keeps_trying(tmp_path: Path) -> None:
    """A worker that comes first waits for control, and a message is refused meanwhile."""

    async def scenario() -> None:
        path = tmp_path / "control.sock"
        control, worker = Control(path), Worker(path)
        async with running(worker):
            await asyncio.sleep(0)
            assert not worker.link.send(Kind.HELLO, [b""])
            await control.start()
            assert await worker.event() == "connected"
            assert worker.link.send(Kind.HELLO, [b""])
        await control.stop()

    on_loop(scenario)


def test_a_new_control_is_found_after_the_old_one_went(tmp_path: Path) -> None:
    """Loss is told once, messages are refused until the new one is there, and then go to it."""

    async def scenario(control: Control, worker: Worker) -> None:
        assert await worker.event() == "connected"
        await control.until(lambda: control.connections)
        await control.stop()
        assert await worker.event() == "lost"
        assert not worker.link.is_connected
        assert not worker.link.send(Kind.STATUS, [b"for nobody"])
        control.connections.clear()
        await control.start()
        assert await worker.event() == "connected"
        assert worker.link.send(Kind.STATUS, [b"again"])
        await control.until(lambda: control.received)

        assert control.received == [(Kind.STATUS, b"again")]
        assert worker.events.empty()

    with_both(tmp_path, scenario)


def test_tries_come_further_and_further_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control that accepts and hangs up at once is not asked in a circle without a pause."""
    waits: list[float] = []
    loops: list[asyncio.AbstractEventLoop] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        # A server that another test left on a thread of its own sleeps too.
        is_ours = asyncio.get_running_loop() in loops
        if is_ours:
            waits.append(seconds)
        await sleep(0.001 if is_ours else seconds)

    async def scenario() -> None:
        loops.append(asyncio.get_running_loop())
        path = tmp_path / "control.sock"
        control, worker = Control(path), Worker(path)
        control.hangs_up = True
        await control.start()
        monkeypatch.setattr(asyncio, "sleep", note)
        async with running(worker):
            await control.until(lambda: len(control.connections) == 7)
            control.hangs_up = False
            await control.until(lambda: len(control.connections) == 8)
            control.connections[-1].write(frame(Kind.DESIRED, b""))
            await worker.frame()
            control.connections[-1].close()
            await control.until(lambda: len(control.connections) == 9)
        monkeypatch.undo()
        await control.stop()

    on_loop(scenario)
    assert waits == [0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0, 0.05]


@pytest.mark.parametrize("sent", [b"\xff\xff\xff\xff\x05", b"\0\0\0\0\xee"], ids=["length", "kind"])
def test_what_is_not_a_frame_costs_the_connection_and_no_more(tmp_path: Path, sent: bytes) -> None:
    """A stream that makes no sense is dropped, and a new one begun."""
    raised: list[object] = []

    async def scenario(control: Control, worker: Worker) -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: raised.append(context.get("exception"))
        )
        assert await worker.event() == "connected"
        await control.until(lambda: control.connections)
        control.connections[0].write(sent)
        assert await worker.event() == "lost"
        assert await worker.event() == "connected"
        control.connections[1].write(frame(Kind.DESIRED, b"good"))

        assert await worker.frame() == (Kind.DESIRED, b"good")

    with_both(tmp_path, scenario)
    assert [type(error) for error in raised] == [ValueError]


def test_a_control_that_does_not_read_has_messages_refused(tmp_path: Path) -> None:
    """What waits in the worker is bounded; nobody waits, and memory does not grow."""

    async def scenario(control: Control, worker: Worker) -> None:
        control.reads = False
        assert await worker.event() == "connected"
        message = [b"x" * (MAX_PENDING_BYTES // 4)]
        taken = 0
        while worker.link.send(Kind.RECORDS, message):
            taken += 1
            assert taken < 100
            await asyncio.sleep(0)

        assert taken > 4
        assert worker.link.is_connected

    with_both(tmp_path, scenario)


def test_a_message_that_no_reader_would_take_is_refused(tmp_path: Path) -> None:
    """A frame above the limit would cost the connection; as a record it is better dropped."""

    async def scenario(control: Control, worker: Worker) -> None:
        assert await worker.event() == "connected"
        half = bytes(MAX_PAYLOAD_BYTES // 2)
        assert not worker.link.send(Kind.RECORDS, [half, half, b"!"])
        assert worker.link.send(Kind.STATUS, [b"small"])
        await control.until(lambda: control.received)

        assert control.received == [(Kind.STATUS, b"small")]

    with_both(tmp_path, scenario)


def test_flush_returns_when_everything_has_left(tmp_path: Path) -> None:
    """A worker's last words reach control before the worker ends."""

    async def scenario(control: Control, worker: Worker) -> None:
        assert await worker.event() == "connected"
        message = b"x" * MAX_PENDING_BYTES
        worker.link.send(Kind.TALLY, [message])
        await worker.link.flush(PATIENCE_SECONDS)
        await control.until(lambda: control.received)

        assert control.received == [(Kind.TALLY, message)]

    with_both(tmp_path, scenario)


def test_flush_gives_up_after_its_time(tmp_path: Path) -> None:
    """A control that does not read any more cannot keep a worker from ending."""

    async def scenario(control: Control, worker: Worker) -> None:
        control.reads = False
        assert await worker.event() == "connected"
        worker.link.send(Kind.TALLY, [b"x" * MAX_PENDING_BYTES])
        await asyncio.wait_for(worker.link.flush(0.05), PATIENCE_SECONDS)

    with_both(tmp_path, scenario)


def test_flush_without_a_connection_has_nothing_to_wait_for(tmp_path: Path) -> None:
    """A worker that never met control ends at once."""

    async def scenario() -> None:
        worker = Worker(tmp_path / "control.sock")
        await asyncio.wait_for(worker.link.flush(3600), PATIENCE_SECONDS)

    on_loop(scenario)


def test_the_end_of_the_task_is_the_end_of_the_connection(tmp_path: Path) -> None:
    """Control sees a worker leave when its link ends, not when its process does."""

    async def scenario() -> None:
        path = tmp_path / "control.sock"
        control, worker = Control(path), Worker(path)
        await control.start()
        async with running(worker):
            assert await worker.event() == "connected"
            worker.link.send(Kind.STATUS, [b"last"])
        await control.until(lambda: control.received)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await control.connections[0].wait_closed()

        assert not worker.link.is_connected
        assert not worker.link.send(Kind.STATUS, [b"too late"])
        await control.stop()

    on_loop(scenario)
