"""What a worker does about versions that hang."""

import signal
import subprocess
import sys
from collections.abc import Sequence

from server.dataplane.hangs import Hangs
from server.dataplane.served import VersionName
from server.engine.runs import Hang
from server.wire import fault
from server.wire.fault import FaultKind
from server.wire.frames import Kind

NAME = VersionName("m", "3", "d1")


def told_of(*hangs: Hang) -> tuple[list[fault.Fault], str]:
    """Return what control is told of some hangs, and who has taken a thread for good."""
    sent: list[fault.Fault] = []

    def send(kind: Kind, parts: Sequence[bytes | memoryview]) -> bool:
        assert kind is Kind.FAULT
        sent.append(fault.decode(b"".join(parts)))
        return True

    desk = Hangs(1, send)
    for hang in hangs:
        desk.hung(NAME, hang)
    return sent, desk.lost_to


def test_one_hang_is_for_the_log_and_two_in_a_row_are_for_control() -> None:
    """Some input may make a good version hang; one that answers nothing between is not good."""
    assert told_of(Hang(5.0, 1, is_given_up=False)) == ([], "")
    faults, lost_to = told_of(Hang(5.04, 2, is_given_up=False))
    assert not lost_to
    [one] = faults
    assert (one.model, one.version, one.digest, one.worker) == ("m", "3", "d1", 1)
    assert (one.kind, one.how) == (FaultKind.HANG, "a run did not end in 5.0 s")


def test_a_lost_thread_is_told_at_once() -> None:
    """Control hears, and whoever serves hears that another process is needed."""
    faults, lost_to = told_of(Hang(22.0, 1, is_given_up=True))
    assert lost_to == "m/3"
    assert len(faults) == 1


def test_a_process_whose_loop_is_kept_is_aborted_where_it_is_kept() -> None:
    """The log names the model, and the current thread of the stacks is the one that is kept."""
    code = (
        "import faulthandler, threading, time; from server.dataplane.hangs import leave_at_once\n"
        "faulthandler.enable()\n"
        "threading.Timer(0.1, leave_at_once, ('m/3',)).start()\n"
        "def kept(): time.sleep(60)\n"
        "kept()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == -signal.SIGABRT
    assert "m/3" in done.stdout + done.stderr
    current = done.stderr.partition("Current thread")[2].partition("\n\n")[0]
    assert "in kept" in current
