"""The workers as control sees them, over a real socket: who is there, what they share."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from server.controlplane.fleet import Fleet
from server.wire.frames import Kind
from server.wire.status import Failure, Gauges
from tests.support.fake_worker import PATIENCE_SECONDS, FakeWorker, fake_worker


class Ears:
    """A listener that keeps what it hears, and lets a test wait until it has heard enough."""

    def __init__(self) -> None:
        self.changes = 0
        self.tallies: list[bytes] = []
        self.records_heard: list[bytes] = []
        self._heard = asyncio.Event()

    def worker_changed(self) -> None:
        self.changes += 1
        self._heard.set()

    def tally(self, message: memoryview) -> None:
        self.tallies.append(bytes(message))
        self._heard.set()

    def records(self, message: memoryview) -> None:
        self.records_heard.append(bytes(message))
        self._heard.set()

    def fault(self, message: memoryview) -> None:
        raise AssertionError(bytes(message))

    async def answer(self, message: memoryview) -> bytes:
        return bytes(message)[::-1]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds; it is looked at whenever something was heard."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self._heard.clear()
                await self._heard.wait()


@contextlib.asynccontextmanager
async def listening(path: Path, greeting: bytes | None = None) -> AsyncIterator[tuple[Fleet, Ears]]:
    """Run a fleet that listens at `path`."""
    ears = Ears()
    fleet = Fleet(ears)
    server = await fleet.listen(str(path), lambda: greeting)
    try:
        yield fleet, ears
    finally:
        server.close()


@contextlib.asynccontextmanager
async def two_workers(
    tmp_path: Path,
) -> AsyncIterator[tuple[Fleet, Ears, FakeWorker, FakeWorker]]:
    """Run a fleet with two workers that have said hello and nothing else."""
    path = tmp_path / "control.sock"
    async with (
        listening(path) as (fleet, ears),
        fake_worker(path) as first,
        fake_worker(path) as second,
    ):
        first.hello(0, pid=10)
        second.hello(1, pid=11, restarts=3)
        await ears.until(lambda: len(fleet.workers) == 2)
        yield fleet, ears, first, second


def test_workers_are_known_by_their_numbers(tmp_path: Path) -> None:
    """A worker is there from its hello until its connection ends, in the order of numbers."""

    async def check() -> None:
        async with two_workers(tmp_path) as (fleet, ears, first, _):
            assert [(w.hello.worker, w.hello.pid, w.hello.restarts) for w in fleet.workers] == [
                (0, 10, 0),
                (1, 11, 3),
            ]
            assert fleet.replacements() == {0: 0, 1: 3}
            await first.close()
            await ears.until(lambda: len(fleet.workers) == 1)
            assert [worker.hello.worker for worker in fleet.workers] == [1]

    asyncio.run(check())


def test_a_new_worker_is_greeted_and_others_are_told(tmp_path: Path) -> None:
    """The greeting goes to the one that came; a broadcast goes to all."""

    async def check() -> None:
        path = tmp_path / "control.sock"
        async with (
            listening(path, b"welcome") as (fleet, _),
            fake_worker(path) as first,
            fake_worker(path) as second,
        ):
            for number, worker in enumerate((first, second)):
                worker.hello(number)
                assert await worker.next(Kind.DESIRED) == b"welcome"
            fleet.broadcast(b"news")
            assert await first.next(Kind.DESIRED) == b"news"
            assert await second.next(Kind.DESIRED) == b"news"

    asyncio.run(check())


def test_a_worker_that_came_back_replaces_its_old_connection(tmp_path: Path) -> None:
    """The end of the old connection, which may be seen later, does not count as the new one's."""

    async def check() -> None:
        path = tmp_path / "control.sock"
        async with two_workers(tmp_path) as (fleet, ears, first, _), fake_worker(path) as again:
            again.hello(0, pid=20)
            await ears.until(lambda: fleet.workers[0].hello.pid == 20)
            await first.close()
            again.say(generation=7)
            await ears.until(lambda: fleet.highest_generation() == 7)
            assert [worker.hello.pid for worker in fleet.workers] == [20, 11]

    asyncio.run(check())


def test_only_what_every_worker_has_is_loaded_everywhere(tmp_path: Path) -> None:
    """A version counts with its digest, and as long as a worker is silent nothing does."""

    async def check() -> None:
        async with two_workers(tmp_path) as (fleet, ears, first, second):
            first.say(generation=1, loaded={"m": {"1": "aa", "2": "bb"}}, live={"m": "1"})
            await ears.until(lambda: fleet.highest_generation() == 1)
            assert fleet.loaded_everywhere("m") == set()
            assert fleet.live_everywhere("m") is None
            assert not fleet.reached(1)

            second.say(generation=1, loaded={"m": {"1": "aa", "2": "other"}}, live={"m": "1"})
            await ears.until(lambda: fleet.reached(1))
            assert fleet.loaded_everywhere("m") == {("1", "aa")}
            assert fleet.loaded_everywhere("unknown") == set()
            assert fleet.live_everywhere("m") == "1"
            assert not fleet.reached(2)

            second.say(live={"m": "2"})
            await ears.until(lambda: fleet.live_everywhere("m") is None)

    asyncio.run(check())


def test_a_worker_that_drains_is_not_waited_for(tmp_path: Path) -> None:
    """What it has or has not, and what it could not load, says nothing of the others any more."""

    async def check() -> None:
        async with two_workers(tmp_path) as (fleet, ears, first, second):
            first.say(generation=2, loaded={"m": {"2": "bb"}}, live={"m": "2"})
            second.say(
                generation=1,
                loaded={"m": {"1": "aa"}},
                live={"m": "1"},
                failed={"m": {"2": Failure("bb", "no memory")}},
            )
            await ears.until(lambda: fleet.failures("m"))
            assert fleet.loaded_everywhere("m") == set()
            assert not fleet.reached(2)

            second.say(is_draining=True)
            await ears.until(lambda: not fleet.failures("m"))
            assert fleet.loaded_everywhere("m") == {("2", "bb")}
            assert fleet.live_everywhere("m") == "2"
            assert fleet.reached(2)

            first.say(is_draining=True)
            await ears.until(lambda: not fleet.reached(2))
            assert fleet.loaded_everywhere("m") == set()

    asyncio.run(check())


def test_what_workers_count_and_ask_is_handed_on(tmp_path: Path) -> None:
    """Tallies and records reach the listener as they were sent, and questions are answered."""

    async def check() -> None:
        async with two_workers(tmp_path) as (_, ears, first, second):
            first.send(Kind.TALLY, b"counts")
            second.send(Kind.RECORDS, b"batches")
            await ears.until(lambda: ears.tallies and ears.records_heard)
            assert (ears.tallies, ears.records_heard) == ([b"counts"], [b"batches"])

            second.send(Kind.ASK, b"abc")
            assert await second.next(Kind.ANSWER) == b"cba"

    asyncio.run(check())


def test_only_news_call_for_a_look(tmp_path: Path) -> None:
    """A worker speaks every second; what is to be done does not depend on how busy it is."""

    async def check() -> None:
        async with two_workers(tmp_path) as (fleet, ears, first, _):
            first.say(generation=7)
            await ears.until(lambda: fleet.highest_generation() == 7)
            looks = ears.changes
            first.say(gauges=Gauges(in_flight=3))
            first.send(Kind.TALLY, b"after it")
            await ears.until(lambda: ears.tallies)
            assert ears.changes == looks
            first.say(generation=8)
            await ears.until(lambda: ears.changes == looks + 1)

    asyncio.run(check())


def test_a_status_before_a_hello_is_of_nobody(tmp_path: Path) -> None:
    """A connection that has not said who it is does not count as a worker."""

    async def check() -> None:
        path = tmp_path / "control.sock"
        async with listening(path) as (fleet, ears), fake_worker(path) as worker:
            worker.say(generation=5)
            worker.send(Kind.TALLY, b"")
            await ears.until(lambda: ears.tallies)
            assert fleet.workers == []
            assert fleet.highest_generation() == -1

    asyncio.run(check())


def test_a_socket_left_by_a_dead_control_is_no_obstacle(tmp_path: Path) -> None:
    """Nobody removes the socket of a killed control; the next one takes its name."""

    async def check() -> None:
        path = tmp_path / "control.sock"
        async with listening(path), listening(path, b"second"), fake_worker(path) as worker:
            worker.hello(0)
            assert await worker.next(Kind.DESIRED) == b"second"

    asyncio.run(check())
