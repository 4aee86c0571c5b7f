"""Start a process as a copy of this one, which has imported already what it needs.

A program that starts anew spends two thirds of a second of a core on its imports. A copy has them,
and shares their memory until it writes to it: a worker that died is back three times sooner, and
its start takes less from those that serve.

Decides what a copy keeps of its parent: standard output and error, the descriptors that it is
given, and what was imported; no signal handlers, and none of the parent's other descriptors. Does
not know what a copy does.

Concurrency: of processes with one thread only; the others would be missing in the copy.
Lifetime: a `Forked` is there until its process has been waited for, and after.
"""

import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NoReturn

_ALL_DESCRIPTORS = 1 << 30
_WAIT_SECONDS = 0.01
_PR_SET_NAME = 15
_MAX_NAME_BYTES = 15


class Forked:
    """A process that was started here: what `subprocess.Popen` offers, as far as it is needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """The exit code, or the number of the signal that ended it, negative."""

    def poll(self) -> int | None:
        """Return how it has ended, None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Whoever started us has SIGCHLD ignored: it has ended, and how is not known.
                self.returncode = 0
            else:
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float = float("inf")) -> int:
        """Return how it has ended, when it has.

        Raises:
            TimeoutError: it still runs after so many seconds.

        """
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} has not ended")
            time.sleep(_WAIT_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:  # Its number cannot be another's before it has been waited for.
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def fork(run: Callable[[], None], title: str, keep: Collection[int]) -> Forked:
    """Start a process that calls `run` and ends with it; `title` is its command line.

    `keep` are the descriptors it has. It never sees Ctrl-C, which reaches a whole group of
    processes and is one's to answer; other signals end it until it says something else.

    Raises:
        OSError: there is no memory or no number left for another process.

    """
    sys.stdout.flush()
    sys.stderr.flush()
    with _without_signals():
        pid = os.fork()
        if not pid:
            _be_a_copy(run, title, keep)
    return Forked(pid)


def freeze() -> None:
    """Have the collector leave alone what is here now: to look at it would write to it.

    Garbage must be gone before there are copies: it may hold descriptors, which in a copy are
    closed already, or somebody else's.
    """
    gc.collect()
    gc.freeze()


def _be_a_copy(run: Callable[[], None], title: str, keep: Collection[int]) -> NoReturn:
    """Never return: above us are the parent's frames, and what they would do is not ours."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _ANSWERED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _close_all_but(keep)
        _be_called(title)
        run()
        code = 0
    except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a program
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


_ANSWERED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a parent may have handlers for."""


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Have no handler of the parent's run in a copy; what comes meanwhile is answered after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _close_all_but(keep: Collection[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    last = 2
    for descriptor in sorted({*keep, _ALL_DESCRIPTORS}):
        os.closerange(last + 1, descriptor)
        last = descriptor


def _be_called(title: str) -> None:
    """Show a command line of our own in the lists of processes, where the system has one."""
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()
        # `arg_start` and `arg_end` of proc(5): the memory that /proc/PID/cmdline shows.
        start, end = int(fields[45]), int(fields[46])
        words = title.replace(" ", "\0").encode()[: end - start - 1]
        if start:
            ctypes.memmove(start, words.ljust(end - start, b"\0"), end - start)
        name = title.rpartition(" ")[2].encode()[:_MAX_NAME_BYTES]
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name, 0, 0, 0)
