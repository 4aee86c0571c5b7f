"""How well a model does, estimated without labels from how often its scores came true before.

Decides estimates from counts alone. The reference tells how often each bin of the score came true;
the live counts of the same bins then give the confusion matrix that is to be expected, and from it
the figures that a report shows. It is the confidence-based performance estimation (CBPE) of
NannyML, of binned scores: as there, rates are made to rise with the score by isotonic regression,
because what goes down from one bin to the next is noise of the reference.

Assumption, to be shown wherever an estimate is: what a score means has not changed. When inputs
move, estimates move with the truth; when the relation of inputs to labels changes (concept drift),
they do not see it, whatever they say. Only labels do.

Does not know windows, alerts or where counts come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from server.monitoring.profile import ScoreProfile
from server.statistics.histogram import Counts
from server.statistics.tails import normal_two_sided

ASSUMPTION = "what a score means has not changed; concept drift is not seen without labels"

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Performance:
    """Expected figures of some rows. None where the rows do not determine one.

    Where the score is that of being right (more than two classes), only the accuracy is known.
    """

    rows: int
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    specificity: float | None = None
    f1: float | None = None
    roc_auc: float | None = None


@dataclass(frozen=True, slots=True)
class PerformanceChange:
    """The estimate for live rows beside that for the reference's, and what the difference means."""

    reference: Performance
    live: Performance
    p: float
    """Probability of so large a change of the accuracy when the scores have not moved."""
    covered: float
    """Share of the live rows whose bins have labels in the reference; others take their
    neighbours' rates."""

    @property
    def accuracy_change(self) -> float:
        """How much accuracy is won, or lost if below 0; 0 without rows."""
        if self.live.accuracy is None or self.reference.accuracy is None:
            return 0.0
        return self.live.accuracy - self.reference.accuracy


class Estimator:
    """What a reference says of each bin of its score. Holds no state."""

    def __init__(self, score: ScoreProfile) -> None:
        """Prepare for live counts of the score's own bins."""
        # A bin is two cells: its rows that are not answered positive, and those that are. If a
        # threshold cuts the bin, the latter have the higher scores.
        rows = np.stack([score.labelled - score.answered, score.answered], axis=1)
        true = np.stack([score.positives - score.hits, score.hits], axis=1)
        if score.positive is None:  # Then every answer counts as one, and is right or wrong.
            rows = np.stack([np.zeros_like(score.labelled), score.labelled], axis=1)
            true = np.stack([np.zeros_like(score.labelled), score.positives], axis=1)
        self._has_classes = score.positive is not None
        self._is_known = score.labelled > 0
        self._answered = _between_known(rows[:, 1], score.labelled)
        self._rate = _rising(rows.ravel(), true.ravel()).reshape(rows.shape)

    @property
    def right(self) -> Numbers:
        """Return the share of each bin's rows that is answered right, shape (bins,)."""
        return self._answered * self._rate[:, 1] + (1.0 - self._answered) * (1.0 - self._rate[:, 0])

    def estimate(self, live: Counts) -> Performance:
        """Estimate performance on live rows, counts of the score per bin, shape (bins,)."""
        rows = int(live.sum())
        if rows == 0 or not self._is_known.any():
            return Performance(rows)
        if not self._has_classes:
            return Performance(rows, accuracy=_ratio(float(live @ self.right), rows))
        cells = np.stack([live * (1.0 - self._answered), live * self._answered], axis=1)
        positives, negatives = cells * self._rate, cells * (1.0 - self._rate)
        miss, hit = positives.sum(axis=0).tolist()
        rest, false_alarm = negatives.sum(axis=0).tolist()
        return Performance(
            rows,
            accuracy=_ratio(hit + rest, rows),
            precision=_ratio(hit, hit + false_alarm),
            recall=_ratio(hit, hit + miss),
            specificity=_ratio(rest, rest + false_alarm),
            f1=_ratio(2.0 * hit, 2.0 * hit + false_alarm + miss),
            roc_auc=_area(positives.ravel(), negatives.ravel()),
        )

    def change(self, reference: Counts, live: Counts, inflation: float = 1.0) -> PerformanceChange:
        """Compare the estimate for live rows with that for the reference's rows of the same score.

        Both use the same rates, so the difference comes of the scores' distribution alone, and its
        variance is that of the difference of two means of what is right per bin. `inflation` says
        how much more such means vary than those of independent rows.
        """
        live_rows, reference_rows = int(live.sum()), int(reference.sum())
        covered = float(live[self._is_known].sum()) / live_rows if live_rows else 0.0
        p = 1.0
        if live_rows and reference_rows and self._is_known.any():
            right = self.right
            share = (live + reference) / (live_rows + reference_rows)
            variance = float(share @ (right - share @ right) ** 2) * inflation
            spread = sqrt(variance * (1.0 / live_rows + 1.0 / reference_rows))
            moved = float(live @ right) / live_rows - float(reference @ right) / reference_rows
            p = normal_two_sided(moved / spread) if spread > 0.0 else 1.0
        return PerformanceChange(self.estimate(reference), self.estimate(live), p, covered)


def _between_known(part: Counts, whole: Counts) -> Numbers:
    """Return part over whole, shape (bins,); bins without any lie between their neighbours."""
    known = np.flatnonzero(whole)
    if not len(known):
        return np.zeros(len(whole))
    return np.interp(np.arange(len(whole)), known, part[known] / whole[known])


def _rising(rows: Sequence[int] | Counts, true: Sequence[int] | Counts) -> Numbers:
    """Return shares that do not fall from cell to cell and are nearest to `true` over `rows`.

    Isotonic regression by pooling adjacent violators (Barlow et al. 1972); cells without rows join
    what is before them, or at the start what follows.
    """
    pools: list[list[float]] = []
    for count, hits in zip(rows, true, strict=True):
        pools.append([float(count), float(hits), 1])
        while len(pools) > 1 and pools[-2][1] * pools[-1][0] >= pools[-1][1] * pools[-2][0]:
            last = pools.pop()
            pools[-1] = [one + other for one, other in zip(pools[-1], last, strict=True)]
    shares = [hits / count if count else 0.0 for count, hits, _ in pools]
    return np.repeat(shares, [int(cells) for _, _, cells in pools])


def _area(positives: Numbers, negatives: Numbers) -> float | None:
    """Return the chance that a positive row has the higher score; rows of one cell are ties."""
    below = np.concatenate([[0.0], negatives.cumsum()[:-1]])
    won = float(positives @ (below + 0.5 * negatives))
    return _ratio(won, float(positives.sum()) * float(negatives.sum()))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0.0 else None
