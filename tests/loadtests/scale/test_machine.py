"""A machine is simulated: shares are shares, and what is too much is refused or lost."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.scale.machine import Costs, Load, busiest, simulated, spread, versions_flushed

COSTS = Costs(
    request=1e-4,
    flush=1e-4,
    row=1e-5,
    message=1e-4,
    status=1e-5,
    row_bytes=100,
    message_bytes=500,
    counting=1e-4,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_machine_with_room_answers_and_sees_all() -> None:
    """At a tenth of what it can, nothing is refused and nothing lost."""
    found = simulated(Load(4, 1000, 4_000), COSTS, rng())

    assert found.answered_per_second == pytest.approx(4_000, rel=0.02)
    assert (found.refused, found.seen) == (0.0, 1.0)
    assert found.behind_seconds < 0.1
    assert 0.05 < found.idlest <= found.busiest < 0.2


def test_more_than_the_workers_can_is_refused() -> None:
    """At twice what they can, each works all the time, and half is refused."""
    found = simulated(Load(4, 100_000, 80_000), COSTS, rng())

    assert found.busiest == pytest.approx(1.0, abs=0.01)
    assert found.refused == pytest.approx(0.5, abs=0.03)


def test_more_than_control_can_is_lost_and_answered_all_the_same() -> None:
    """Control takes as many rows as it can; who is answered does not depend on it."""
    slow = replace(COSTS, row=1e-4)
    found = simulated(Load(8, 10_000, 20_000, seconds=60.0), slow, rng())

    assert found.answered_per_second == pytest.approx(20_000, rel=0.02)
    assert found.control == pytest.approx(1.0, abs=0.02)
    assert 0.4 < found.seen < 0.9
    assert found.behind_seconds > 0.5


@settings(max_examples=20)
@given(st.integers(1, 80), st.integers(1, 2000), st.integers(10, 200_000), st.integers(1, 300))
def test_nobody_works_more_than_all_the_time(
    workers: int, connections: int, rate: int, models: int
) -> None:
    """Whatever the load, shares are shares."""
    found = simulated(Load(workers, connections, rate, models, 2.0), COSTS, rng())

    assert 0.0 <= found.idlest <= found.busiest <= 1.0 + 1e-9
    assert 0.0 <= found.refused <= 1.0
    assert 0.0 <= found.seen <= 1.0
    assert found.answered_per_second <= workers / COSTS.request * 1.001


def test_few_connections_are_spread_worse_than_many() -> None:
    """Each connection goes to one worker; with as many as workers, some have several."""
    few, many = busiest(64, 64, rng())[0], busiest(64, 100_000, rng())[0]

    assert few > 3.0
    assert 1.0 < many < 1.2
    assert spread(64, 1000, rng()).sum() == pytest.approx(1.0)


def test_few_versions_send_in_each_step_and_many_within_a_second() -> None:
    """As the worker does it."""
    noted = np.array([0, 7, 10, 50, 200, 1000])
    assert versions_flushed(noted, 20).tolist() == [0, 4, 4, 4, 10, 50]
