"""Which columns of a version have changed, from the counts of its windows.

Decides what every window says of every column, and what that is worth: how improbable it is when
nothing has changed, next to the probability that the false-alarm budget allows to one test, and how
large the change is, next to the smallest one that anybody wants to hear of. Each column is asked at
every evaluation by all windows (some sub-windows, and a day) and by the cumulative sums, and all of
them have their part of the budget. If the reference has hours, each window is held to those that
it covers.

Whether a reading raises an alert is decided by `alerts.py`. Does not know where counts come from.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.monitoring.counting import CountLayout, Counts
from server.monitoring.cumulating import CusumRules, CusumSums
from server.monitoring.performance import Estimator, PerformanceChange
from server.monitoring.profile import NumberProfile, Profile
from server.monitoring.rate_plans import RatePlan, Rule
from server.monitoring.references import Reference, References
from server.monitoring.scale import scale_reach
from server.monitoring.together import Dependence
from server.statistics.budget import Budget
from server.statistics.combine import Part, Verdict
from server.statistics.sequential import AlertRule

MIN_EFFECT = 0.1
"""In standard deviations of the reference: a change below it raises nothing, however certain."""

MIN_CUMULATIVE_EFFECT = 0.05
"""The same for cumulative sums, which are there for what is small and lasts."""

LARGE_WINDOW_ROWS = 1000
"""Of smaller ones, p far out in the tail is too small, the more so the fewer: see `careful`."""

CLEAR_RATIO = 0.7
SURE_ERRORS = 8.0

MIN_ACCURACY_LOSS = 0.02

MOST_JUDGED = 100
"""Columns that get a verdict in one evaluation; when more have moved, they come in turn."""

EXTRA_TESTS = 3
"""What is tested of a version beside its columns: all of them together, its performance as it is
estimated, and as labels have it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What operators choose."""

    alarms_per_month: float = 1.0
    """False ones, over all columns and windows of one version."""
    evaluation_seconds: float = 10.0
    """Between two evaluations, at least."""
    evaluation_rows: int = 100
    """What an evaluation usually adds."""
    min_rows: int = 200
    consecutive: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One window's counts."""

    name: str
    counts: Counts
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one window says of one column and one rule."""

    window: int
    """Position among the windows, the shortest first; cumulative sums come last."""
    rows: int
    start: float
    """Of the window, in seconds since 1970."""
    p: float
    """Adjusted: compares with alpha."""
    effect: float
    """In units of the smallest one that counts: 1 or more may raise."""
    words: str
    sure_rows: float = 0.0
    """A window of so many rows would be sure to show a change of this size again."""


Key = tuple[Rule, int]
"""A rule, and the place of a column; WHOLE for what is about all of them."""

WHOLE = -1

Readings = Mapping[Key, Sequence[Reading]]


def careful(p: float, rows: int) -> float:
    """Return the probability of what a window's bins or categories say, as an alert takes it.

    At a nominal 1e-5, windows of 200 rows exceed 4 times as often as stated, those of 500 rows 2 to
    3 times, and those of 2000 as stated (measured by `loadtests/detection`): few rows in the bins
    at the ends are no normal variables. What is shown, and rates near 1 %, are right as they are.
    """
    return min(1.0, p * max(1.0, LARGE_WINDOW_ROWS / max(rows, 1)))


class Judge:
    """How the counts of one version are judged. Does not change."""

    def __init__(self, profile: Profile, limits: Limits, windows: int) -> None:
        """Prepare for a profile; `windows` are judged, and the cumulative sums beside them."""
        self.profile = profile
        self.layout = CountLayout(profile)
        budget = Budget(
            limits.alarms_per_month,
            len(self.layout.columns) + EXTRA_TESTS,
            windows + 1,
            limits.evaluation_seconds,
            limits.consecutive,
        )
        self.alpha = budget.alpha
        self.rule = AlertRule(self.alpha, 1.0, limits.min_rows, limits.consecutive, CLEAR_RATIO)
        self.references = References(profile, self.layout, self.alpha**CLEAR_RATIO)
        self.bases = self.references.bases
        """Of all rows of the reference, whatever their hours."""
        self.screen = self.references.whole.screen
        self.cusum = CusumRules.of(
            [basis for basis in self.bases if basis is not None],
            1.0 / self.alpha,
            limits.evaluation_rows,
        )
        self._score_place, self._estimator = _estimator(profile)

    @property
    def held_bytes(self) -> int:
        """How much memory what windows are held to takes."""
        return self.screen.held_bytes + self.references.held_bytes

    def effects(self, counts: Counts) -> NDArray[np.float64]:
        """Return how far each column has moved, shape (columns,)."""
        ways = self.references.ways(counts)
        effects: NDArray[np.float64] = np.min([one.screen.effects(counts) for one in ways], axis=0)
        return effects

    def plans(self, place: int) -> Sequence[RatePlan]:
        """Return the rates that are watched of a column, held to all rows of the reference."""
        return self.references.whole.plans(place)

    def verdict(self, place: int, counts: Counts) -> Verdict:
        """Return the verdict on one column and one window."""
        found = (one.verdict(place, counts) for one in self.references.ways(counts))
        return max(found, key=lambda verdict: verdict.p)

    def performance(self, counts: Counts) -> PerformanceChange | None:
        """Estimate performance on a window's rows; None if the reference cannot tell."""
        if self._estimator is None:
            return None
        live = self.layout.number(counts, self._score_place).bins
        changes = []
        for reference in self.references.ways(counts):
            profile = reference.column(self._score_place)
            assert isinstance(profile, NumberProfile), "a score is a number"
            inflation = max(profile.inflation, default=1.0)
            changes.append(self._estimator.change(profile.counts.bins, live, inflation))
        return max(changes, key=lambda change: change.p)

    def rows(self, place: int, counts: Counts) -> int:
        """Return how many rows of a column a window has."""
        return int(counts[self.layout.slices[place].stop - 1])

    def readings(
        self,
        views: Sequence[View],
        sums: CusumSums,
        together: Dependence,
        watched: Collection[Key],
        resting: Collection[int] = (),
    ) -> Readings:
        """Judge windows and sums; return readings of what may matter, and of all that is watched.

        What is not returned would neither raise nor keep an alert; or it is of columns that are
        `resting`, of which nothing is asked this time, or of too many that may matter at once.
        """
        asked = self._asked(views, sums, watched, resting)
        found: dict[Key, list[Reading]] = {}
        for number, view in enumerate(views):
            for place in sorted(asked[number]):
                for rule, reading in self._of_column(number, view, place):
                    found.setdefault((rule, place), []).append(reading)
        ratios = sums.ratios(self.cusum)
        for column, place in enumerate(self.screen.number_places):
            if place in asked[-1]:
                reading = self._of_sums(len(views), sums, column, float(ratios[column]))
                found.setdefault((Rule.DRIFT, place), []).append(reading)
        performance = [
            self._of_performance(number, view, change)
            for number, view in enumerate(views)
            if (change := self.performance(view.counts)) is not None
        ]
        if performance:
            found[Rule.PERFORMANCE, WHOLE] = performance
        if together.is_learned:
            is_told = any(rule is Rule.DRIFT for rule, _ in watched)
            found[Rule.MULTIVARIATE, WHOLE] = [
                self._of_all(number, view, together, is_told=is_told)
                for number, view in enumerate(views)
            ]
        return found

    def _asked(
        self,
        views: Sequence[View],
        sums: CusumSums,
        watched: Collection[Key],
        resting: Collection[int],
    ) -> list[set[int]]:
        """Return which columns are asked by each window, and by the sums: the last of the sets."""
        always = {place for _, place in watched if place != WHOLE}
        moved = np.flatnonzero(sums.ratios(self.cusum) >= CLEAR_RATIO).tolist()
        strange = [
            *(self._may_matter(view.counts) for view in views),
            {self.screen.number_places[column] for column in moved},
        ]
        fresh = set().union(*strange).difference(always, resting)
        room = max(0, MOST_JUDGED - len(always))
        chosen = always.union(sorted(fresh)[:room])
        return [always | (one & chosen) for one in strange]

    def _may_matter(self, counts: Counts) -> set[int]:
        masks = [one.screen.may_matter(counts) for one in self.references.ways(counts)]
        return set(np.flatnonzero(np.all(masks, axis=0)).tolist())

    def _of_sums(self, number: int, sums: CusumSums, column: int, ratio: float) -> Reading:
        mean, rows, since = sums.growth(self.cusum, column)
        words = f"location {'up' if mean > 0.0 else 'down'} for long"
        effect = abs(mean) / MIN_CUMULATIVE_EFFECT
        p = self.alpha ** min(ratio, 1.0)
        return Reading(number, rows, since, p, effect, words, sure_rows(mean))

    def _of_performance(self, number: int, view: View, change: PerformanceChange) -> Reading:
        lost = max(0.0, -change.accuracy_change)
        accuracy = change.live.accuracy or 0.0
        words = f"estimated accuracy down by {lost:.3f} to {accuracy:.3f}" if lost else ""
        sure = sure_rows(lost) * accuracy * (1.0 - accuracy)
        rows = change.live.rows
        return Reading(number, rows, view.start, change.p, lost / MIN_ACCURACY_LOSS, words, sure)

    def _of_all(self, number: int, view: View, together: Dependence, *, is_told: bool) -> Reading:
        """Judge all columns together; when one tells it alone (`is_told`) there is nothing more."""
        rows = self.layout.rows(view.counts)
        found = [(1.0, 0.0)]
        if not is_told:
            screens = [one.screen for one in self.references.ways(view.counts)]
            found = [
                together.judge(
                    screen.normal_scores(view.counts)[:, 0],
                    1.0 / max(1, rows) + 1.0 / screen.least_reference_rows,
                )
                for screen in screens
            ]
        p, effect = max(found)
        words = "many columns have moved together"
        sure = sure_rows(effect) * together.directions**0.5
        return Reading(number, rows, view.start, p, effect / MIN_EFFECT, words, sure)

    def _of_column(self, number: int, view: View, place: int) -> Iterable[tuple[Rule, Reading]]:
        """Judge one column by each rule, by the reference to which it is the least strange."""
        ways = self.references.ways(view.counts)
        found = [dict(self._held_to(one, number, view, place)) for one in ways]
        for rule in found[0]:
            yield rule, max((one[rule] for one in found), key=lambda reading: reading.p)

    def _held_to(
        self, reference: Reference, number: int, view: View, place: int
    ) -> Iterable[tuple[Rule, Reading]]:
        rows = self.rows(place, view.counts)
        parts = reference.verdict(place, view.counts).parts
        rules = [Rule.DRIFT, *(plan.rule for plan in self.plans(place))]
        for rule in dict.fromkeys(rules):
            part = strongest(part for part, of in zip(parts, rules, strict=True) if of is rule)
            p = part.adjusted_p
            yield (
                rule,
                Reading(
                    number,
                    rows,
                    view.start,
                    careful(p, rows) if rule is Rule.DRIFT else p,
                    part.effect / MIN_EFFECT,
                    part.words,
                    sure_rows(part.effect),
                ),
            )
        profile = reference.column(place)
        if isinstance(profile, NumberProfile):
            reach, words = scale_reach(profile, self.layout.number(view.counts, place))
            p = self.alpha ** min(reach, 1.0)
            yield Rule.SCALE, Reading(number, rows, view.start, p, reach, words)


def _estimator(profile: Profile) -> tuple[int, Estimator | None]:
    """Return the place of the score, and what its bins say; WHOLE and None without one."""
    if profile.score is None:
        return WHOLE, None
    names = [one.column.name for one in profile.columns]
    return names.index(profile.score.column), Estimator(profile.score)


def sure_rows(effect: float) -> float:
    """Return how many rows put a change of this size eight standard errors away from none.

    By chance it then falls below what clears an alert, some four and a half, once in a few
    thousand evaluations.
    """
    return SURE_ERRORS**2 / max(effect * effect, 1e-9)


def strongest(parts: Iterable[Part]) -> Part:
    """Return the part of a verdict that is the least probable; of equals the first."""
    return min(parts, key=lambda part: part.adjusted_p)
