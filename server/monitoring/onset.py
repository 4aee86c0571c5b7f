"""Since when a column has been different: the change point of a run of sub-windows.

Decides which of the last sub-windows is the first of the changed ones: the one from which on,
until now, the evidence against "nothing has changed" is largest (the maximum likelihood estimate of
a change point, Page 1955, Biometrika 42). For a distribution the evidence is the smooth test's
statistic or, for categories, Pearson's; for a rate it is the square of its standardised change.

If the reference has hours, every sub-window is held to its own: else the hour would be told.

Knows counts of sub-windows, oldest first; told their times.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.monitoring.drift import Judge
from server.monitoring.rate_plans import RatePlan, Rule
from server.monitoring.references import Reference
from server.statistics.window import Cell

Numbers = NDArray[np.float64]


def onset_seconds(judge: Judge, rule: Rule, place: int, cells: Sequence[Cell]) -> float | None:
    """Return the start of the first changed sub-window, None if they do not tell."""
    if not cells:
        return None
    counts = np.stack([cell.counts for cell in cells])
    reference = judge.references.of(counts.sum(axis=0))
    usual = judge.references.vectors(counts)
    if rule in (Rule.DRIFT, Rule.SCALE):
        where = judge.layout.slices[place]
        own = None if usual is None else usual[:, where]
        if judge.layout.columns[place].kind.is_number:
            evidence = _of_numbers(reference, place, counts[:, where], own)
        else:
            evidence = _of_words(reference, place, counts[:, where], own)
    else:
        plans = [plan for plan in reference.plans(place) if plan.rule is rule]
        if not plans:
            return None
        evidence = np.max([_of_rate(plan, counts, usual) for plan in plans], axis=0)
    return cells[int(evidence.argmax())].start if evidence.max() > 0.0 else None


def _until_now(values: NDArray[np.int64] | Numbers) -> Numbers:
    """Return the sums from each sub-window to the last one."""
    return np.cumsum(values[::-1], axis=0)[::-1].astype(np.float64)


def _of_numbers(
    reference: Reference, place: int, counts: NDArray[np.int64], usual: Numbers | None
) -> Numbers:
    basis = reference.basis(place)
    assert basis is not None, "a numeric column has a basis"
    bins = len(basis.reference)
    live = counts[:, :bins]
    scores, rows = live @ basis.scores, live.sum(axis=1)
    if usual is not None:  # Each sub-window against its own hour.
        scores = scores - rows[:, np.newaxis] * (_shares(usual[:, :bins]) @ basis.scores)
    sums, of = _until_now(scores), _until_now(rows)
    variance = 1.0 / np.maximum(of, 1.0) + 1.0 / max(1, basis.rows)
    means = sums / np.maximum(of, 1.0)[:, np.newaxis]
    evidence: Numbers = np.sum(means * means / basis.inflation, axis=1) / variance
    return np.where(of > 0.0, evidence, 0.0)


def _of_words(
    reference: Reference, place: int, counts: NDArray[np.int64], usual: Numbers | None
) -> Numbers:
    known = reference.column(place).counts.to_array()[:-3]
    total = max(1, int(known.sum()))
    before = (known + 0.5) / (total + 0.5 * len(known))
    live = counts[:, :-3]
    of = live.sum(axis=1)
    expected = before if usual is None else _shares(usual[:, :-3] + 0.5 / total)
    rows = _until_now(of)
    gaps = _until_now(live - of[:, np.newaxis] * expected) / np.maximum(rows, 1.0)[:, np.newaxis]
    spread = 1.0 / np.maximum(rows, 1.0) + 1.0 / total
    squares: Numbers = np.sum(gaps**2 / before, axis=1) / spread
    return np.where(rows > 0.0, squares, 0.0)


def _of_rate(plan: RatePlan, counts: NDArray[np.int64], usual: Numbers | None) -> Numbers:
    count, of = _counted(plan, counts)
    before = (plan.reference_count + 0.5) / (plan.reference_rows + 1.0)
    expected = before
    if usual is not None and plan.is_of_hours:
        marked, reference_rows = _counted(plan, usual)
        expected = (marked + 0.5) / (reference_rows + 1.0)
    rows = np.maximum(_until_now(of), 1.0)
    gaps = _until_now(count - of * expected) / rows
    variance = before * (1.0 - before) * (1.0 / rows + 1.0 / max(1, plan.reference_rows))
    return gaps**2 / variance


def _counted(plan: RatePlan, counts: Any) -> tuple[Any, Any]:
    """Return what a rate counts and of how many rows, shape (sub-windows,) each."""
    rows = counts[:, plan.rows_at] - counts[:, list(plan.not_rows_at)].sum(axis=1)
    return counts[:, list(plan.count_at)].sum(axis=1), rows


def _shares(counts: Numbers) -> Numbers:
    shares: Numbers = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    return shares
