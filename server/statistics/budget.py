"""From alarms per month that people are willing to see, to what one test has to exceed.

Decides how improbable a window must be before it counts, given how many tests there are. Does not
know which tests, or what they found.

The rule is Bonferroni's, over all features, windows and evaluations of a month: it needs no
independence. Two things make alarms rarer than it says. Windows that overlap exceed together, and
an alarm that stays is one alarm: no credit is taken for that, as it shrinks with alpha. An alarm
that asks for two or more consecutive evaluations forgives single ones: at alpha 1 % it left 0.01 to
0.2 of the alarms, by how much windows overlap; half is taken. Windows that do not overlap, of
independent rows, hardly ever alarm then; the surplus is not spent.

For a report, where a list with a few wrong entries is better than an empty one: Benjamini and
Hochberg (1995), J. R. Stat. Soc. B 57(1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.statistics.distance import Numbers
from server.statistics.tails import SMALLEST_P

MONTH_SECONDS = 365.25 / 12 * 86_400

CONSECUTIVE_CREDIT = 0.5
"""The alarms that asking for consecutive evaluations leaves, of one per evaluation; at most."""


@dataclass(frozen=True, slots=True)
class Budget:
    """False alarms that may happen, and the tests among which they are divided."""

    alarms_per_month: float
    """Over all features and windows, on data in which nothing changes."""

    features: int
    windows: int
    """Window lengths judged per feature."""

    evaluation_seconds: float
    """Between two evaluations of one window."""

    consecutive: int = 1
    """Evaluations in a row that an alarm takes."""

    @property
    def tests_per_month(self) -> float:
        """How often something is judged; at least once."""
        evaluations = MONTH_SECONDS / max(self.evaluation_seconds, 1e-3)
        return max(1.0, max(1, self.features) * max(1, self.windows) * evaluations)

    @property
    def alpha(self) -> float:
        """How improbable a window has to be, in (0, 0.5]."""
        credit = CONSECUTIVE_CREDIT if self.consecutive >= 2 else 1.0
        alpha = self.alarms_per_month / self.tests_per_month / credit
        return min(0.5, max(SMALLEST_P, alpha))


def benjamini_hochberg(p_values: Sequence[float]) -> Numbers:
    """Return the false discovery rate at which each entry joins the list, float64 of shape (n,).

    Entries at most q are the list of which a share q is wrong, on average; in the order given.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    raised = p[order] * len(p) / np.arange(1, len(p) + 1)
    lowest_above = np.minimum.accumulate(raised[::-1])[::-1]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, lowest_above)
    return adjusted
