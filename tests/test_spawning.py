"""One child of the supervisor: what it is told later, and what it inherits."""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import orjson
import pytest

from server import forking, machine
from server.engine.recorder import MEMORY_BYTES
from server.machine import ThreadTimes, new_memory
from server.settings import Settings
from server.spawning import MAX_UNSENT, Child, exit_code, has_ended, send_signal, spawn
from server.supervision import START_SECONDS
from server.wire.channel import Charter

PROGRAM = "tests.support.child_program"


def child(memory: int = -1) -> Child:
    """Return a child that has no process yet."""
    return Child("wait", PROGRAM, lambda _: Charter(Settings(), "wait", 0, 1, 0, ""), memory=memory)


@pytest.fixture(autouse=True)
def _handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test run's own handlers write to files, which a copy of this process does not have."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The supervisor's end of a channel, and the child's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_lines_reach_a_child_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    """Those that are told before it can listen wait for it."""
    one = child()
    one.tell(b"first\n")
    one.flush()
    one.tell(b"second\n")

    one.link = ends[0]
    one.flush()

    assert ends[1].recv(100) == b"first\nsecond\n"
    assert not one.unsent


def test_a_child_that_does_not_read_blocks_nobody(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """What it has not taken waits, up to a number of lines, and follows when it reads."""
    line = b"x" * 100_000 + b"\n"
    one = child()
    one.link = ends[0]
    for _ in range(2 * MAX_UNSENT):
        one.tell(line)
        one.flush()
    assert len(one.unsent) == MAX_UNSENT

    received = b""
    while one.unsent:
        received += ends[1].recv(1 << 20)
        one.flush()
    while len(received) % len(line):
        received += ends[1].recv(1 << 20)

    assert received == line * (len(received) // len(line))


def test_whoever_follows_a_child_that_died_is_told_the_whole_line(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Half of a line was for the one before."""
    line = orjson.dumps({"fault": "x" * 1_000_000}) + b"\n"
    one = child()
    one.link = ends[0]
    one.tell(line)
    one.flush()
    assert 0 < one.sent < len(line)

    process, one.link = spawn(one)
    one.process = process
    try:
        assert one.sent == 0
        assert not has_ended(one)
    finally:
        send_signal(one, signal.SIGKILL)
        process.wait()
        one.link.close()
    assert (has_ended(one), exit_code(one)) == (True, -signal.SIGKILL)


def test_memory_is_empty_for_every_process() -> None:
    """A worker does not begin with what the one before has left; its own file offset is behind."""
    memory = new_memory("worker-0")
    os.ftruncate(memory, MEMORY_BYTES)
    os.pwrite(memory, b"left", 0)
    one = child(memory)

    process, link = spawn(one)
    try:
        assert os.pread(memory, 4, 0) == bytes(4)
        assert os.lseek(memory, 0, os.SEEK_CUR) == MEMORY_BYTES
    finally:
        process.kill()
        process.wait()
        link.close()
        os.close(memory)


@pytest.mark.parametrize("said", [None, "2"])
def test_matrix_products_start_no_threads_unless_the_user_says_so(said: str | None) -> None:
    """Threads that spin for the next product would take cores from the predictions.

    Nor does anything else begin a thread: those who are copied from this process would lack it.
    """
    program = """if True:
        import os, threading
        from server.spawning import preload
        preload()
        import numpy
        numpy.ones((500, 500)) @ numpy.ones((500, 500))
        print(len(os.listdir("/proc/self/task")))
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": said or "1"}
    if said is None:
        del environment["OPENBLAS_NUM_THREADS"]

    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout == f"{said or 1}\n"


@pytest.fixture
def living() -> Iterator[Child]:
    """A child that has a process, which does nothing."""
    one = child()
    one.process = forking.fork(signal.pause, "waits", ())
    yield one
    one.process.kill()
    one.process.wait()


@pytest.mark.parametrize("has_beaten", [True, False])
def test_what_a_child_waited_for_a_core_is_not_its_silence(
    monkeypatch: pytest.MonkeyPatch, living: Child, has_beaten: bool
) -> None:
    """Only what it has waited since it last beat, or was started, is taken off."""
    told = {"waited": 0.0}
    monkeypatch.setattr(machine, "thread_times", lambda _: ThreadTimes(1.0, told["waited"]))
    one, limit = living, START_SECONDS
    one.started = 100.0
    if has_beaten:
        told["waited"] = 50.0
        one.beat(100.0)
    before = told["waited"]

    assert not one.is_stuck(limit, 100.0 + limit)
    assert one.is_stuck(limit, 110.0 + limit)
    told["waited"] = before + 9.0
    assert one.is_stuck(limit, 110.0 + limit)
    told["waited"] = before + 10.0
    assert not one.is_stuck(limit, 110.0 + limit)


@pytest.mark.parametrize(
    ("ran", "wants_to_run", "is_stuck"), [(1.0, True, False), (2.0, True, True), (1.0, False, True)]
)
def test_a_child_that_still_waits_for_a_core_is_not_stuck(
    monkeypatch: pytest.MonkeyPatch, living: Child, ran: float, wants_to_run: bool, is_stuck: bool
) -> None:
    """The system counts a wait when it is over; a loop that never ends runs, or waits for else."""
    times = [ThreadTimes(1.0, 0.0), ThreadTimes(ran, 0.0, wants_to_run)]
    monkeypatch.setattr(machine, "thread_times", lambda _: times.pop(0))
    living.started = 100.0
    living.beat(100.0)

    assert living.is_stuck(30.0, 200.0) is is_stuck


def test_a_process_starts_without_memory_if_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit to the size of files keeps nobody from being served."""

    def refuse(descriptor: int, size: int) -> None:
        raise OSError(errno.EFBIG, "file too large", descriptor, size)

    monkeypatch.setattr("server.machine.clear_memory", refuse)
    memory = new_memory("worker-0")

    process, link = spawn(child(memory))
    try:
        link.settimeout(30)
        assert link.recv(1)
    finally:
        process.kill()
        process.wait()
        link.close()
        os.close(memory)
