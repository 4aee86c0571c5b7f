"""One version of a model under observation: its rows on their way into windows, sums and alerts.

Decides when a sub-window is closed: when it has rows enough and has lasted for a while, so that
a busy version is not judged a thousand times a minute, or when it has lasted for long. Every closed
sub-window with rows is one evaluation. What the counts say is decided by `drift.py` and
`alerts.py`; where they are kept over a restart is `controlplane/monitor.py`'s business.

Told the time; a clock that steps back closes nothing and loses nothing.

Concurrency: belongs to the event loop. `question` gives values that a thread may work on while
rows come in; its owner asks no second question before the answer is in.
Lifetime: as long as its version is loaded with the same files and the same profile.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from server.monitoring import volume
from server.monitoring.alerts import AlertEvent, Change, DriftAlert, step_alerts
from server.monitoring.columns import Blocks
from server.monitoring.counting import RowCounter
from server.monitoring.cumulating import CusumSums
from server.monitoring.drift import WHOLE, Judge, Key, Limits, Reading, Readings, View
from server.monitoring.onset import onset_seconds
from server.monitoring.performance import PerformanceChange
from server.monitoring.profile import Profile
from server.monitoring.rate_plans import Rule
from server.monitoring.report import MEASURED_WINDOW, Snapshot
from server.monitoring.together import Dependence
from server.statistics.sequential import Alert
from server.statistics.window import HOUR_SECONDS, WINDOW_LENGTHS, Cell, Closing, Ring

MINUTE_SECONDS = 60.0

LONG_CELLS = 24
"""Hours of the long window."""

LONGEST_FACTOR = 6.0
"""A sub-window without rows enough is closed after so many times the shortest."""

MAX_UNSAVED = 64
"""Sub-windows that wait for the store; older ones are joined, so that no row is lost."""

MOST_WATCHED = 50
"""Columns whose alerts fire that are judged at once, whether or not they may matter still."""

FORGOTTEN_SECONDS = (LONG_CELLS + 1) * HOUR_SECONDS
"""By then no window has rows from before an alert was cleared."""

WINDOW_NAMES = (*map(str, WINDOW_LENGTHS), "day")

LABELS_WINDOW = len(WINDOW_NAMES) + 1
"""The number by which readings of labels go; cumulative sums are before it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When a sub-window is closed."""

    rows: int = 100
    seconds: float = 10.0
    """At least; at most LONGEST_FACTOR times that."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """All that an evaluation needs to know."""

    judge: Judge
    views: Sequence[View]
    sums: CusumSums
    together: Dependence
    watched: frozenset[Key]
    resting: frozenset[int]
    """Columns of which nothing is asked this time."""

    def answer(self) -> Readings:
        """Judge. Takes a while when much has changed; touches nothing."""
        return self.judge.readings(self.views, self.sums, self.together, self.watched, self.resting)


class Observer:
    """The counts and the alerts of one version."""

    def __init__(self, profile: Profile, limits: Limits, pace: Pace, now: float) -> None:
        self.profile, self.limits = profile, limits
        self.judge = Judge(profile, limits, len(WINDOW_NAMES))
        layout = self.judge.layout
        self.alerts: dict[Key, DriftAlert] = {}
        self.totals = np.zeros(layout.width, np.int64)
        """Counts since this process began: what counters export."""
        self.effects = np.zeros(len(layout.columns))
        """How far each column had moved at the last evaluation, shape (columns,)."""
        self.performance: PerformanceChange | None = None
        """What it was estimated to be then; None if the reference cannot tell."""
        self.evaluated: float | None = None
        """When that was."""
        self.novel_words: dict[int, Counter[str]] = {}
        """The last categories that the reference never had, by the column's place."""
        self._pace = pace
        self._turn = 0
        """Of columns whose alerts fire, the one that is looked at next."""
        self._counter = RowCounter(layout)
        self._short = Ring(layout.width, now, Closing())
        self._long = Ring(layout.width, now, Closing(max_seconds=HOUR_SECONDS), (LONG_CELLS,))
        self._sums = CusumSums(len(self.judge.screen.number_places))
        self._together = Dependence(layout, self.judge.bases)
        self._follow_hours(now)
        self._opened = self._folded = now
        self._open_rows = 0
        self._began = np.inf
        """When the first rows came, to the second: nothing can have changed before."""
        self._low = np.full(len(layout.columns), np.inf)
        self._high = np.full(len(layout.columns), -np.inf)
        self.extremes = (self._low, self._high)
        """Smallest and largest values of the last sub-window with rows, shape (columns,) each."""
        self._unsaved: list[Cell] = []
        self._block_rows: deque[int] = deque(maxlen=volume.KEPT_BLOCKS + 1)
        self._block_opened = now
        self._rows_in_block = 0

    @property
    def held_bytes(self) -> int:
        """How much memory counts, rows and sums take."""
        rings = self._short.held_bytes + self._long.held_bytes
        unsaved = sum(cell.counts.nbytes for cell in self._unsaved)
        own = self.totals.nbytes + self.judge.held_bytes + self._sums.held_bytes
        return rings + unsaved + own + self._counter.held_bytes

    def take(self, rows: int, inputs: Blocks | None, outputs: Blocks | None) -> None:
        """Take in the rows of some batches; None for a side whose tensors did not come."""
        self._counter.add(rows, inputs, outputs)
        self._rows_in_block += rows
        if self._together.is_wanted:
            self._together.add(inputs, outputs)

    def tick(self, now: float) -> bool:
        """Count what waits and close what is due; say whether there is something to judge."""
        self._fold(now)
        self._follow_hours(now)
        self._long.close_if_due(now)
        self._opened = min(self._opened, now)
        age = now - self._opened
        is_full = self._open_rows >= self._pace.rows and age >= self._pace.seconds
        if not is_full and age < LONGEST_FACTOR * self._pace.seconds:
            return False
        return self._close(now)

    def _follow_hours(self, now: float) -> None:
        """Learn how columns depend on each other by the scores of this hour."""
        if self.profile.hours is not None and self._together.is_wanted:
            self._together.hold_to(self.judge.references.at(now).screen.locations)

    def _fold(self, now: float) -> None:
        """Count what waits; it came between the last time and now, and its hour is that of then."""
        elapsed, self._folded = now - self._folded, now
        rows = self._counter.rows
        if not rows:
            return  # A version that nobody asks must cost nothing.
        if not 0.0 <= elapsed < MINUTE_SECONDS:
            elapsed = 0.0
        taken = self._counter.take(now - elapsed / 2.0)
        self._began = min(self._began, now - elapsed)
        self.totals += taken.counts
        self._short.add(taken.counts, rows)
        self._long.add(taken.counts, rows)
        self._open_rows += rows
        np.minimum(self._low, taken.minima, out=self._low)
        np.maximum(self._high, taken.maxima, out=self._high)
        self.novel_words |= taken.novel_words

    def _close(self, now: float) -> bool:
        has_rows = self._open_rows > 0
        if has_rows:
            cell = self._short.open_cell(now)
            self._sum_up(cell)
            self._unsaved.append(cell)
            if len(self._unsaved) > MAX_UNSAVED:
                self._unsaved[:2] = [self._unsaved[0].joined(self._unsaved[1])]
            self.extremes = (self._low.copy(), self._high.copy())
            self._low[:], self._high[:] = np.inf, -np.inf
        self._short.close(now)
        self._opened, self._open_rows = now, 0
        return has_rows

    def _sum_up(self, cell: Cell) -> None:
        """Add a sub-window to the cumulative sums, held to the hours that it lies in.

        The reference of an hour errs in the same way for all rows of that hour. So these are worth
        no more, all together, than the reference's are: the variance of their mean is that of both.
        """
        screens = [one.screen for one in self.judge.references.ways(cell.counts)]
        sums = np.stack([screen.location_sums(cell.counts)[0] for screen in screens])
        _, rows = screens[0].location_sums(cell.counts)
        # The one nearest to 0: what is strange to one of them only adds up to nothing.
        scores = np.maximum(sums.min(axis=0), 0.0) + np.minimum(sums.max(axis=0), 0.0)
        doubt = np.ones(len(rows))
        if self.profile.hours is not None:
            reference_rows = np.min([screen.reference_rows for screen in screens], axis=0)
            hourly = rows * (HOUR_SECONDS / max(1.0, cell.end - cell.start))
            doubt += hourly / np.maximum(1.0, reference_rows)
        self._sums.add(self.judge.cusum, scores, rows, cell.start, doubt)

    # Judging.

    def views(self, now: float) -> list[View]:
        """Return the windows as they are: the closed sub-windows, and the last day."""
        found = []
        for name, length in zip(WINDOW_NAMES, WINDOW_LENGTHS, strict=False):
            window = self._short.window(length)
            found.append(View(name, window.counts, window.start, window.end))
        day, opened = self._long.window(LONG_CELLS), self._long.open_cell(now)
        start = day.start if day.sub_windows else opened.start
        found.append(View(WINDOW_NAMES[-1], day.counts + opened.counts, start, now))
        return found

    def question(self, now: float) -> Question:
        """Return what has to be judged; no rows may be folded before the answer is in."""
        raised = {key: one.state.alert for key, one in self.alerts.items() if one.is_raised}
        pending = {place for (_, place), alert in raised.items() if alert is Alert.PENDING}
        # What fires goes on firing until it is looked at again: so many in turn, if there are many.
        firing = sorted({place for _, place in raised} - pending - {WHOLE})
        turn = self._turn % max(1, len(firing))
        resting = frozenset((firing[turn:] + firing[:turn])[MOST_WATCHED:])
        self._turn = turn + MOST_WATCHED
        watched = frozenset(key for key in raised if key[1] not in resting)
        return Question(self.judge, self.views(now), self._sums, self._together, watched, resting)

    def step(self, question: Question, readings: Readings, now: float) -> list[AlertEvent]:
        """Take in the answer; return what has happened to alerts."""
        measured = question.views[MEASURED_WINDOW].counts
        self.effects = self.judge.effects(measured)
        self.performance = self.judge.performance(measured)
        self.evaluated = now
        return self._step(readings, now)

    def judge_volume(self, now: float, *, is_live: bool) -> list[AlertEvent]:
        """Close the block of rows if it is due, and judge it if the version is live."""
        elapsed = now - self._block_opened
        if 0.0 <= elapsed < volume.BLOCK_SECONDS:
            return []
        rows, self._rows_in_block, self._block_opened = self._rows_in_block, 0, now
        # The machine slept, or the clock was set.
        if not 0.0 <= elapsed < 2.0 * volume.BLOCK_SECONDS:
            return []
        self._block_rows.append(rows)
        reach, words = volume.volume_reach(self._block_rows) if is_live else (0.0, "")
        rule = self.judge.rule
        reading = Reading(0, rule.min_rows, now, rule.alpha ** min(reach, 1.0), reach, words)
        return self._step({(Rule.VOLUME, WHOLE): [reading]}, now)

    def judge_realised(self, readings: Sequence[Reading], now: float) -> list[AlertEvent]:
        """Take in what labels say of accuracy."""
        return self._step({(Rule.REALISED, WHOLE): readings}, now) if readings else []

    def _step(self, readings: Readings, now: float) -> list[AlertEvent]:
        self.alerts, events = step_alerts(self.alerts, readings, self.judge.rule, now)
        for key, alert in list(self.alerts.items()):
            if not alert.is_raised and now - alert.cleared_seconds > FORGOTTEN_SECONDS:
                del self.alerts[key]
        cells: list[Cell] | None = None
        told = []
        for event in events:
            rule, place = event.key
            if event.change is Change.RAISED:
                if cells is None:
                    cells = self._short.cells()
                alert = replace(event.alert, onset_seconds=self._onset(event, cells, now))
                self.alerts[event.key] = alert
                event = replace(event, alert=alert)
            elif event.change is Change.CLEARED and rule is Rule.DRIFT:
                self._begin_anew(place, now)
            told.append(event)
        return told

    def _begin_anew(self, place: int, now: float) -> None:
        """Leave what a column was before its alert was cleared out of all sums."""
        numbers = self.judge.screen.number_places
        if place in numbers:
            self._sums.reset(numbers.index(place))
        together = self.alerts.get((Rule.MULTIVARIATE, WHOLE), DriftAlert())
        if not together.is_raised:
            self.alerts[Rule.MULTIVARIATE, WHOLE] = replace(together, cleared_seconds=now)

    def _onset(self, event: AlertEvent, cells: Sequence[Cell], now: float) -> float:
        """Return since when a change has been there: at the latest since it was pending."""
        rule, place = event.key
        reading, since = event.alert.reading, event.alert.state.since_seconds
        if place == WHOLE or reading is None:
            return since
        if reading.window >= len(WINDOW_NAMES):
            return max(self._began, reading.start)
        if reading.window == len(WINDOW_NAMES) - 1:
            cells = self.cells(now, by_hour=True)
        fresh = [cell for cell in cells if cell.start >= event.alert.cleared_seconds]
        found = onset_seconds(self.judge, rule, place, fresh)
        return since if found is None else max(self._began, min(found, since))

    def cells(self, now: float, *, by_hour: bool) -> list[Cell]:
        """Return the last sub-windows, or the hours of a day, oldest first; copies."""
        ring = self._long if by_hour else self._short
        return [*ring.cells(), ring.open_cell(now)]

    def snapshot(self, now: float) -> Snapshot:
        """Return what a report is made of."""
        self._fold(now)
        return Snapshot(
            self.judge,
            self.views(now),
            dict(self.alerts),
            self.extremes,
            {place: words.copy() for place, words in self.novel_words.items()},
            (*WINDOW_NAMES, "cumulative", "labels"),
        )

    # Over a restart.

    def unsaved(self, now: float) -> tuple[list[Cell], Cell | None]:
        """Return the closed sub-windows that are not in the store, and the open one."""
        self._fold(now)
        opened = self._short.open_cell(now) if self._open_rows else None
        return list(self._unsaved), opened

    def saved(self, cells: Sequence[Cell]) -> None:
        """Forget what has reached the store."""
        done = {id(cell) for cell in cells}
        self._unsaved = [cell for cell in self._unsaved if id(cell) not in done]

    def restore(self, cells: Sequence[Cell], alerts: Mapping[Key, DriftAlert], now: float) -> None:
        """Take back what was kept before a restart, cells of the last day, oldest first."""
        screen = self.judge.screen
        hours: dict[int, Cell] = {}
        for cell in cells:
            if cell.counts.shape != self.totals.shape:
                continue
            self._began = min(self._began, cell.start)
            self._short.push(cell)
            self._sum_up(cell)
            hour = int(cell.start // HOUR_SECONDS)
            hours[hour] = hours[hour].joined(cell) if hour in hours else cell
        for hour in sorted(hours):
            if now - hours[hour].start < LONG_CELLS * HOUR_SECONDS:
                self._long.push(hours[hour])
        self.alerts = dict(alerts)
        for (rule, place), alert in alerts.items():
            if rule is Rule.DRIFT and alert.cleared_seconds > 0.0 and place in screen.number_places:
                self._sums.reset(screen.number_places.index(place))
