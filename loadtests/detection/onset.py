"""When the drift of NannyML's car loans is found, whose rows change at row 25,000 of the analysis.

Windows of 1000 rows, looked at every 100, at the default budget: one false alarm a month over the
seven numeric and categorical columns. A month of these loans is 5000 rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import CAR_COLUMNS, Values
from loadtests.detection.watch import Policy, watched
from server.statistics.budget import MONTH_SECONDS, Budget

SUB_WINDOW_ROWS, WINDOW_ROWS, ROWS_PER_MONTH = 100, 1000, 5025
CHANGING_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class Onset:
    """What was raised for one column."""

    column: str
    changes: bool
    early: int
    """Alarms before the onset."""

    delay_rows: int | None
    """From the onset to the first alarm after it."""


def policy() -> Policy:
    """Return how the columns are watched at the default budget."""
    evaluations = ROWS_PER_MONTH / SUB_WINDOW_ROWS
    budget = Budget(1.0, len(CAR_COLUMNS), 2, MONTH_SECONDS / evaluations, consecutive=2)
    length = WINDOW_ROWS // SUB_WINDOW_ROWS
    return Policy(SUB_WINDOW_ROWS, (length,), budget.alpha, budget.tests_per_month)


def measure(rows: Mapping[str, Values]) -> list[Onset]:
    """Watch each column from the first row of the analysis to the last."""
    found = []
    before, after = rows["car_loan_before"], rows["car_loan_after"]
    for place, (name, kind) in enumerate(CAR_COLUMNS):
        watch = watched(rows["car_loan_reference"][:, place], kind, policy())
        alarms = watch.alarms(np.concatenate([before[:, place], after[:, place]]))
        late = [row for row in alarms if row >= len(before)]
        delay = late[0] - len(before) + 1 if late else None
        found.append(Onset(name, place < CHANGING_COLUMNS, len(alarms) - len(late), delay))
    return found


def table(found: Sequence[Onset]) -> str:
    """Return a Markdown table."""
    lines = [
        "| column | changes | alarms before | found after, rows |",
        "|---|---|---|---|",
    ]
    for one in found:
        delay = "-" if one.delay_rows is None else str(one.delay_rows)
        lines.append(f"| {one.column} | {'yes' if one.changes else 'no'} | {one.early} | {delay} |")
    return "\n".join(lines)
