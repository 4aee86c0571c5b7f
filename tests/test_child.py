"""The life of a real child process: its charter, its heartbeat, its end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.child import BEAT_SECONDS
from server.settings import Settings
from server.wire.channel import BEAT, Charter, decode_report, encode_charter
from tests.support.child_program import LARGE_REPORT
from tests.support.gateway import eventually, is_running

PROGRAM = ("-m", "tests.support.start_child", "tests.support.child_program")
PATIENCE_SECONDS = 60.0

# A parent that starts a child, says its process id, and never ends by itself.
PARENT = """
import os, socket, subprocess, sys, time
from server.settings import Settings
from server.wire.channel import Charter, encode_charter
ours, theirs = socket.socketpair()
child = subprocess.Popen(
    [sys.executable, *sys.argv[1:], str(theirs.fileno()), str(os.getpid())],
    pass_fds=[theirs.fileno()],
)
ours.sendall(encode_charter(Charter(Settings(), "wait", 0, 1, 0, "")))
received = b""
while b"ready" not in received:
    received += ours.recv(65536)
print(child.pid, flush=True)
# A copy of the socket outlives the parent here, so that only the kernel can end the child.
os.set_inheritable(ours.fileno(), True)
keeper = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=[ours.fileno()])
print(keeper.pid, flush=True)
time.sleep(3600)
"""


class Child:
    """A child process and the supervisor's end of its channel."""

    def __init__(self, process: subprocess.Popen[str], link: socket.socket) -> None:
        self.process = process
        self.link = link
        self._received = b""

    def line(self) -> bytes:
        """Return the next line that the child says."""
        while b"\n" not in self._received:
            piece = self.link.recv(1 << 20)
            assert piece, "the child closed its channel"
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return line + b"\n"

    def report(self) -> Any:
        """Return the next report, past any heartbeats."""
        while not (report := decode_report(self.line())):
            pass
        return report["ready"]

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes for that long."""
        assert not self._received
        self.link.settimeout(seconds)
        try:
            self._received += self.link.recv(1 << 20)
        except TimeoutError:
            return True
        finally:
            self.link.settimeout(PATIENCE_SECONDS)
        return False

    def code(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def child(name: str, parent: int | None = None, **settings: Any) -> Iterator[Child]:
    """Run a child, as the supervisor does, that does what `name` says; it is gone afterwards."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, *PROGRAM, str(theirs.fileno()), str(parent or os.getpid())],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
                text=True,
            )
        ours.settimeout(PATIENCE_SECONDS)
        with contextlib.suppress(BrokenPipeError):
            ours.sendall(encode_charter(Charter(Settings(**settings), name, 5, 1, 0, "")))
        with process:
            try:
                yield Child(process, ours)
            finally:
                process.kill()


def test_a_child_knows_its_charter_and_beats() -> None:
    """What the supervisor decided arrives whole, and beats keep coming while the loop turns."""
    with child("wait", log_level="error") as one:
        assert one.report() == ["wait", 5, "error"]
        assert [one.line() for _ in range(3)] == [BEAT] * 3


def test_sigterm_lets_a_child_end_in_its_own_way() -> None:
    """The signal sets the stop event; the child's own exit code is the process's."""
    with child("wait") as one:
        one.report()
        one.process.terminate()
        [word, lag] = one.report()

        assert word == "lag"
        assert lag >= 0
        assert one.code() == 7


def test_a_child_takes_what_the_supervisor_says_line_by_line() -> None:
    """However the stream is cut, each line is one report."""
    with child("listen") as one:
        assert one.report() == "listening"
        one.link.sendall(b'{"number":1}\n{"num')
        assert one.report() == {"number": 1}

        one.link.sendall(b'ber":2}\n')

        assert one.report() == {"number": 2}


def test_a_child_whose_loop_is_blocked_stops_beating() -> None:
    """The heartbeat is the loop's own: with the loop stuck it stops, and after that it goes on."""
    with child("block") as one:
        assert one.report() == "blocked"
        assert one.is_silent(4 * BEAT_SECONDS)
        one.process.send_signal(signal.SIGUSR1)
        assert one.report() == "unblocked"
        assert one.line() == BEAT
        assert one.line() == BEAT


def test_how_late_the_loop_came_is_measured() -> None:
    """Blocked for three beats, the loop comes at least one beat late, and says so."""
    with child("block") as one:
        one.report()
        assert one.is_silent(3 * BEAT_SECONDS)
        one.process.send_signal(signal.SIGUSR1)
        one.report()
        assert one.line() == BEAT
        one.process.terminate()
        [_, lag] = one.report()

        assert lag >= BEAT_SECONDS


def test_an_abort_leaves_the_stack_of_a_stuck_child() -> None:
    """What the supervisor does to a stuck child says where it was stuck."""
    with child("block") as one:
        one.report()
        one.process.send_signal(signal.SIGABRT)
        assert one.code() == -signal.SIGABRT
        assert one.process.stderr is not None
        assert "child_program.py" in one.process.stderr.read()


def test_a_child_whose_main_raises_ends_with_an_error() -> None:
    """An exception that nobody expected is an end with a code, and a traceback."""
    with child("raise") as one:
        assert one.code() == 1
        assert one.process.stderr is not None
        assert "RuntimeError: on purpose" in one.process.stderr.read()


def test_a_report_larger_than_the_socket_arrives_whole() -> None:
    """A long list of models neither tears the lines that follow nor waits for a slow reader."""
    with child("report") as one:
        assert one.report() == LARGE_REPORT
        assert one.report() == "after it"
        assert one.line() == BEAT


def test_a_child_ends_when_its_parent_s_socket_closes() -> None:
    """Without a supervisor nobody says what to do: the next beat is the last."""
    with child("wait") as one:
        one.report()
        one.link.close()

        assert one.code() == 1


def test_a_child_without_a_charter_ends() -> None:
    """A supervisor that went before it spoke leaves no child that waits for ever."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, *PROGRAM, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
        )
    with process:
        ours.sendall(b'{"half a')
        ours.close()

        assert process.wait(PATIENCE_SECONDS) == 1


def test_a_child_of_another_parent_ends_at_once() -> None:
    """If the parent is gone before the child asked to die with it, the child sees that itself."""
    with child("wait", parent=1) as one:
        assert one.code() == 1


def test_a_child_dies_with_its_parent_however_that_ends() -> None:
    """A supervisor that was killed leaves no orphan, even if somebody still holds its socket."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    with parent:
        assert parent.stdout is not None
        orphan, keeper = (int(parent.stdout.readline()) for _ in range(2))
        try:
            assert is_running(orphan)
            parent.kill()
            eventually(lambda: not is_running(orphan))
        finally:
            for pid in (orphan, keeper):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
