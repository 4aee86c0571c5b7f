# mypy: disable-error-code="import-not-found,import-untyped"
"""NannyML's default: Jensen-Shannon, alarms beyond 3 deviations over the reference's chunks."""

import nannyml
import numpy as np
import pandas as pd

from loadtests.detection.peers.answering import Values, answer_jobs

METHOD = "jensen_shannon"


def judge(reference: Values, windows: Values, kind: str) -> tuple[list[float], list[bool]]:
    """Compare each window, as one chunk, with the reference in chunks of the same size."""
    is_category = kind == "category"
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=["x"],
        treat_as_categorical=["x"] if is_category else [],
        chunk_size=windows.shape[1],
    )
    calculator.fit(_frame(reference, is_category=is_category))
    found = calculator.calculate(_frame(windows.ravel(), is_category=is_category))
    table = found.filter(period="analysis").to_df()
    scores = table[("x", METHOD, "value")].to_numpy(np.float64)
    alerts = table[("x", METHOD, "alert")].to_numpy(bool)
    return scores.tolist(), alerts.tolist()


def _frame(rows: Values, *, is_category: bool) -> pd.DataFrame:
    column = rows.astype(np.int64).astype(str) if is_category else rows
    return pd.DataFrame({"x": column})


if __name__ == "__main__":
    answer_jobs(judge)
