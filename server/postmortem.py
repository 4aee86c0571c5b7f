"""What a worker was doing when it died, from the memory that it left behind.

Decides which version is to blame: the one that ran on the thread that crashed, which the dump of
all stacks names; without a dump, the only one that ran. Nobody is to blame for a worker that was
killed or ended by itself, or when it cannot be told who it was: a version that is slow runs at
nearly any time. Does not know what follows from a fault.
"""

import os
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from server.engine.recorder import MEMORY_BYTES, Doing, Flight, flights
from server.machine import how_it_ended
from server.wire.fault import Fault, FaultKind

_CRASHES = frozenset(
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
)
"""By which the system ends a program for what it does itself."""
_CURRENT_THREAD = re.compile(r"^Current thread 0x([0-9a-f]+)", re.MULTILINE)
_MAX_STACK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Postmortem:
    """What is known of one death."""

    running: tuple[Flight, ...]
    """All that went on in the worker."""
    culprit: Flight | None
    stacks: str
    """The stacks of all threads, if the signal left time for them."""

    @property
    def was_serving(self) -> bool:
        """Whether the worker died of a request, so that the next one may well live."""
        return self.culprit is not None and self.culprit.doing is Doing.RUN

    def fault(self, worker: int, return_code: int, *, was_stuck: bool) -> Fault | None:
        """Return what control is to be told, None if nobody is to blame."""
        one = self.culprit
        if one is None:
            return None
        return Fault(
            one.model,
            one.version,
            one.digest,
            FaultKind.HANG if was_stuck else FaultKind.CRASH,
            worker,
            f"{how_it_ended(return_code)} while it was {_WORDS[one.doing]}",
            one.hashes,
            was_alone=one.members == 1,
        )


_WORDS = {Doing.LOAD: "being loaded", Doing.RUN: "running"}


def examine(memory: int, return_code: int) -> Postmortem:
    """Look at what a dead worker has left in the memory of this descriptor."""
    running = tuple(flights(lambda at, size: os.pread(memory, size, at)))
    stacks = os.pread(memory, _MAX_STACK_BYTES, MEMORY_BYTES).decode(errors="replace")
    culprit = find_culprit(running, stacks) if -return_code in _CRASHES else None
    return Postmortem(running, culprit, stacks)


def find_culprit(running: Sequence[Flight], stacks: str) -> Flight | None:
    """Return who ran on the thread that crashed."""
    current = _CURRENT_THREAD.search(stacks)
    if current is None:  # A thread of ONNX Runtime, which Python does not know.
        return running[0] if len(running) == 1 else None
    on_it = [one for one in running if one.thread == int(current[1], 16)]
    return on_it[0] if len(on_it) == 1 else None
