"""One child of the supervisor: its process, the channel to it, and the memory that outlives it.

Decides how a process is started and what it inherits. Which one is started, watched or ended, and
when, is the supervisor's.

Concurrency: the supervisor's one thread.
Lifetime: a `Child` is there as long as the supervisor; its process is replaced.
"""

import contextlib
import importlib
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from server import forking, machine
from server.engine.recorder import MEMORY_BYTES
from server.forking import Forked
from server.machine import ThreadTimes
from server.supervision import is_stuck
from server.wire import channel
from server.wire.channel import Charter

MAX_UNSENT = 64
"""Lines that wait for a child that does not read; more are not kept."""

_HARDLY_SECONDS = 0.05
"""Who has run for less, in a silence that makes it look stuck, and wants to run, was not let."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""What keeps NumPy's matrix products on the thread that asks for them.

By default a product wakes a thread for every core, and they spin while they wait for the next.
In control, which multiplies matrices for every slab, that took a core from the predictions.
"""


@dataclass(slots=True)
class Child:
    """One process and what is known of it."""

    name: str
    module: str
    charter: Callable[[int], Charter]
    """What to tell the process at its start, given how often it has been replaced."""
    process: Forked | None = None
    link: socket.socket | None = None
    received: bytearray = field(default_factory=bytearray)
    started: float = 0.0
    last_beat: float | None = None
    times: ThreadTimes = field(default_factory=ThreadTimes)
    """How long it had run and waited for a core, when it last beat."""
    aborted: float | None = None
    """When it was told to end, because it was stuck or is not wanted any more."""
    ends: list[float] = field(default_factory=list)
    start_at: float = 0.0
    restarts: int = 0
    is_wanted: bool = True
    """Whether it shall run; if not, it is told to end."""
    is_serving: bool = False
    """Whether it has said that it takes requests."""
    memory: int = -1
    """Descriptor of the memory that the process writes to and that outlives it; -1 for none."""
    unsent: deque[bytes] = field(default_factory=deque)
    """Lines that it has not been told yet."""
    sent: int = 0
    """Bytes of the first of them that are on their way."""

    def beat(self, now: float) -> None:
        """Note that it has shown that its loop turns."""
        self.last_beat, self.times = now, self._times()

    def is_stuck(self, stuck_seconds: float, now: float) -> bool:
        """Say whether its loop has stopped turning, though the machine would have let it run."""
        if not is_stuck(self.started, self.last_beat, stuck_seconds, now):
            return False
        before = ThreadTimes() if self.last_beat is None else self.times
        times = self._times()
        if times.wants_to_run and times.ran_seconds - before.ran_seconds < _HARDLY_SECONDS:
            return False  # It waits still: the system counts a wait when it is over.
        starved = times.waited_seconds - before.waited_seconds
        return is_stuck(self.started, self.last_beat, stuck_seconds, now, starved)

    def _times(self) -> ThreadTimes:
        return machine.thread_times(self.process.pid) if self.process else ThreadTimes()

    def forgive(self, now: float) -> None:
        """Count its silence from now on only."""
        if self.last_beat is None:
            self.started = now
        else:
            self.last_beat = now

    def tell(self, line: bytes) -> None:
        """Have a line follow those that it has not been told yet."""
        if len(self.unsent) < MAX_UNSENT:
            self.unsent.append(line)

    def flush(self) -> None:
        """Send what it takes now of what it has not been told yet."""
        try:
            while self.link is not None and self.unsent:
                line = self.unsent[0]
                self.sent += self.link.send(line[self.sent :])
                if self.sent == len(line):
                    self.unsent.popleft()
                    self.sent = 0
        except OSError:  # It does not read now, or has ended: then the next one is told.
            pass


def preload() -> None:
    """Import what children need; processes that are started after this have it.

    Not what runs models: ONNX Runtime begins a thread when it is imported, which copies would lack.
    """
    os.environ.update(ONE_THREAD | dict(os.environ))
    importlib.import_module("server.controlplane.process")
    forking.freeze()


def spawn(child: Child) -> tuple[Forked, socket.socket]:
    """Start a child's process; return it and our end of its channel."""
    charter = replace(child.charter(child.restarts), memory_fd=_cleared_memory(child))
    child.sent = 0  # What its predecessor has read a part of is told from the start.
    ours, theirs = socket.socketpair()
    parent_pid = os.getpid()

    def run() -> None:
        importlib.import_module(child.module).start(theirs, parent_pid)

    with theirs:
        kept = [fd for fd in (theirs.fileno(), charter.listen_fd, charter.memory_fd) if fd >= 0]
        title = f"tidegate {child.module} {child.name}"
        try:
            process = forking.fork(run, title, kept)
        except OSError:
            ours.close()
            raise
    ours.sendall(channel.encode_charter(charter))
    ours.setblocking(False)
    return process, ours


def _cleared_memory(child: Child) -> int:
    """Return the memory that a new process gets; without any, nobody learns what it died of."""
    if child.memory >= 0:
        try:
            machine.clear_memory(child.memory, MEMORY_BYTES)
        except OSError:  # No memory left, or a limit to the size of files.
            return -1
    return child.memory


def has_ended(child: Child) -> bool:
    """Say whether a child has no process that runs."""
    return child.process is None or child.process.poll() is not None


def exit_code(child: Child) -> int:
    """Return the exit code of a child that has ended."""
    code = child.process.poll() if child.process is not None else None
    return 1 if code is None else code


def send_signal(child: Child, number: int) -> None:
    """Send a signal to a child, if it has a process that runs."""
    if child.process is not None:
        with contextlib.suppress(ProcessLookupError):
            child.process.send_signal(number)
