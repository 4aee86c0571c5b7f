"""What the operating system says about this machine and this process, and asks of it.

Decides how many cores count as ours, and that a child never outlives its parent. Linux is the
target; elsewhere the answers are coarser and nothing fails.
"""

import contextlib
import ctypes
import math
import os
import resource
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Return the cores this process may use: its affinity, or less if the cgroup has a quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cpu_quota(cgroup)
    return max(1, min(affinity or 1, math.ceil(quota) if quota else sys.maxsize))


def cpu_quota(cgroup: Path = _CGROUP) -> float | None:
    """Return the cgroup's CPU quota in cores, for cgroup v2 and v1; None without one."""
    text = _read(cgroup / "cpu.max")
    if text:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period or 100_000)
    quota_text = _read(cgroup / "cpu" / "cpu.cfs_quota_us")
    period_text = _read(cgroup / "cpu" / "cpu.cfs_period_us")
    if quota_text and period_text and int(quota_text) > 0:
        return int(quota_text) / int(period_text)
    return None


def memory_limit_bytes(cgroup: Path = _CGROUP) -> int | None:
    """Return the cgroup's memory limit, for cgroup v2 and v1; None without one."""
    text = _read(cgroup / "memory.max") or _read(cgroup / "memory" / "memory.limit_in_bytes")
    if not text or text == "max" or int(text) >= 1 << 62:
        return None
    return int(text)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends.

    `parent_pid` is the parent as it was when the child was started: if it is another one by now,
    the parent is gone already.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def new_memory(name: str) -> int:
    """Return the descriptor of an empty file in memory, to be shared with a child; -1 for none."""
    try:
        return os.memfd_create(name)
    except (AttributeError, OSError):  # Another system, or no descriptors left.
        return -1


def clear_memory(descriptor: int, size: int) -> None:
    """Make such a file `size` zeros; what is written to it, rather than mapped, goes behind."""
    os.ftruncate(descriptor, 0)
    os.ftruncate(descriptor, size)
    os.lseek(descriptor, size, os.SEEK_SET)


def how_it_ended(return_code: int) -> str:
    """Say in words how a process ended, from what `subprocess` says of it."""
    if return_code >= 0:
        return f"exit code {return_code}"
    try:
        return signal.Signals(-return_code).name
    except ValueError:  # Most real-time signals have no names.
        return f"signal {-return_code}"


def resident_bytes() -> int:
    """Return the physical memory of this process."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def open_files() -> int:
    """Return the number of open file descriptors of this process."""
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/fd"))
    return 0


def descriptor_limit() -> int:
    """Return how many file descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> None:
    """Take all the file descriptors that the system lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems say "infinity" and mean less.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_seconds() -> float:
    """Return the processor time that this process has used."""
    times = os.times()
    return times.user + times.system


def give_way() -> None:
    """Have this process run when no other wants to, and be the first to go if memory runs out.

    Threads that are started after this do so too.
    """
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """What the system says of a thread; nothing where it says nothing."""

    ran_seconds: float = 0.0
    waited_seconds: float = 0.0
    """How long it wanted to run and could not. A wait counts when it is over."""
    wants_to_run: bool = False
    """Whether it runs or waits for a core, and neither sleeps nor waits for anything else."""


def thread_times(thread: int) -> ThreadTimes:
    """Return the times of a thread, by its native id; that of a process is its main thread's."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        ran, waited, _ = Path(f"/proc/{thread}/schedstat").read_text(encoding="ascii").split()
        stat = Path(f"/proc/{thread}/stat").read_text(encoding="utf-8", errors="replace")
        state = stat.rpartition(")")[2].split()[0]
        return ThreadTimes(int(ran) / 1e9, int(waited) / 1e9, state == "R")
    return ThreadTimes()


def give_memory_back() -> None:
    """Ask the C library to return freed memory to the system, after a model was unloaded."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
