"""Alerts: raised after a streak, cleared well below, and never by silence."""

from hypothesis import given
from hypothesis import strategies as st

from server.statistics.sequential import (
    Alert,
    AlertRule,
    AlertState,
    Evaluation,
    step,
    strength,
)

RULE = AlertRule(alpha=1e-4, min_effect=0.1, min_rows=200, consecutive=2)
OVER = Evaluation(1e-6, 0.3, 1000)
BETWEEN = Evaluation(1e-3, 0.3, 1000)
"""Not over, and above 0.7 of the critical value: log 1e-3 over log 1e-4 is 0.75."""
CLEAR = Evaluation(0.5, 0.02, 1000)
FEW = Evaluation(1e-9, 3.0, 199)
TOO_SMALL = Evaluation(1e-30, 0.05, 1_000_000)

evaluations = st.sampled_from([OVER, BETWEEN, CLEAR, FEW, TOO_SMALL])
times = st.floats(-10.0, 1e9)


def run(*seen: Evaluation, rule: AlertRule = RULE) -> AlertState:
    """Return the state after evaluations a minute apart."""
    state = AlertState()
    for minute, evaluation in enumerate(seen):
        state = step(state, evaluation, rule, 60.0 * minute)
    return state


def test_an_alert_takes_evaluations_in_a_row() -> None:
    """Pending since the first of them, firing from the second."""
    assert run(CLEAR, OVER) == AlertState(Alert.PENDING, 60.0, None, 1)
    assert run(CLEAR, OVER, OVER) == AlertState(Alert.FIRING, 60.0, 120.0, 2)
    assert run(OVER, BETWEEN, OVER).alert is Alert.PENDING
    assert run(OVER, rule=AlertRule(1e-4, consecutive=1)).alert is Alert.FIRING


def test_a_firing_alert_at_the_border_stays() -> None:
    """It is cleared below 0.7 of the critical value only, or of the least effect."""
    assert run(OVER, OVER, BETWEEN, BETWEEN) == run(OVER, OVER)
    assert run(OVER, OVER, CLEAR) == AlertState(since_seconds=120.0)
    assert run(OVER, OVER, TOO_SMALL).alert is Alert.INACTIVE
    assert run(OVER, OVER, Evaluation(1e-9, 0.08, 1000)).alert is Alert.FIRING


def test_few_rows_change_nothing() -> None:
    """Neither begin an alert nor end one."""
    assert run(FEW, FEW, FEW) == AlertState()
    assert run(OVER, OVER, FEW, FEW) == run(OVER, OVER)
    assert run(OVER, FEW, OVER).alert is Alert.FIRING


def test_improbable_but_tiny_does_not_page() -> None:
    """A million rows make everything improbable."""
    assert run(TOO_SMALL, TOO_SMALL, TOO_SMALL) == AlertState()


@given(st.lists(st.tuples(evaluations, times), max_size=30), st.integers(1, 4))
def test_every_walk_keeps_the_rules(walk: list[tuple[Evaluation, float]], consecutive: int) -> None:
    """Firing after enough evaluations over, in a row; times are those given, whichever way."""
    rule = AlertRule(1e-4, consecutive=consecutive)
    state, over_in_a_row = AlertState(), 0
    for evaluation, now in walk:
        before, state = state, step(state, evaluation, rule, now)
        if evaluation is FEW:
            assert state == before
            continue
        over_in_a_row = over_in_a_row + 1 if evaluation is OVER else 0
        if state.alert is Alert.FIRING and before.alert is not Alert.FIRING:
            assert over_in_a_row >= consecutive
            assert state.raised_seconds == now
        if state.alert is Alert.INACTIVE:
            assert evaluation is not OVER
            assert (state.streak, state.raised_seconds) == (0, None)
        if state.alert is Alert.PENDING:
            assert state.streak == over_in_a_row < consecutive


@given(st.floats(), st.floats())
def test_strength_is_finite_for_everything(p: float, alpha: float) -> None:
    """It is 1 at the critical value, and 0 where nothing can be said."""
    assert 0.0 <= strength(p, alpha) < float("inf")
    assert strength(1e-4, 1e-4) == 1.0
    assert strength(1.0, 1e-4) == 0.0
