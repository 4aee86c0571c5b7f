"""How far apart two columns are, from their counts per bin: figures to show, not to decide by.

Knows neither edges nor features: `reference` and `live` are int64 counts of shape (bins,), over the
same bins, in order. What lies outside of the bins (missing, infinite, never seen) is not in them.

The same data give a PSI of 0.130 to 0.155 by six common conventions, so ours are stated here:

    psi                natural logarithm; half a row added to every bin of both sides, shares taken
                       of the enlarged totals (azureml and others divide by the original ones)
    jensen_shannon     the distance, that is the root of the divergence; base 2; in [0, 1]
    hellinger          in [0, 1]
    kolmogorov         largest difference of the cumulated shares at the upper ends of bins
    wasserstein        in the feature's unit, with each bin's rows at one representative value

Each of them grows with noise: without any drift PSI is (bins - 1)(1/m + 1/n) on average (Yurdakul
and Naranjo 2020, J. Risk Model Validation 14(3)), which is 0.09 for 10 bins and 100 rows. Show
`psi_floor` beside it, and decide by `combine.py`. Nothing was seen of an empty side, so nothing
is said to have moved: every distance from or to it is 0.
"""

import math

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""Rows per bin."""

Numbers = NDArray[np.float64]

PSI_ADDED_ROWS = 0.5
"""Added to each bin of both sides, so that an empty bin is not infinitely far away."""


def psi(reference: Counts, live: Counts) -> float:
    """Return the population stability index."""
    if not _can_compare(reference, live):
        return 0.0
    expected = _shares(reference.astype(np.float64) + PSI_ADDED_ROWS)
    actual = _shares(live.astype(np.float64) + PSI_ADDED_ROWS)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def psi_floor(bins: int, reference_rows: int, live_rows: int) -> float:
    """Return what PSI is on average when nothing has changed. A side without rows counts as one."""
    return max(0, bins - 1) * (1.0 / max(1, live_rows) + 1.0 / max(1, reference_rows))


def jensen_shannon(reference: Counts, live: Counts) -> float:
    """Return the Jensen-Shannon distance with logarithms of base 2."""
    if not _can_compare(reference, live):
        return 0.0
    expected, actual = _shares(reference), _shares(live)
    middle = (expected + actual) / 2.0
    divergence = (_relative_entropy(expected, middle) + _relative_entropy(actual, middle)) / 2.0
    return math.sqrt(min(1.0, max(0.0, divergence)))


def hellinger(reference: Counts, live: Counts) -> float:
    """Return the Hellinger distance."""
    if not _can_compare(reference, live):
        return 0.0
    gaps = np.sqrt(_shares(reference)) - np.sqrt(_shares(live))
    return math.sqrt(min(1.0, float(np.sum(gaps * gaps)) / 2.0))


def kolmogorov(reference: Counts, live: Counts) -> float:
    """Return the Kolmogorov-Smirnov distance. At most that of the rows themselves."""
    if not _can_compare(reference, live):
        return 0.0
    return float(np.max(np.abs(_cumulated_gaps(reference, live))))


def wasserstein(reference: Counts, live: Counts, representatives: Numbers) -> float:
    """Return the first Wasserstein distance, in the unit of `representatives`.

    `representatives` are finite float64 of shape (bins,), not decreasing: where the rows of each
    bin are taken to be. With one bin per distinct value it is the distance of the rows themselves.
    """
    if not _can_compare(reference, live):
        return 0.0
    gaps = np.abs(_cumulated_gaps(reference, live))[:-1]
    return float(np.sum(gaps * np.diff(representatives)))


def representatives(inner_edges: Numbers, low: float, high: float) -> Numbers:
    """Return the middles of bins, float64 of shape (bins,).

    `inner_edges` are the bins - 1 edges between bins; `low` and `high` are the ends of the
    reference. An end that is inside of the outermost edge, or not finite, gives way to the edge.
    """
    if len(inner_edges) == 0:
        ends = [end for end in (low, high) if math.isfinite(end)]
        return np.array([sum(end / len(ends) for end in ends)])
    edges = np.asarray(inner_edges, np.float64)
    first = min(low, edges[0]) if math.isfinite(low) else edges[0]
    last = max(high, edges[-1]) if math.isfinite(high) else edges[-1]
    bounds = np.concatenate(([first], edges, [last]))
    return bounds[:-1] / 2.0 + bounds[1:] / 2.0


def _can_compare(reference: Counts, live: Counts) -> bool:
    assert len(reference) == len(live), "both sides must be counted over the same bins"
    return bool(reference.sum() > 0 and live.sum() > 0)


def _shares(counts: Counts | Numbers) -> Numbers:
    shares: Numbers = counts / counts.sum()
    return shares


def _cumulated_gaps(reference: Counts, live: Counts) -> Numbers:
    gaps: Numbers = np.cumsum(live) / live.sum() - np.cumsum(reference) / reference.sum()
    return gaps


def _relative_entropy(shares: Numbers, middle: Numbers) -> float:
    """Return the Kullback-Leibler divergence in bits; an empty bin adds nothing."""
    there = shares > 0.0
    return float(np.sum(shares[there] * np.log2(shares[there] / middle[there])))
