"""Whether thirty clean features raise any alarm in a month, at the default budget.

They are inputs of one model, as different as clean columns are, and so share one budget: one false
alarm a month. Each sub-window is one evaluation of all features over windows of all lengths, by the
gateway's own observer. The month is one with an evaluation every ten minutes: the budget allows one
false alarm among all that are made here.
"""

from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import CLEAN, REFERENCE_ROWS, Change
from loadtests.detection.watch import Policy, Watch

MONTH_EVALUATIONS = 4383


@dataclass(frozen=True, slots=True)
class Plan:
    """What is watched, and how long."""

    features: int = 30
    evaluations: int = MONTH_EVALUATIONS
    sub_window_rows: int = 100
    seed: int = 4

    @property
    def policy(self) -> Policy:
        """One false alarm in all of it."""
        return Policy(self.sub_window_rows, float(self.sub_window_rows * MONTH_EVALUATIONS))


def measure(plan: Plan) -> int:
    """Watch all features for the time of the plan; return how many alarms were raised."""
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
    return sum(
        watch.raised(
            {name: change.before(rng, plan.sub_window_rows) for name, change in changes.items()}
        )
        for _ in range(plan.evaluations)
    )
