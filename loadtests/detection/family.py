"""Whether thirty clean features raise any alarm in a month, at the default budget.

The month is one of sub-windows, in each of which every feature has as many rows; the counts are
drawn as they would be counted, from the shares that very many clean rows have. Every feature is
judged at every close, over windows of all lengths, with the alpha that follows from the budget.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import CLEAN, REFERENCE_ROWS, Change
from loadtests.detection.product import Counts, monitored
from loadtests.detection.watch import Policy, Watch
from server.statistics.budget import MONTH_SECONDS, Budget

LENGTHS = (1, 4, 16, 64)
MANY_ROWS = 2_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a month is."""

    features: int = 30
    evaluation_seconds: float = 300.0
    sub_window_rows: int = 500
    alarms_per_month: float = 1.0
    months: float = 1.0
    seed: int = 4

    @property
    def budget(self) -> Budget:
        """The budget that all tests share; the cumulated location is one more window."""
        return Budget(
            self.alarms_per_month,
            self.features,
            len(LENGTHS) + 1,
            self.evaluation_seconds,
            consecutive=2,
        )

    @property
    def policy(self) -> Policy:
        """What follows for one feature."""
        budget = self.budget
        rare = budget.tests_per_month / self.alarms_per_month
        return Policy(self.sub_window_rows, LENGTHS, budget.alpha, rare)


@dataclass(frozen=True, slots=True)
class Month:
    """What came of it."""

    verdicts: int
    alarms: int
    sub_windows: int


def measure(plan: Plan) -> Month:
    """Watch all features for the time of the plan."""
    sub_windows = int(plan.months * MONTH_SECONDS / plan.evaluation_seconds)
    alarms = 0
    for feature in range(plan.features):
        change = CLEAN[feature % len(CLEAN)]
        rng = np.random.default_rng([plan.seed, feature, zlib.crc32(change.name.encode())])
        watch, drawn = _watched(change, plan, rng, sub_windows)
        was_firing = False
        for number, counts in enumerate(drawn):
            is_firing = watch.take(counts, plan.sub_window_rows, float(number))
            alarms += is_firing and not was_firing
            was_firing = is_firing
    return Month(sub_windows * plan.features * len(LENGTHS), alarms, sub_windows)


def _watched(
    change: Change, plan: Plan, rng: np.random.Generator, sub_windows: int
) -> tuple[Watch, Iterator[Counts]]:
    column = monitored(change.before(rng, REFERENCE_ROWS), change.kind)
    many = column.count(change.before(rng, MANY_ROWS))
    return Watch(column, plan.policy), drawn_counts(many, plan.sub_window_rows, sub_windows, rng)


def drawn_counts(
    many: Counts, rows: int, windows: int, rng: np.random.Generator
) -> Iterator[Counts]:
    """Yield counts of windows whose rows come from the same distribution as the `many`.

    The last number of a vector is the rows. Values beyond the range are among the bins as well, so
    they are drawn for themselves, which alters nothing that is judged: each is a test of its own.
    """
    total = int(many[-1])
    parts, ends = many[:-1], np.flatnonzero(np.cumsum(many[:-1]) == total)
    cells = int(ends[0]) + 1
    for _ in range(windows):
        counts = np.zeros(len(many), np.int64)
        counts[:cells] = rng.multinomial(rows, parts[:cells] / total)
        counts[cells:-1] = rng.binomial(rows, parts[cells:] / total)
        counts[-1] = rows
        yield counts
