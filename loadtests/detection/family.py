"""Whether thirty clean features raise any alarm in a month, at the default budget.

They are inputs of one model, as different as clean columns are, and so share one budget: one false
alarm a month. Each sub-window is one evaluation of all features over windows of all lengths, by the
gateway's own observer; there are as many as in the time that the plan covers.
"""

from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import CLEAN, REFERENCE_ROWS, Change
from loadtests.detection.watch import EVALUATION_SECONDS, Policy, Watch
from server.statistics.budget import MONTH_SECONDS


@dataclass(frozen=True, slots=True)
class Plan:
    """What is watched, and how long."""

    features: int = 30
    days: float = 1.0
    """With an evaluation every ten seconds, a day has 8,640."""

    sub_window_rows: int = 100
    alarms_per_month: float = 1.0
    seed: int = 4

    @property
    def policy(self) -> Policy:
        """The default budget, whatever the rows."""
        rows = MONTH_SECONDS / EVALUATION_SECONDS * self.sub_window_rows
        return Policy(self.sub_window_rows, rows / self.alarms_per_month)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    evaluations: int
    alarms: int


def measure(plan: Plan) -> Found:
    """Watch all features for the time of the plan."""
    rng = np.random.default_rng(plan.seed)
    changes: dict[str, Change] = {
        f"{CLEAN[place % len(CLEAN)].name} {place}": CLEAN[place % len(CLEAN)]
        for place in range(plan.features)
    }
    watch = Watch(
        {name: change.before(rng, REFERENCE_ROWS) for name, change in changes.items()},
        {name: change.kind for name, change in changes.items()},
        plan.policy,
    )
    evaluations = int(plan.days * 86_400 / EVALUATION_SECONDS)
    alarms = sum(
        watch.raised(
            {name: change.before(rng, plan.sub_window_rows) for name, change in changes.items()}
        )
        for _ in range(evaluations)
    )
    return Found(evaluations, alarms)
