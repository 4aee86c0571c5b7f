# mypy: disable-error-code="import-not-found,import-untyped"
"""Evidently, with the test and the threshold that it chooses by default."""

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType

from loadtests.detection.peers.answering import Values, answer_jobs

P_VALUES = {"K-S p_value", "chi-square p_value", "Z-test p_value"}


def judge(reference: Values, windows: Values, kind: str) -> tuple[list[float], list[bool]]:
    """Compare each window with the reference."""
    column_type = ColumnType.Categorical if kind == "category" else ColumnType.Numerical
    before = pd.Series(np.sort(reference))  # Their order says nothing, but takes time.
    test = get_stattest(before, pd.Series(windows[0]), column_type, None)
    scores, alerts = [], []
    for window in windows:
        now = pd.Series(window)
        found = test(before, now, column_type, None)
        sign = -1.0 if test.display_name in P_VALUES else 1.0
        scores.append(sign * float(found.drift_score))
        alerts.append(bool(found.drifted))
    return scores, alerts


if __name__ == "__main__":
    answer_jobs(judge)
