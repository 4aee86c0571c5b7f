"""Who is to blame for a worker that died: by the memory that it left behind."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from threading import get_ident

import numpy as np
import pytest

from server.engine.recorder import MEMORY_BYTES, Doing, Flight, Recorder
from server.machine import clear_memory, new_memory
from server.postmortem import Postmortem, examine, find_culprit
from server.wire.fault import FaultKind

DIGEST = "ab" * 32


@dataclass(frozen=True)
class Member:
    """A request of one row."""

    rows: int = 1


@pytest.fixture
def memory() -> Iterator[int]:
    """Memory as a worker inherits it."""
    made = new_memory("worker-0")
    clear_memory(made, MEMORY_BYTES)
    yield made
    os.close(made)


def flight(model: str, thread: int, doing: Doing = Doing.RUN) -> Flight:
    """Return a run that was going on."""
    return Flight(model, "1", DIGEST, doing, 1, thread, ("00",))


def crashed_on(thread: int) -> str:
    """Return stacks as `faulthandler` writes them."""
    return f"Fatal Python error: Aborted\n\nCurrent thread 0x{thread:016x} (most recent call first)"


def run(memory: int) -> None:
    """Begin a run of model m, version 3, as a worker does."""
    Recorder(memory).of_version("m", "3", DIGEST, 1).begin(
        [Member(), Member()], 2, [np.zeros((2, 1), np.float32)]
    )


@pytest.mark.parametrize("by", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE])
def test_a_crash_is_of_who_ran(memory: int, by: signal.Signals) -> None:
    """The fault names version, signal and the requests, who were more than one."""
    run(memory)
    os.write(memory, crashed_on(get_ident()).encode())

    death = examine(memory, -by)

    fault = death.fault(1, -by, was_stuck=False)
    assert fault is not None
    assert (fault.model, fault.version, fault.digest, fault.worker) == ("m", "3", DIGEST, 1)
    assert (fault.kind, fault.how) == (FaultKind.CRASH, f"{by.name} while it was running")
    assert len(fault.suspects) == 2
    assert not fault.was_alone
    assert death.was_serving
    assert death.stacks == crashed_on(get_ident())


@pytest.mark.parametrize("return_code", [0, 3, -signal.SIGKILL, -signal.SIGTERM])
def test_nobody_is_to_blame_for_an_end_from_outside(memory: int, return_code: int) -> None:
    """Whoever kills a busy worker says nothing of the version that it runs."""
    run(memory)

    death = examine(memory, return_code)

    assert [one.model for one in death.running] == ["m"]
    assert death.fault(0, return_code, was_stuck=False) is None
    assert not death.was_serving


def test_a_worker_that_was_stuck_hung() -> None:
    """What kept the event loop until the worker was aborted is no crash."""
    death = Postmortem((), flight("m", 1), "")

    fault = death.fault(0, -signal.SIGABRT, was_stuck=True)

    assert fault is not None
    assert fault.kind is FaultKind.HANG


def test_a_crash_while_loading_is_no_request_s_doing() -> None:
    """The next worker would load the same file, so it is not started at once."""
    death = Postmortem((), flight("m", 1, Doing.LOAD), "")

    fault = death.fault(0, -signal.SIGSEGV, was_stuck=False)

    assert fault is not None
    assert fault.how == "SIGSEGV while it was being loaded"
    assert not death.was_serving


def test_of_several_that_ran_the_thread_that_crashed_tells_whose_it_was() -> None:
    """A slow model beside one that crashes has nothing to answer for."""
    slow, bad = flight("slow", 1), flight("bad", 2)

    assert find_culprit([slow, bad], crashed_on(2)) is bad
    assert find_culprit([slow, bad], crashed_on(3)) is None


def test_without_stacks_only_who_ran_alone_is_to_blame() -> None:
    """A thread of ONNX Runtime itself is not named; then one must not guess."""
    slow, bad = flight("slow", 1), flight("bad", 2)

    assert find_culprit([bad], "") is bad
    assert find_culprit([slow, bad], "") is None
    assert find_culprit([], "") is None


def test_cleared_memory_knows_nothing(memory: int) -> None:
    """The next worker begins with nothing that the one before has left."""
    run(memory)
    os.write(memory, b"stacks")

    clear_memory(memory, MEMORY_BYTES)

    assert examine(memory, -signal.SIGSEGV) == Postmortem((), None, "")


def test_memory_that_could_not_be_had_knows_nothing(memory: int) -> None:
    """A limit to the size of files, say, costs what would be known, and no worker."""
    os.ftruncate(memory, 0)

    assert examine(memory, -signal.SIGSEGV) == Postmortem((), None, "")
