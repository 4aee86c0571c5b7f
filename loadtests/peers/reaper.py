"""Run a command, and end whatever it has started when it ends or is told to.

Some servers leave processes to the system, out of the tree that a load test looks at, and forget
others when they end. The system gives them to this program, since it has asked for that. It is told
to end as well when the load test that has started it is no more.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from types import FrameType

from loadtests.processes import tree

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_SECONDS = 15
"""What a server has to end by itself."""


def main(command: list[str]) -> int:
    """Return the command's exit code, 128 and a signal's number if one has ended it."""
    system = ctypes.CDLL(None)
    system.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    process = subprocess.Popen(command)

    def stop(*_: int | FrameType | None) -> None:
        os.kill(process.pid, signal.SIGTERM)
        signal.alarm(GRACE_SECONDS)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(process.pid, signal.SIGKILL))
    system.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    code = _wait_for(process.pid)
    _end_all_below()
    return code


def _wait_for(pid: int) -> int:
    """Wait for one child, and let the system forget the others that end meanwhile."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end_all_below() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            for one in list(tree(os.getpid()))[1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            os.waitpid(-1, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
