"""What a tree of processes costs: processor time and memory, from /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a tree of living processes, user and system."""
    return sum(map(own_cpu_seconds, tree(pid)))


def own_cpu_seconds(pid: int) -> float:
    """Return the processor time of one process, 0 if it has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def pss_bytes(pid: int) -> int:
    """Return the proportional memory of one process: shared pages counted by share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def pin(pid: int, cores: set[int]) -> None:
    """Keep a tree of processes, threads included, on some cores."""
    for one in tree(pid):
        for task in Path(f"/proc/{one}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def worker(pid: int) -> int:
    """Return the one worker of a gateway."""
    (found,) = [one for one in tree(pid) if role(one) == "worker"]
    return found


_ROLES = {
    b"server.controlplane.process": "control",
    b"server.dataplane.process": "worker",
    b"server.shadow.process": "shadow",
}


def role(pid: int) -> str:
    """Return what a process of a gateway is: `worker`, `control`, `shadow` or `other`."""
    words = _command(pid).split(b"\0")
    return next((name for module, name in _ROLES.items() if module in words), "other")


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def resident_bytes(pid: int) -> int:
    """Return the physical memory of one process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
