"""What grows is told from what only moves."""

import subprocess
import sys

import numpy as np
import pytest

from loadtests.soak import samples
from loadtests.soak.samples import MIB, Sample, slope_of, trends


def sample(at: float, pss_mib: float, *, files: int = 9, pid: int = 1) -> Sample:
    """Return a sample of a worker."""
    size = int(pss_mib * MIB)
    return Sample(at, "worker", pid, size, size, files, 4)


def test_a_leak_has_its_slope() -> None:
    """Two MiB an hour are seen in spite of noise, and what came before the warm-up is not."""
    noise = np.random.default_rng(1).normal(0, 0.02, 720)
    seen = [sample(5.0 * n, 100 + n / 360 + one) for n, one in enumerate(noise)]
    start = [sample(-5.0, 5.0)]

    (trend,) = trends([*start, *seen], 0.0)

    assert trend.pss_slope_mib_per_hour == pytest.approx(2.0, abs=0.05)
    assert trend.pss_error_mib_per_hour < 0.05


def test_descriptors_that_are_left_behind_are_seen() -> None:
    """Medians of both ends: one that is open for a moment is none."""
    files = [9, 30, 9, 9, 9, 9, 9, 9, 11, 11, 40, 11]

    (trend,) = trends([sample(n, 1.0, files=one) for n, one in enumerate(files)], 0.0)

    assert trend.open_files == (9, 11)


def test_each_process_has_its_own_trend() -> None:
    """One that was there for a moment has none."""
    seen = [sample(n, 1.0, pid=pid) for n in range(9) for pid in (1, 2)]

    assert [one.pid for one in trends([*seen, sample(9, 1.0, pid=3)], 0.0)] == [1, 2]


def test_a_straight_line_has_no_error() -> None:
    """And the slope is that of the line."""
    slope, error = slope_of(np.arange(5.0), 3.0 * np.arange(5.0) + 1.0)

    assert slope == pytest.approx(3.0)
    assert error == pytest.approx(0.0, abs=1e-12)


def test_a_process_without_a_part_is_not_looked_at() -> None:
    """One that runs something else is no process of a gateway, and its children are none."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert samples.take(other.pid, 0.0) == []
        other.communicate(b"\n")
