"""What the processes of a gateway hold, looked at again and again, and whether it grows.

Decides what is sampled, and how a slope is told from noise. Memory moves in steps, as arenas are
taken and given back: a slope of a few minutes says nothing, so each has its error beside it.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.processes import open_files, pss_bytes, resident_bytes, tree

MIB = 1 << 20
_ROLES = {
    b"server.controlplane.process": "control",
    b"server.dataplane.process": "worker",
    b"server.shadow.start": "shadow",
    b"serve": "supervisor",
}


@dataclass(frozen=True)
class Sample:
    """One process at one moment."""

    at_seconds: float
    """Since the beginning of the run."""
    role: str
    pid: int
    pss_bytes: int
    rss_bytes: int
    open_files: int
    threads: int


def take(supervisor: int, at_seconds: float) -> list[Sample]:
    """Look at every process of a gateway that has a role of its own."""
    return [one for pid in tree(supervisor) if (one := _look(pid, at_seconds)) is not None]


def _look(pid: int, at_seconds: float) -> Sample | None:
    try:
        role = _role(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
        if not role:
            return None
        threads = len(os.listdir(f"/proc/{pid}/task"))
        held = pss_bytes(pid), resident_bytes(pid), open_files(pid), threads
    except OSError:
        return None  # It has ended meanwhile.
    return Sample(at_seconds, role, pid, *held)


def _role(command: Sequence[bytes]) -> str:
    return next((role for word, role in _ROLES.items() if word in command), "")


@dataclass(frozen=True)
class Trend:
    """One process over the time after the warm-up."""

    role: str
    pid: int
    samples: int
    pss_mib: float
    """The last one."""
    pss_slope_mib_per_hour: float
    pss_error_mib_per_hour: float
    """Standard error of the slope; too small, because samples in a row resemble each other."""
    rss_slope_mib_per_hour: float
    open_files: tuple[int, int]
    """Medians of the first third and of the last one."""
    threads: tuple[int, int]


def trends(samples: Sequence[Sample], warm_up_seconds: float) -> list[Trend]:
    """Return the trend of each process that was seen often enough after the warm-up."""
    return list(_trends([one for one in samples if one.at_seconds >= warm_up_seconds]))


def _trends(samples: Sequence[Sample]) -> Iterator[Trend]:
    for role, pid in sorted({(one.role, one.pid) for one in samples}):
        mine = [one for one in samples if one.pid == pid]
        if len(mine) < 3:
            continue
        hours = np.array([one.at_seconds for one in mine]) / 3600.0
        pss = np.array([one.pss_bytes for one in mine]) / MIB
        rss = np.array([one.rss_bytes for one in mine]) / MIB
        slope, error = slope_of(hours, pss)
        yield Trend(
            role,
            pid,
            len(mine),
            round(float(pss[-1]), 1),
            round(slope, 2),
            round(error, 2),
            round(slope_of(hours, rss)[0], 2),
            _ends([one.open_files for one in mine]),
            _ends([one.threads for one in mine]),
        )


def slope_of(
    x: np.ndarray[Any, np.dtype[np.float64]], y: np.ndarray[Any, np.dtype[np.float64]]
) -> tuple[float, float]:
    """Return the slope of the straight line nearest to some points, and its standard error."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    rest = y - y.mean() - slope * centred
    return slope, float(np.sqrt(rest @ rest / max(len(x) - 2, 1) / spread))


def _ends(values: Sequence[int]) -> tuple[int, int]:
    third = max(len(values) // 3, 1)
    return int(np.median(values[:third])), int(np.median(values[-third:]))
