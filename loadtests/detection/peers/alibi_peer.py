# mypy: disable-error-code="import-not-found,import-untyped"
"""alibi-detect's offline detectors for one feature: Kolmogorov-Smirnov, or chi-square, p < 0.05."""

import numpy as np
from alibi_detect.cd import ChiSquareDrift, KSDrift

from loadtests.detection.peers.answering import Values, answer_jobs


def judge(reference: Values, windows: Values, kind: str) -> tuple[list[float], list[bool]]:
    """Compare each window with the reference."""
    before = np.sort(reference)[:, np.newaxis]  # Their order says nothing, but takes time.
    detector = (ChiSquareDrift if kind == "category" else KSDrift)(before)
    scores, alerts = [], []
    for window in windows:
        found = detector.predict(window[:, np.newaxis])["data"]
        is_distance = kind != "category"  # A p of 0 would tie with other ones.
        scores.append(float(found["distance"][0] if is_distance else -found["p_val"][0]))
        alerts.append(bool(found["is_drift"]))
    return scores, alerts


if __name__ == "__main__":
    answer_jobs(judge)
