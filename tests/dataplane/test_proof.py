"""When a version is asked whether it answers, and when it is not ready."""

from hypothesis import given
from hypothesis import strategies as st

from server.dataplane.proof import (
    PROBE_SECONDS,
    STALE_SECONDS,
    is_due,
    is_stale,
    patience_seconds,
)
from server.dataplane.proving import TICK_SECONDS

TYPICAL = st.floats(0, 1000)


@given(typical=TYPICAL, age=st.floats(0, 1e6))
def test_what_is_asked_in_time_is_never_stale(typical: float, age: float) -> None:
    """Between the first time to ask and being stale lies all the time that the answer may take."""
    if not is_due(age, typical):
        assert not is_stale(age + TICK_SECONDS + patience_seconds(typical), typical)


@given(typical=st.floats(0.001, 1000))
def test_asking_costs_little_of_a_core(typical: float) -> None:
    """However slow a model is, it is not asked more than a fiftieth of the time."""
    assert not is_due(49 * typical, typical) or 49 * typical >= PROBE_SECONDS
    assert not is_due(PROBE_SECONDS - 0.001, typical)


def test_a_quick_version_is_ready_while_it_answered_in_the_last_ten_seconds() -> None:
    """That is what `ready` promises."""
    assert STALE_SECONDS == 10
    assert not is_stale(10.0, 0.001)
    assert is_stale(10.1, 0.001)
