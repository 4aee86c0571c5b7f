"""The clock of the machine is set: an hour or a month, forward or back. Nothing waits for it.

All that waits in the data plane goes by the monotonic clock, and so does what control keeps or lets
last for a time (`server/clock.py`). What is kept for days by when it was goes by the wall clock,
and is told the time.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection

from server.clock import SteadyClock
from server.dataplane.numbering import Numbering
from server.monitoring.notifier import JITTER, RETRY_SECONDS
from server.release.route import ReleaseRoute
from server.repository.policy import kept_previous
from server.statistics.window import Cell, compact
from server.store import idempotency, outbox
from server.store.idempotency import KEPT_SECONDS, Kept
from server.store.keys import IdempotencyKey
from tests.support.stores import in_memory

HOUR, MONTH = 3600.0, 30 * 86_400.0
NOW = 1_800_000_000.0
SERVER = Path(__file__).parent.parent.parent / "server"
steps = pytest.mark.parametrize("step", [HOUR, -HOUR, MONTH, -MONTH])


class SetClock:
    """A machine whose clock is set, and what goes by it all the same."""

    def __init__(self) -> None:
        self.wall, self.passed = NOW, 1000.0
        self.steady = SteadyClock(lambda: self.wall, lambda: self.passed)


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A store in memory, in a transaction."""
    with in_memory() as opened:
        yield opened


@steps
def test_prediction_ids_stay_unique_and_rise(step: float) -> None:
    """Whatever the clock says, each number is higher than the last."""
    numbering, given = Numbering(), []
    for turn in range(200):
        now = NOW + turn / 1000 + (step if turn >= 100 else 0.0)
        first = numbering.give(3, int(now * 1e6))
        given += [first, first + 1, first + 2]

    assert given == sorted(set(given))


@steps
def test_an_event_is_sent_when_the_clock_is_set(connection: Connection, step: float) -> None:
    """At once or as it was put off; not when the clock is where it was."""
    outbox.put(connection, "e", "key", b"{}", NOW)
    outbox.failed(connection, "e", "refused", NOW + 5.0)
    after = NOW + step

    latest = after + max(RETRY_SECONDS) * (1.0 + JITTER) + 1.0
    assert [one.event_id for one in outbox.due(connection, latest)] == ["e"]
    assert max(RETRY_SECONDS) * (1.0 + JITTER) < outbox.LONGEST_WAIT_SECONDS


@steps
def test_a_repeated_call_is_known_for_its_day(connection: Connection, step: float) -> None:
    """For the day that passes, and no longer, whatever the clock is set to."""
    machine = SetClock()
    key, kept = IdempotencyKey("k", "m", "hash"), Kept(200, b"{}")
    idempotency.keep(connection, key, kept, machine.steady())
    machine.wall += step
    for passed, found in ((KEPT_SECONDS - 1.0, kept), (2.0, None)):
        machine.passed += passed
        idempotency.trim(connection, machine.steady())
        assert idempotency.find(connection, key, machine.steady()) == found


@steps
def test_the_way_back_is_kept_for_its_day(step: float) -> None:
    """What was live before stays loaded for the day that passes, and no longer."""
    machine = SetClock()
    route = ReleaseRoute("m", 2, live="2", live_since_seconds=machine.steady(), previous="1")
    machine.wall += step
    for passed, previous in ((86_399.0, "1"), (2.0, None)):
        machine.passed += passed
        now = machine.steady()
        kept = kept_previous(route, now_seconds=now, keep_previous_seconds=86_400.0)
        assert kept == previous


@steps
def test_no_count_is_lost_when_the_clock_is_set(step: float) -> None:
    """All that was counted is in the history still, in cells that end after they begin."""
    counts = np.ones(4, np.int64)
    cells = [Cell(NOW + 60.0 * n, NOW + 60.0 * (n + 1), counts) for n in range(600)]

    left = compact(cells, NOW + 36_000.0 + step)

    assert sum(int(cell.counts.sum()) for cell in left) == 4 * 600
    assert all(cell.start < cell.end for cell in left)


def test_only_what_is_told_to_people_goes_by_the_wall_clock_in_control() -> None:
    """Or is kept for days, by when it was; what is in no list here cannot be ended by a step."""
    using = {
        path.name
        for path in (SERVER / "controlplane").glob("*.py")
        if re.search(r"\btime\.time(_ns)?\b", path.read_text())
    }

    assert using == {
        "console_facts.py",  # how long ago something was
        "feedback.py",  # answers of the last days wait for labels
        "intake.py",  # when files have changed, by their file system
        "machine_metrics.py",  # by how much it was set
        "monitor.py",  # counts by hour, times of alerts
        "notifying.py",  # an event that is days old is not worth telling
        "realised_view.py",  # labels of the last days
        "recent.py",  # traffic by time; a step back makes a stretch without a length
        "releases.py",  # times of the audit
        "store_keeping.py",  # counts and logs of the last months
    }


def test_nothing_in_the_way_of_a_request_waits_by_the_wall_clock() -> None:
    """It only numbers predictions, and says of batches when they ran."""
    using = set()
    for folder in ("dataplane", "engine", "http", "protocol", "wire"):
        for path in (SERVER / folder).glob("*.py"):
            if re.search(r"\btime\.time(_ns)?\b", path.read_text()):
                using.add(f"{folder}/{path.name}")

    assert using == {"dataplane/predict.py", "dataplane/telemetry.py"}
