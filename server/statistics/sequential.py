"""When a feature's alert is raised, and when it is cleared.

Decides from one evaluation after another. A state is a value; `step` returns the next one. Told the
time, which it only writes down: a clock that steps back changes no decision. Does not know what was
tested, nor who is told.

    inactive --over--> pending --over, `consecutive` in a row--> firing --clear--> inactive
                       pending --not over--> inactive

An evaluation is *over* when it is improbable enough and its effect is large enough: with very many
rows everything is improbable. Strength is log p over log alpha, so 1 is the critical value. It is
*clear* when strength or effect has fallen below 0.7 of what raises; between, a firing alert stays,
so one at the border does not flap. With too few rows nothing is learned and nothing changes:
silence neither raises nor clears.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from server.statistics.tails import SMALLEST_P


class Alert(StrEnum):
    """The states of an alert, in Prometheus' words."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What raises and clears."""

    alpha: float
    """In (0, 1), from the budget."""

    min_effect: float = 0.1
    min_rows: int = 200
    consecutive: int = 2
    clear_ratio: float = 0.7


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One verdict as the rule sees it."""

    p: float
    effect: float
    rows: int


@dataclass(frozen=True, slots=True)
class AlertState:
    """Where an alert is."""

    alert: Alert = Alert.INACTIVE

    since_seconds: float = 0.0
    """When this state was entered; of pending and firing: when the first evaluation was over."""

    raised_seconds: float | None = None
    """When it began to fire; None unless firing."""

    streak: int = 0
    """Evaluations over in a row; stays when firing."""


def strength(p: float, alpha: float) -> float:
    """Return log p over log alpha: 0 for p = 1, 1 at the critical value."""
    if math.isnan(p) or not 0.0 < alpha < 1.0:
        return 0.0
    return math.log(min(1.0, max(p, SMALLEST_P))) / math.log(max(alpha, SMALLEST_P))


def step(
    state: AlertState, evaluation: Evaluation, rule: AlertRule, now_seconds: float
) -> AlertState:
    """Return the state after one more evaluation."""
    if evaluation.rows < rule.min_rows:
        return state
    if state.alert is Alert.FIRING:
        is_clear = not _reaches(evaluation, rule, rule.clear_ratio)
        return AlertState(since_seconds=now_seconds) if is_clear else state
    if not _reaches(evaluation, rule, 1.0):
        if state.alert is Alert.INACTIVE:
            return state
        return AlertState(since_seconds=now_seconds)
    since = state.since_seconds if state.alert is Alert.PENDING else now_seconds
    pending = AlertState(Alert.PENDING, since, None, state.streak + 1)
    if pending.streak < rule.consecutive:
        return pending
    return replace(pending, alert=Alert.FIRING, raised_seconds=now_seconds)


def _reaches(evaluation: Evaluation, rule: AlertRule, ratio: float) -> bool:
    """Say whether both strength and effect are at least `ratio` of what raises."""
    return (
        strength(evaluation.p, rule.alpha) >= ratio and evaluation.effect >= rule.min_effect * ratio
    )
