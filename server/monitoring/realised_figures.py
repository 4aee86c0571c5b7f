"""Figures of realised performance, from counts of labelled rows.

Decides the formulas, as scikit-learn has them. What the rows do not determine is None: precision
without an answered positive, an area under the curve with one class only. AUC and calibration come
from the score's 200 bins, so scores of one bin are ties and their mean is the middle of the bin:
an AUC is off by at most half the share of pairs of both classes that fall into one bin.

Does not know versions, segments or times.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import Any

import numpy as np

from server.monitoring.realised import (
    DELAY_BOUNDS_SECONDS,
    NEGATIVE,
    POSITIVE,
    SCORE_BINS,
    TOP,
    LabelCounts,
    Task,
)
from server.statistics.exact_sum import ExactSum

FIGURES: Mapping[Task, tuple[str, ...]] = {
    Task.BINARY: (
        "accuracy",
        "precision",
        "recall",
        "specificity",
        "f1",
        "roc_auc",
        "log_loss",
        "brier",
        "calibration_error",
        "positive_rate",
    ),
    Task.MULTICLASS: ("accuracy", "macro_f1", "top_5_accuracy", "log_loss"),
    Task.REGRESSION: ("mean_error", "mae", "rmse", "r2"),
}
"""Names of all figures, by task."""

Figures = dict[str, float | None]


def figures(counts: LabelCounts, task: Task) -> Figures:
    """Return the figures of a task by name."""
    if task is Task.BINARY:
        return _binary(counts)
    return _multiclass(counts) if task is Task.MULTICLASS else _regression(counts)


def _binary(counts: LabelCounts) -> Figures:
    hits, rest = counts.hits[POSITIVE], counts.hits[NEGATIVE]
    positives, negatives = counts.labelled[POSITIVE], counts.labelled[NEGATIVE]
    answered = counts.answered[POSITIVE]
    return {
        "accuracy": _ratio(counts.right, counts.rows),
        "precision": _ratio(hits, answered),
        "recall": _ratio(hits, positives),
        "specificity": _ratio(rest, negatives),
        "f1": _ratio(2 * hits, answered + positives),
        "roc_auc": _area(counts),
        "log_loss": _ratio(counts.total("log_loss"), counts.scored),
        "brier": _ratio(counts.total("brier"), counts.scored),
        "calibration_error": _calibration_error(counts),
        "positive_rate": _ratio(positives, counts.rows),
    }


def _multiclass(counts: LabelCounts) -> Figures:
    classes = counts.labelled.keys() | counts.answered.keys()
    f1 = [
        2 * counts.hits[one] / (counts.labelled[one] + counts.answered[one])
        for one in sorted(classes)
        if one
    ]
    return {
        "accuracy": _ratio(counts.right, counts.rows),
        "macro_f1": _ratio(sum(f1), len(f1)),
        "top_5_accuracy": _ratio(counts.top, counts.scored) if len(f1) > TOP else None,
        "log_loss": _ratio(counts.total("log_loss"), counts.scored),
    }


def _regression(counts: LabelCounts) -> Figures:
    rows = counts.rows - counts.unanswered
    squared = counts.total("squared_error")
    mean_squared = _ratio(squared, rows)
    spread = _spread(counts, rows)
    return {
        "mean_error": _ratio(counts.total("error"), rows),
        "mae": _ratio(counts.total("absolute_error"), rows),
        "rmse": None if mean_squared is None else sqrt(mean_squared),
        "r2": 1.0 - squared / spread if spread > 0.0 else None,
    }


def _spread(counts: LabelCounts, rows: int) -> float:
    """Return the squared deviations of the labels from their mean, summed.

    In whole fractions: far from 0, the difference of two floats would be mostly rounding.
    """
    if not rows:
        return 0.0
    total, squared = (
        sum(map(Fraction, counts.sums.get(name, ExactSum()).parts), Fraction(0))
        for name in ("label", "squared_label")
    )
    return float(squared - total * total / rows)


def _area(counts: LabelCounts) -> float | None:
    """Return the chance that a positive row has the higher score; rows of one bin are ties."""
    below = np.concatenate([[0], counts.negatives.cumsum()[:-1]])
    won = float(counts.positives @ (below + 0.5 * counts.negatives))
    return _ratio(won, float(counts.positives.sum()) * float(counts.negatives.sum()))


def _calibration_error(counts: LabelCounts) -> float | None:
    """Return how far ten tenths of the score are from what came true, on average over rows."""
    off = [
        abs(point["score"] - point["positive_rate"]) * point["rows"]
        for point in calibration(counts)
    ]
    return _ratio(sum(off), int(counts.positives.sum() + counts.negatives.sum()))


def calibration(counts: LabelCounts) -> list[dict[str, Any]]:
    """Return mean score and share of positive rows of each tenth of the score that has rows."""
    middles = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS
    points = []
    for tenth in range(10):
        part = slice(tenth * SCORE_BINS // 10, (tenth + 1) * SCORE_BINS // 10)
        rows_of_bins = counts.positives[part] + counts.negatives[part]
        rows = int(rows_of_bins.sum())
        if rows:
            points.append(
                {
                    "score": float(rows_of_bins @ middles[part]) / rows,
                    "positive_rate": int(counts.positives[part].sum()) / rows,
                    "rows": rows,
                }
            )
    return points


def delay_seconds(counts: LabelCounts, share: float) -> float | None:
    """Return the time within which a share of the labels came: the upper bound of its bin.

    None without labels, and where it lies beyond the last bound.
    """
    needed, seen = share * counts.delays.total(), 0
    for place, bound in enumerate(DELAY_BOUNDS_SECONDS):
        seen += counts.delays[place]
        if seen and seen >= needed:
            return float(bound)
    return None


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """Rows that a live version and a candidate both answered, by who was right."""

    both: int = 0
    live_only: int = 0
    candidate_only: int = 0
    neither: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.both + self.live_only + self.candidate_only + self.neither

    def plus(self, other: "PairedCounts") -> "PairedCounts":
        """Return the counts of both."""
        return PairedCounts(
            self.both + other.both,
            self.live_only + other.live_only,
            self.candidate_only + other.candidate_only,
            self.neither + other.neither,
        )


def paired(rights: Iterable[tuple[bool, bool]]) -> PairedCounts:
    """Count rows that both answered: whether the live version was right, and the candidate.

    Each row once, by the first label that came for it: one that is corrected later must not move
    what a sequential test has already seen.
    """
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for live, candidate in rights:
        counts[live, candidate] += 1
    return PairedCounts(*counts.values())


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
