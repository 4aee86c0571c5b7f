"""When the drift of NannyML's car loans is found, whose rows change at row 25,000 of the analysis.

Each column is watched by itself, and then all of them as one model, in sub-windows of 50 rows, at
the default budget: one false alarm a month, of as many evaluations as a month has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.detection.changes import CAR_COLUMNS, Values
from loadtests.detection.watch import EVALUATION_SECONDS, Policy, Watch
from server.statistics.budget import MONTH_SECONDS

SUB_WINDOW_ROWS = 50
CHANGING_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class Onset:
    """What was raised for a column, or for all of them."""

    column: str
    changes: bool
    early: int
    """Alarms before the onset."""

    delay_rows: int | None
    """From the onset to the first alarm after it."""


def measure(rows: Mapping[str, Values]) -> list[Onset]:
    """Watch from the first row of the analysis to the last."""
    kinds = dict(CAR_COLUMNS)
    changing = list(kinds)[:CHANGING_COLUMNS]
    found = [_watched(rows, [name], changes=name in changing) for name in kinds]
    return [*found, _watched(rows, list(kinds), changes=True)]


def _watched(rows: Mapping[str, Values], names: Sequence[str], *, changes: bool) -> Onset:
    kinds = dict(CAR_COLUMNS)

    def columns(*parts: str) -> dict[str, Values]:
        joined = np.concatenate([rows[f"car_loan_{part}"] for part in parts])
        return {name: joined[:, place] for place, name in enumerate(kinds) if name in names}

    rows_per_month = MONTH_SECONDS / EVALUATION_SECONDS * SUB_WINDOW_ROWS
    policy = Policy(SUB_WINDOW_ROWS, rows_per_month)
    watch = Watch(columns("reference"), {name: kinds[name] for name in names}, policy)
    onset = len(rows["car_loan_before"])
    alarms = watch.alarms(columns("before", "after"), onset)
    late = [row for row in alarms if row >= onset]
    name = names[0] if len(names) == 1 else "all as one model"
    return Onset(name, changes, len(alarms) - len(late), late[0] - onset + 1 if late else None)


def table(found: Sequence[Onset]) -> str:
    """Return a Markdown table."""
    lines = ["| column | changes | alarms before | found after, rows |", "|---|---|---|---|"]
    for one in found:
        delay = "-" if one.delay_rows is None else str(one.delay_rows)
        changes = "yes" if one.changes else "no"
        lines.append(f"| {one.column} | {changes} | {one.early} | {delay} |")
    return "\n".join(lines)
