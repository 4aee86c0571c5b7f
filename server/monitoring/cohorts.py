"""Hours of predictions and their labels: which can be judged yet, and whether accuracy has dropped.

Decides when a cohort, the predictions of one hour, has labels enough: when its coverage is near
what is usual of hours that are old enough to have theirs, or when no more labels can come. The
first labels of an hour are not like all of them (what fails soon is known soon), so figures of a
young hour are no sign of anything.

Decides what mature cohorts say of accuracy: the last 1, 4 and 24 of them are held to the labelled
rows of the reference, or without one to the hours before, by an exact test of two shares, or of
regressions by the mean absolute error. A reading is an alert's as any other (`alerts.py`).

Told the time. Does not know versions or where counts come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from server.monitoring.drift import MIN_ACCURACY_LOSS, MIN_EFFECT, Reading, sure_rows
from server.monitoring.profile import ScoreProfile
from server.monitoring.realised import LabelCounts, Task
from server.monitoring.realised_figures import delay_seconds
from server.statistics.rates import Rate, rate_p
from server.statistics.tails import normal_two_sided

COHORT_SECONDS = 3600.0

WINDOW_COHORTS = (1, 4, 24)
"""Mature cohorts that are judged together, the last ones."""

USUAL_SHARE = 0.8
"""Of the usual coverage: with so much a cohort is mature."""

USUAL_DELAY = 0.9
"""An hour is old enough to tell the usual coverage when this share of labels would be there."""


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """The kept predictions of one hour."""

    start_seconds: float
    predicted: int
    """Rows."""
    labelled: int
    """Rows with a label, those that were acted on too."""
    counts: LabelCounts
    """Of labels of rows that were not acted on."""

    @property
    def coverage(self) -> float:
        """Share of rows that have labels."""
        return self.labelled / self.predicted if self.predicted else 0.0


def total(cohorts: Sequence[Cohort]) -> LabelCounts:
    """Return the counts of some cohorts together."""
    counts = LabelCounts()
    for cohort in cohorts:
        counts.merge(cohort.counts)
    return counts


def mature(cohorts: Sequence[Cohort], now: float, window_seconds: float) -> list[bool]:
    """Say of each cohort whether it has labels enough to be judged.

    `window_seconds` is how long a prediction is kept: no label is taken after it.
    """
    usual_delay = delay_seconds(total(cohorts), USUAL_DELAY)
    settled = [
        cohort
        for cohort in cohorts
        if _age(cohort, now) >= (window_seconds if usual_delay is None else usual_delay)
    ]
    predicted = sum(cohort.predicted for cohort in settled)
    usual = sum(cohort.labelled for cohort in settled) / predicted if predicted else None
    return [
        cohort.labelled > 0
        and (
            _age(cohort, now) >= window_seconds
            or (usual is not None and cohort.coverage >= USUAL_SHARE * usual)
        )
        for cohort in cohorts
    ]


def _age(cohort: Cohort, now: float) -> float:
    """Return how long ago the hour ended; below 0 while it goes on."""
    return now - cohort.start_seconds - COHORT_SECONDS


@dataclass(frozen=True, slots=True)
class Baseline:
    """Labelled rows of the reference."""

    rows: int
    right: int


def baseline_of(score: ScoreProfile | None) -> Baseline | None:
    """Return how many labelled rows of a profile were answered right; None if it knows none."""
    if score is None or not score.labelled.sum():
        return None
    if score.positive is None:
        right = score.positives.sum()
    else:
        misses = score.positives - score.hits
        false_alarms = score.answered - score.hits
        right = (score.labelled - misses - false_alarms).sum()
    return Baseline(int(score.labelled.sum()), int(right))


def readings(
    cohorts: Sequence[Cohort], task: Task, baseline: Baseline | None, window: int
) -> list[Reading]:
    """Return what the last mature cohorts say of accuracy, oldest first among `cohorts`.

    `window` is the number by which all of these readings go.
    """
    found = []
    for length in WINDOW_COHORTS:
        if length > WINDOW_COHORTS[0] and len(cohorts) < length:
            continue
        last, before = cohorts[-length:], cohorts[:-length]
        if not last:
            continue
        live, start = total(last), last[0].start_seconds
        if task is Task.REGRESSION:
            found.append(_of_errors(live, total(before), window, start))
        else:
            held_to = baseline or _as_baseline(total(before))
            found.append(_of_shares(live, held_to, window, start))
    return [reading for reading in found if reading is not None]


def _as_baseline(counts: LabelCounts) -> Baseline | None:
    return Baseline(counts.rows, counts.right) if counts.rows else None


def _of_shares(
    live: LabelCounts, held_to: Baseline | None, window: int, start: float
) -> Reading | None:
    if held_to is None or not live.rows:
        return None
    wrong = held_to.rows - held_to.right
    rate = Rate("wrong", wrong, held_to.rows, live.rows - live.right, live.rows)
    before, now = held_to.right / held_to.rows, live.right / live.rows
    lost = max(0.0, before - now)
    words = f"accuracy by labels down by {lost:.3f} to {now:.3f}" if lost else ""
    spread = max(before * (1.0 - before), now * (1.0 - now))
    rows = min(live.rows, held_to.rows)
    return Reading(
        window,
        rows,
        start,
        rate_p(rate),
        lost / MIN_ACCURACY_LOSS,
        words,
        sure_rows(lost) * spread,
    )


def _of_errors(live: LabelCounts, before: LabelCounts, window: int, start: float) -> Reading | None:
    """Compare mean absolute errors; of a few rows they are no normal variables."""
    now, usual = _error(live), _error(before)
    if now is None or usual is None:
        return None
    spread = sqrt(now[1] / now[2] + usual[1] / usual[2])
    more = max(0.0, now[0] - usual[0])
    p = normal_two_sided(more / spread) / 2.0 if spread > 0.0 and more else 1.0
    effect = more / sqrt(usual[1]) if usual[1] > 0.0 else 0.0
    words = f"absolute error by labels up by {more:.3g} to {now[0]:.3g}" if more else ""
    rows = min(now[2], usual[2])
    return Reading(window, rows, start, p, effect / MIN_EFFECT, words, sure_rows(effect))


def _error(counts: LabelCounts) -> tuple[float, float, int] | None:
    """Return mean and variance of the absolute error, and of how many rows."""
    rows = counts.rows - counts.unanswered
    if not rows:
        return None
    mean = counts.total("absolute_error") / rows
    variance = max(0.0, counts.total("squared_error") / rows - mean * mean)
    return mean, variance, rows
