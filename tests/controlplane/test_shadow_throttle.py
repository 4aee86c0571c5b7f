"""Less is mirrored while predictions suffer, more when they do not, and never above the budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.controlplane.shadow_throttle import (
    BURST_SECONDS,
    CALM_SECONDS,
    MIN_SHARE,
    STEP,
    Measured,
    Throttle,
    is_suffering,
)


def measured(
    lag: float = 0.0, waits: tuple[float, ...] = (), run: float = 0.0, cores: float = 0.5
) -> Measured:
    return Measured(lag, np.array(waits, np.float32), run, cores)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (measured(), False),
        (measured(lag=0.009), False),
        (measured(lag=0.011), True),
        (measured(lag=5.0, cores=0.01), False),
        (measured(waits=(0.02,) * 10), True),
        (measured(waits=(0.02, *[0.0] * 99)), False),
        (measured(waits=(0.02,) * 10, run=0.005), False),
        (measured(waits=(0.2,) * 10, run=0.005), True),
    ],
)
def test_predictions_suffer_when_loops_are_late_or_queues_long(
    second: Measured, expected: bool
) -> None:
    """Beside what the model itself takes, and only if candidates do anything at all."""
    assert is_suffering(second) is expected


def test_one_bad_second_is_chance_and_more_halve_the_share() -> None:
    """The share falls from the second one on, and never to nothing."""
    throttle = Throttle(1.0, 0.0)
    shares = []
    for second in range(12):
        throttle.note(measured(lag=0.1), float(second))
        shares.append(throttle.share)

    assert shares[:4] == [1.0, 0.5, 0.25, 0.125]
    assert shares[-1] == MIN_SHARE


def test_the_share_grows_slowly_while_all_is_calm() -> None:
    """A step each ten seconds, and a bad one begins the wait anew."""
    throttle = Throttle(1.0, 0.0)
    for second in (1.0, 2.0):
        throttle.note(measured(lag=0.1), second)
    throttle.note(measured(), 2.0 + CALM_SECONDS - 1)
    assert throttle.share == 0.5
    throttle.note(measured(), 2.0 + CALM_SECONDS)
    assert throttle.share == 0.5 + STEP
    throttle.note(measured(lag=0.1), 2.0 + CALM_SECONDS + 5)
    throttle.note(measured(), 2.0 + 2 * CALM_SECONDS)
    assert throttle.share == 0.5 + STEP


@given(st.lists(st.tuples(st.floats(0, 0.05), st.floats(0, 2)), max_size=60))
def test_the_share_stays_between_its_bounds(seconds: list[tuple[float, float]]) -> None:
    """Whatever is measured."""
    throttle = Throttle(1.0, 0.0)
    for at, (lag, cores) in enumerate(seconds):
        throttle.note(measured(lag=lag, cores=cores), float(at))
        assert MIN_SHARE <= throttle.share <= 1.0


def test_what_is_used_above_the_budget_has_to_be_earned_back() -> None:
    """A burst is saved up; when it is spent, nothing is mirrored until there is time again."""
    throttle = Throttle(0.5, 0.0)
    used = 0.0
    second = 0.0
    while throttle.has_budget:
        second += 1.0
        used += 1.0
        throttle.note(measured(cores=1.0), second)
        assert used <= 0.5 * (second + BURST_SECONDS) + 1.0

    throttle.note(measured(cores=0.0), second + 1.0)
    assert throttle.has_budget
