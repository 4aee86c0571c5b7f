"""What is too long, and what is too much."""

import threading

import pytest

from server.machine import ThreadTimes
from server.shadow import watch
from server.shadow.watch import Trouble, Watch

MIB = 1 << 20


class Machine:
    """Clock, waits and memory as a test says they are."""

    def __init__(self) -> None:
        self.now = 100.0
        self.times = ThreadTimes(3.0, 5.0)
        self.resident = 50 * MIB


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    told = Machine()
    monkeypatch.setattr(watch, "_now", lambda: told.now)
    monkeypatch.setattr(watch, "thread_times", lambda _: told.times)
    monkeypatch.setattr(watch, "resident_bytes", lambda: told.resident)
    return told


def test_time_in_which_nobody_let_it_run_does_not_count(machine: Machine) -> None:
    """A candidate hangs only if it had the time itself."""
    looked = Watch(1, 10 * MIB)
    looked.begin(2.0)
    machine.now += 60.0
    machine.times = ThreadTimes(3.0, 5.0 + 58.5)
    assert looked.trouble() is None

    machine.now += 1.0
    assert looked.trouble() is Trouble.HANG


def test_a_wait_that_is_not_over_does_not_count_either(machine: Machine) -> None:
    """It wants to run, and nothing has changed since the last look; once it runs, time goes on."""
    looked = Watch(1, 10 * MIB)
    machine.times = ThreadTimes(3.0, 5.0, wants_to_run=True)
    looked.begin(2.0)
    for _ in range(100):
        machine.now += 1.0
        assert looked.trouble() is None

    machine.times = ThreadTimes(3.01, 105.0, wants_to_run=True)
    assert looked.trouble() is None
    machine.now += 2.5
    machine.times = ThreadTimes(5.5, 105.0, wants_to_run=True)
    assert looked.trouble() is Trouble.HANG


def test_each_run_has_its_own_time(machine: Machine) -> None:
    """What ran before is not counted."""
    looked = Watch(1, 10 * MIB)
    looked.begin(2.0)
    machine.now += 1.9
    looked.begin(2.0)
    machine.now += 1.9

    assert looked.trouble() is None


def test_memory_counts_from_where_the_process_began(machine: Machine) -> None:
    """What Python and ONNX Runtime take themselves is not the candidates' doing."""
    looked = Watch(1, 10 * MIB)
    looked.begin(2.0)
    machine.resident += 10 * MIB
    assert looked.trouble() is None

    machine.resident += 1
    assert looked.trouble() is Trouble.MEMORY


def test_it_reads_what_the_system_says() -> None:
    """With nothing made up: a thread that has time left is in no trouble."""
    looked = Watch(threading.get_native_id(), 1 << 40)
    looked.begin(60.0)

    assert looked.trouble() is None
