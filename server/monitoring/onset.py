"""Since when a column has been different: the change point of a run of sub-windows.

Decides which of the last sub-windows is the first of the changed ones: the one from which on,
until now, the evidence against "nothing has changed" is largest (the maximum likelihood estimate of
a change point, Page 1955, Biometrika 42). For a distribution the evidence is the smooth test's
statistic or, for categories, Pearson's; for a rate it is the square of its standardised change.

Knows counts of sub-windows, oldest first; told their times.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.monitoring.drift import Judge
from server.monitoring.profile import NumberProfile
from server.monitoring.rate_plans import Rule
from server.statistics.window import Cell

Numbers = NDArray[np.float64]


def onset_seconds(judge: Judge, rule: Rule, place: int, cells: Sequence[Cell]) -> float | None:
    """Return the start of the first changed sub-window, None if they do not tell."""
    if not cells:
        return None
    counts = np.stack([cell.counts for cell in cells])
    if rule in (Rule.DRIFT, Rule.SCALE):
        evidence = _of_distribution(judge, place, counts)
    else:
        plans = [plan for plan in judge.plans(place) if plan.rule is rule]
        if not plans:
            return None
        evidence = np.max(
            [
                _of_rate(
                    counts[:, list(plan.count_at)].sum(axis=1),
                    counts[:, plan.rows_at] - counts[:, list(plan.not_rows_at)].sum(axis=1),
                    plan.reference_count,
                    plan.reference_rows,
                )
                for plan in plans
            ],
            axis=0,
        )
    return cells[int(evidence.argmax())].start if evidence.max() > 0.0 else None


def _until_now(values: NDArray[np.int64] | Numbers) -> Numbers:
    """Return the sums from each sub-window to the last one."""
    return np.cumsum(values[::-1], axis=0)[::-1].astype(np.float64)


def _of_distribution(judge: Judge, place: int, counts: NDArray[np.int64]) -> Numbers:
    where = judge.layout.slices[place]
    profile, basis = judge.profile.columns[place], judge.bases[place]
    if isinstance(profile, NumberProfile) and basis is not None:
        live = counts[:, where.start : where.start + len(basis.reference)]
        sums, of = _until_now(live @ basis.scores), _until_now(live.sum(axis=1))
        variance = 1.0 / np.maximum(of, 1.0) + 1.0 / max(1, basis.rows)
        means = sums / np.maximum(of, 1.0)[:, np.newaxis]
        evidence: Numbers = np.sum(means * means / basis.inflation, axis=1) / variance
        return np.where(of > 0.0, evidence, 0.0)
    known = _until_now(counts[:, where.start : where.stop - 3])
    reference = profile.counts.to_array()[:-3]
    rows, total = known.sum(axis=1), max(1, int(reference.sum()))
    before = (reference + 0.5) / (total + 0.5 * len(reference))
    now = known / np.maximum(rows, 1.0)[:, np.newaxis]
    spread = 1.0 / np.maximum(rows, 1.0) + 1.0 / total
    squares: Numbers = np.sum((now - before) ** 2 / before, axis=1) / spread
    return np.where(rows > 0.0, squares, 0.0)


def _of_rate(
    count: NDArray[np.int64], of: NDArray[np.int64], before: int, before_rows: int
) -> Numbers:
    live, rows = _until_now(count), np.maximum(_until_now(of), 1.0)
    usual = (before + 0.5) / (before_rows + 1.0)
    variance = usual * (1.0 - usual) * (1.0 / rows + 1.0 / max(1, before_rows))
    return (live / rows - usual) ** 2 / variance
