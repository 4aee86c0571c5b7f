"""Processes that are copies of the one that starts them: what they keep of it, and how they end."""

import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server import forking
from server.forking import Forked, fork

PATIENCE_SECONDS = 60.0
Start = Callable[[Callable[[], None]], Forked]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start copies that are ended with the test; each can write to a socket it shares with us."""
    started: list[Forked] = []

    def begin(run: Callable[[], None]) -> Forked:
        started.append(fork(run, "tidegate some.module name-0", ()))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.wait(PATIENCE_SECONDS)


def say_and_wait(end: socket.socket, text: Callable[[], str]) -> Callable[[], None]:
    """Return what a copy does that says something and goes on until it is ended."""

    def run() -> None:
        end.sendall(text().encode())
        while True:
            time.sleep(60)

    return run


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end of a channel, and a copy's."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_SECONDS)
    with ours, theirs:
        yield ours, theirs


def started_with(
    ends: tuple[socket.socket, socket.socket], text: Callable[[], str]
) -> tuple[Forked, str]:
    """Start a copy that keeps its end; return it and what it says."""
    ours, theirs = ends
    one = fork(say_and_wait(theirs, text), "tidegate some.module name-0", [theirs.fileno()])
    try:
        return one, ours.recv(65536).decode()
    except BaseException:
        one.kill()
        raise


def test_a_copy_has_no_descriptors_but_those_it_is_given(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """A file or a connection of the parent would stay open with it."""
    one, said = started_with(ends, lambda: " ".join(os.listdir("/proc/self/fd")))
    try:
        # The last one is that of the listing.
        found = sorted(map(int, said.split()))
        assert found[:3] == [0, 1, 2]
        assert ends[1].fileno() in found
        assert len(found) == 5
        assert os.readlink(f"/proc/{one.pid}/fd/0") == os.devnull
    finally:
        one.kill()
        one.wait(PATIENCE_SECONDS)


def test_a_copy_is_listed_by_its_own_name(ends: tuple[socket.socket, socket.socket]) -> None:
    """Whoever looks at the processes sees what each of them is."""
    one, _ = started_with(ends, lambda: "here")
    try:
        words = Path(f"/proc/{one.pid}/cmdline").read_bytes().split(b"\0")
        assert words[:2] == [b"tidegate", b"some.module"]
        assert Path(f"/proc/{one.pid}/comm").read_text() == "name-0\n"
    finally:
        one.kill()
        one.wait(PATIENCE_SECONDS)


def test_a_copy_answers_no_signal_as_its_parent_does(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """SIGTERM ends it, Ctrl-C does not, and no handler of the parent's runs in it."""
    before = signal.signal(signal.SIGTERM, lambda *_: ends[1].sendall(b"handled"))
    try:
        one, _ = started_with(ends, lambda: "here")
        one.send_signal(signal.SIGINT)
        with pytest.raises(TimeoutError, match=str(one.pid)):
            one.wait(0.1)
        one.send_signal(signal.SIGTERM)
        assert one.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
    ends[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        ends[0].recv(100)


def test_how_a_copy_ends_is_known(start: Start) -> None:
    """Its code is 0 after what it does, 1 after an exception; and a second look says the same."""

    def fail() -> None:
        raise RuntimeError("on purpose")

    for run, code in ((time.time, 0), (fail, 1)):
        one = start(run)  # type: ignore[arg-type]
        assert one.wait(PATIENCE_SECONDS) == code
        assert one.poll() == code
        one.kill()  # Nobody is there any more, and nobody else is met.


def test_a_copy_whose_end_nobody_counts_has_ended(start: Start) -> None:
    """A parent that was started with SIGCHLD ignored never hears how its children end."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert start(lambda: None).wait(PATIENCE_SECONDS) == 0
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_frozen_objects_are_left_alone() -> None:
    """The collector writes to what it looks at, and so takes memory that was shared."""
    try:
        forking.freeze()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
