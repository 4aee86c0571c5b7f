"""What becomes of a run that does not come back."""

from hypothesis import given
from hypothesis import strategies as st

from server.engine import hanging
from server.engine.hanging import GIVE_UP_SECONDS, Step, next_step

SECONDS = st.floats(0, 1e6)


@given(ran=SECONDS, limit=SECONDS)
def test_a_run_goes_on_while_somebody_waits_and_it_is_not_too_long(
    ran: float, limit: float
) -> None:
    """The limit is what may not be reached."""
    expected = Step.WAIT if ran < limit else Step.TERMINATE
    assert next_step(ran, limit, is_wanted=True, terminated_seconds=None) is expected


@given(ran=SECONDS, limit=SECONDS)
def test_what_nobody_waits_for_is_broken_off(ran: float, limit: float) -> None:
    """However short it has been."""
    assert next_step(ran, limit, is_wanted=False, terminated_seconds=None) is Step.TERMINATE


@given(ran=SECONDS, limit=SECONDS, since=SECONDS, is_wanted=st.booleans())
def test_a_run_is_broken_off_once_and_given_up_if_it_goes_on(
    ran: float, limit: float, since: float, is_wanted: bool
) -> None:
    """Between the two it has time to end; whether somebody waits makes no difference then."""
    step = next_step(ran, limit, is_wanted=is_wanted, terminated_seconds=since)
    assert step is (Step.GIVE_UP if since >= GIVE_UP_SECONDS else Step.WAIT)


@given(typical=SECONDS, kill=SECONDS)
def test_a_slow_model_may_take_ten_times_what_it_usually_does(typical: float, kill: float) -> None:
    """What is set never breaks off what is only slow."""
    assert hanging.limit_seconds(kill, typical) == max(kill, 10 * typical)


def test_only_a_long_run_counts_as_a_hang() -> None:
    """That callers of a quick model were hasty is not its fault, nor that a slow one is slow."""
    assert not hanging.was_hanging(0.5, typical_seconds=0.001)
    assert hanging.was_hanging(1.0, typical_seconds=0.001)
    assert not hanging.was_hanging(15.0, typical_seconds=2.0)
    assert hanging.was_hanging(20.0, typical_seconds=2.0)


def test_a_run_stalls_long_before_it_counts_as_a_hang() -> None:
    """Its members may be moved then, which does no harm if it was wrong."""
    assert not hanging.is_stalled(0.05, typical_seconds=0.001)
    assert hanging.is_stalled(0.1, typical_seconds=0.001)
    assert not hanging.is_stalled(0.4, typical_seconds=0.05)
    assert hanging.is_stalled(0.5, typical_seconds=0.05)
