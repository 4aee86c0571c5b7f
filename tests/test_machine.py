"""What the system says about machine and process; cgroups are files in a folder of the test."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from server import machine
from server.machine import ThreadTimes
from tests.support.gateway import eventually, is_running

AFFINITY = len(os.sched_getaffinity(0))


def put(folder: Path, name: str, content: str) -> None:
    """Write a file of a cgroup."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "max"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "200000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.5),
        ({"cpu/cpu.cfs_quota_us": "250000\n"}, None),
    ],
    ids=str,
)
def test_the_quota_is_read_from_either_kind_of_cgroup(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    """Version 2 has one file, version 1 two; without a limit there is none."""
    for name, content in files.items():
        put(tmp_path, name, content)

    assert machine.cpu_quota(tmp_path) == quota


@pytest.mark.parametrize("quota", [0.001, 0.5, 1.0, 1.5, AFFINITY, AFFINITY + 0.5, 10_000])
def test_usable_cores_are_the_affinity_or_less_by_quota(tmp_path: Path, quota: float) -> None:
    """A part of a core counts as one: two workers on 1.5 cores are busier than one."""
    put(tmp_path, "cpu.max", f"{int(quota * 100_000)} 100000")

    assert machine.usable_cores(tmp_path) == min(AFFINITY, math.ceil(quota))


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    """Not the machine's cores: a process pinned to one of them has one."""
    assert machine.usable_cores(tmp_path) == AFFINITY
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from server.machine import usable_cores; print(usable_cores())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "1\n"


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"memory.max": "max\n"}, None),
        ({"memory.max": "1073741824\n"}, 1 << 30),
        ({"memory/memory.limit_in_bytes": "536870912\n"}, 1 << 29),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
    ],
    ids=str,
)
def test_the_memory_limit_is_read_from_either_kind_of_cgroup(
    tmp_path: Path, files: dict[str, str], limit: int | None
) -> None:
    """Version 1 writes an absurd number where there is none."""
    for name, content in files.items():
        put(tmp_path, name, content)

    assert machine.memory_limit_bytes(tmp_path) == limit


def test_the_memory_of_this_process_is_counted() -> None:
    """32 MiB that are written to are 32 MiB more, give or take what the collector does."""
    machine.give_memory_back()  # Or the block is made of what an earlier test left.
    before = machine.resident_bytes()
    block = np.ones(32 << 20, np.uint8)

    assert before > 1 << 20
    assert machine.resident_bytes() - before > 24 << 20
    del block
    machine.give_memory_back()


def test_open_files_are_counted(tmp_path: Path) -> None:
    """One more while one more is open, in a process in which nobody else opens any."""
    program = (
        "import sys; from server.machine import open_files\n"
        "before = open_files()\n"
        "with open(sys.argv[1], 'w'): during = open_files()\n"
        "print(before > 0, during - before, open_files() - before)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "file"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "True 1 0\n"


def test_processor_time_grows_with_work() -> None:
    """It is that of user and system, in seconds, and does not stand still."""
    before = machine.cpu_seconds()
    while machine.cpu_seconds() < before + 0.02:
        sum(range(1000))
    times = os.times()

    assert 0 < before < machine.cpu_seconds() <= times.user + times.system + 1


def test_a_process_that_gives_way_runs_last_and_goes_first() -> None:
    """Its priority is the lowest there is, and if memory runs out, it is the one to end."""
    code = "import os; from server.machine import give_way; give_way(); print(os.nice(0), "
    code += "os.sched_getscheduler(0) == os.SCHED_IDLE, open('/proc/self/oom_score_adj').read())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.split() == ["19", "True", "1000"]


def test_the_time_that_a_thread_was_not_let_run_only_grows() -> None:
    """The system counts it for each thread of any process; of one that is not there, nothing."""
    before = machine.thread_times(os.getpid()).waited_seconds
    sum(range(10_000))

    assert 0.0 <= before <= machine.thread_times(os.getpid()).waited_seconds
    assert machine.thread_times(os.getppid()).waited_seconds > 0.0
    assert machine.thread_times(2**22 + 1).waited_seconds == 0.0


def test_a_thread_that_runs_wants_to_and_one_that_waits_does_not() -> None:
    """Its own times and state, not those of its process; of one that is not there, nothing."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    mine = machine.thread_times(threading.get_native_id())
    try:
        assert mine.wants_to_run
        assert mine.ran_seconds > 0.0
        assert thread.native_id is not None
        eventually(lambda: not machine.thread_times(thread.native_id or 0).wants_to_run)
    finally:
        over.set()
        thread.join()
    assert machine.thread_times(2**22 + 1) == ThreadTimes()


CHILD = """
import os, sys, time
from server.machine import die_with_parent
die_with_parent(int(sys.argv[1]) or os.getppid())
print(os.getpid(), flush=True)
time.sleep(600)
"""
PARENT = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {CHILD!r}, "0"])
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(number: int) -> None:
    """However the parent ends, and though nobody told the child."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            assert is_running(child)
            parent.send_signal(number)
            parent.wait(60)
            eventually(lambda: not is_running(child))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def test_a_child_whose_parent_is_gone_already_does_not_start() -> None:
    """The parent may end between the start of the child and its wish to end with it."""
    gone = subprocess.run(
        [sys.executable, "-c", CHILD, "1"], capture_output=True, text=True, check=False, timeout=60
    )

    assert (gone.returncode, gone.stdout) == (1, "")


def test_all_descriptors_that_are_allowed_are_taken() -> None:
    """The soft limit becomes the hard one, and is what is told of."""
    program = (
        "import resource\n"
        "from server import machine\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))\n"
        "before = machine.descriptor_limit()\n"
        "machine.raise_descriptor_limit()\n"
        "print(before, machine.descriptor_limit())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("100 200\n", "")
