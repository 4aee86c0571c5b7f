"""Metrics of what the gateway stands on: each number by its documented name."""

import time

import pytest

from server.controlplane import machine_metrics
from server.machine import descriptor_limit
from tests.controlplane.test_store_metrics import samples


def test_every_number_is_exported() -> None:
    """A clock that nobody has set is where it was, within what the clocks themselves differ."""
    found = samples(machine_metrics.collect(3))

    assert found["tidegate_control_restarts_total"] == 3
    assert found["tidegate_process_max_fds"] == descriptor_limit()
    assert found["tidegate_clock_set_seconds"] == pytest.approx(0.0, abs=60.0)
    assert len(found) == 3


def test_a_clock_that_was_set_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By how much, and in which direction."""
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now - 3600.0)
    found = samples(machine_metrics.collect(0))

    assert found["tidegate_clock_set_seconds"] == pytest.approx(-3600.0, abs=60.0)
