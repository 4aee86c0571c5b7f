"""Columns whose mean goes up and down by day and by week: with a reference by hours, and without.

Every column is normal around a mean that follows the clock, by one standard deviation within a day
and by half of one within a week; each has phases of its own. Weeks of such rows are the reference;
nothing but the clock changes after it, until a shift is added. Both references are of the same
rows, in the same order.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import Values
from loadtests.detection.false_alarms import wilson
from server.monitoring.columns import Blocks, layout_of
from server.monitoring.counting import CountLayout, RowCounter
from server.monitoring.drift import Judge, Limits
from server.monitoring.hours import Cycle
from server.monitoring.observer import WINDOW_NAMES, Observer, Pace
from server.monitoring.profile import Profile, Source
from server.monitoring.profiling import ProfileBuilder
from server.monitoring.sampling import Sampler
from server.statistics.sequential import Alert
from server.tensors import DATATYPES, Signature, TensorSpec

DAY_SECONDS, WEEK_SECONDS = 86_400.0, 604_800.0
START = 1_767_571_200.0
"""A Monday at midnight, UTC."""

ALPHA = 0.01
SUB_WINDOW_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn."""

    features: int = 8
    reference_weeks: int = 4
    reference_rows: int = 200_000
    sizes: Sequence[int] = (200, 500, 2000)
    windows: int = 120
    """Of each size, spread over a week; each has `features` feature-windows."""
    days: float = 0.25
    """Of the stream in which nothing changes, with an evaluation every ten seconds."""
    streams: int = 6
    """With a shift at a moment of their own, of one feature."""
    sub_window_rows: int = 100
    shift: float = 0.5
    """Against the same hour, in standard deviations of an hour's rows."""
    seed: int = 5


class Clock:
    """Rows of all columns at any moments."""

    def __init__(self, plan: Plan) -> None:
        self._rng = np.random.default_rng(plan.seed)
        self._phases = self._rng.random((2, plan.features))

    def rows(self, seconds: Values) -> Values:
        """Return rows of these moments, shape (rows, features)."""
        turns = seconds[:, np.newaxis]
        daily = np.sin(2.0 * math.pi * (turns / DAY_SECONDS + self._phases[0]))
        weekly = np.sin(2.0 * math.pi * (turns / WEEK_SECONDS + self._phases[1]))
        noise = self._rng.standard_normal(daily.shape)
        return np.asarray(noise + daily + 0.5 * weekly, np.float64)

    def moments(self, start: float, seconds: float, rows: int) -> Values:
        """Return moments within some time, rising."""
        return np.sort(start + seconds * self._rng.random(rows))


def profile_of(plan: Plan, clock: Clock, cycle: Cycle | None) -> Profile:
    """Return the reference, by hours or not."""
    names = [f"x{place}" for place in range(plan.features)]
    inputs = (TensorSpec("x", DATATYPES["FP64"], (-1, plan.features)),)
    signature = Signature(inputs, (TensorSpec("answer", DATATYPES["BYTES"], (-1, -1)),))
    layout = layout_of(signature, {"x": names})
    seconds = clock.moments(
        START - plan.reference_weeks * WEEK_SECONDS,
        plan.reference_weeks * WEEK_SECONDS,
        plan.reference_rows,
    )
    rows = clock.rows(seconds)
    blocks = layout.inputs.blocks({"x": rows})
    nothing = Blocks(len(rows), np.empty((len(rows), 0), np.float32), [])
    sampler = Sampler(layout, len(rows))
    sampler.choose(len(rows))
    sampler.add(blocks, nothing)
    builder = ProfileBuilder(sampler.sample(), len(rows), is_ordered=True, cycle=cycle)
    builder.add(blocks, nothing, seconds=None if cycle is None else seconds)
    source = Source("clock", len(rows), "")
    return builder.build("clock", "1", "", source, is_self_reference=False)


@dataclass(frozen=True, slots=True)
class Windows:
    """Feature-windows of one size."""

    reference: str
    rows: int
    total: int
    false_alarms: int
    """Below ALPHA when nothing but the clock changes."""
    found: int
    """Below ALPHA with the shift."""


def windows(plan: Plan, name: str, profile: Profile, clock: Clock) -> Iterator[Windows]:
    """Judge windows of each size, at moments spread over a week, each a tenth of an hour long."""
    judge = Judge(profile, Limits(), len(WINDOW_NAMES))
    for size in plan.sizes:
        alarms = found = 0
        for number in range(plan.windows):
            start = START + WEEK_SECONDS * number / plan.windows
            alarms += _below(judge, profile, clock, start, size, 0.0)
            found += _below(judge, profile, clock, start, size, plan.shift)
        yield Windows(name, size, plan.windows * plan.features, alarms, found)


def _below(
    judge: Judge, profile: Profile, clock: Clock, start: float, rows: int, shift: float
) -> int:
    counter = RowCounter(CountLayout(profile))
    counts = np.zeros(judge.layout.width, np.int64)
    for moment in np.linspace(start, start + 360.0, 10):  # As the observer folds: by the second.
        part = clock.rows(np.full(rows // 10, moment)) + shift
        counter.add(len(part), profile.layout.inputs.blocks({"x": part}), None)
        counts += counter.take(float(moment)).counts
    return sum(judge.verdict(place, counts).p < ALPHA for place in range(len(profile.columns)))


@dataclass(frozen=True, slots=True)
class Streams:
    """What a version's alerts did at the default budget."""

    reference: str
    evaluations: int
    false_alarms: int
    """Alerts that began to fire while nothing but the clock changed."""
    delays: list[float]
    """Rows from the shift to its alert; inf where it did not come within an hour."""


def streams(plan: Plan, name: str, profile: Profile, clock: Clock) -> Streams:
    """Watch a stream without a change, then some with one."""
    watch = _Watch(plan, profile, clock, START)
    evaluations = int(plan.days * DAY_SECONDS / SUB_WINDOW_SECONDS)
    alarms = sum(len(watch.step(0.0)) for _ in range(evaluations))
    delays = []
    for number in range(plan.streams):
        watch = _Watch(plan, profile, clock, START + WEEK_SECONDS * number / plan.streams)
        for _ in range(80):
            watch.step(0.0)
        found = (number for number in range(1, 361) if "x0" in watch.step(plan.shift))
        delays.append(next(found, math.inf) * plan.sub_window_rows)
    return Streams(name, evaluations, alarms, delays)


class _Watch:
    """The gateway's own observer, told what time it is."""

    def __init__(self, plan: Plan, profile: Profile, clock: Clock, start: float) -> None:
        limits = Limits(evaluation_seconds=SUB_WINDOW_SECONDS, evaluation_rows=plan.sub_window_rows)
        pace = Pace(plan.sub_window_rows, SUB_WINDOW_SECONDS)
        self._plan, self._profile, self._clock, self._now = plan, profile, clock, start
        self._observer = Observer(profile, limits, pace, start)
        self._firing: set[str] = set()

    def step(self, shift: float) -> set[str]:
        """Take in a sub-window, the first feature shifted; return what begins to fire."""
        plan, profile, observer = self._plan, self._profile, self._observer
        rows = self._clock.rows(
            self._clock.moments(self._now, SUB_WINDOW_SECONDS, plan.sub_window_rows)
        )
        rows[:, 0] += shift
        self._now += SUB_WINDOW_SECONDS
        observer.take(len(rows), profile.layout.inputs.blocks({"x": rows}), None)
        if observer.tick(self._now):
            question = observer.question(self._now)
            observer.step(question, question.answer(), self._now)
        firing = {
            f"{profile.columns[place].column.name}" if place >= 0 else rule.value
            for (rule, place), alert in observer.alerts.items()
            if alert.state.alert is Alert.FIRING
        }
        began, self._firing = firing - self._firing, firing
        return began


def measure(plan: Plan) -> tuple[list[Windows], list[Streams]]:
    """Return what is said with and without hours."""
    judged, watched = [], []
    for name, cycle in (("all rows", None), ("by hour of the week", Cycle.WEEK)):
        clock = Clock(plan)
        profile = profile_of(plan, clock, cycle)
        judged += list(windows(plan, name, profile, clock))
        watched.append(streams(plan, name, profile, clock))
    return judged, watched


def table(judged: Sequence[Windows], watched: Sequence[Streams]) -> str:
    """Return both as Markdown tables."""
    lines = [
        "| reference | rows | windows | false alarms at 1 % | 95 % interval | shift found |",
        "|---|---|---|---|---|---|",
    ]
    for one in judged:
        low, high = wilson(one.false_alarms, one.total)
        lines.append(
            f"| {one.reference} | {one.rows} | {one.total} | {one.false_alarms / one.total:.2%} | "
            f"{low:.2%} to {high:.2%} | {one.found / one.total:.0%} |"
        )
    lines += [
        "",
        "| reference | evaluations without a change | alarms | median delay, rows | missed |",
        "|---|---|---|---|---|",
    ]
    for stream in watched:
        delay = statistics.median(stream.delays)
        missed = sum(map(math.isinf, stream.delays))
        shown = "-" if math.isinf(delay) else f"{delay:,.0f}"
        lines.append(
            f"| {stream.reference} | {stream.evaluations:,} | {stream.false_alarms} | {shown} | "
            f"{missed} of {len(stream.delays)} |"
        )
    return "\n".join(lines)
