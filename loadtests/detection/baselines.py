"""The usual measures of drift on all rows, exactly: what the peers are made of.

Larger is further away. Each is given a reference, sorted once, and windows; none knows a threshold.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadtests.detection.changes import Kind, Values

Measure = Callable[[Values], float]
Counts = NDArray[np.float64]

PSI_BINS = 10
PSI_ADDED_ROWS = 0.5


def measures(reference: Values, kind: Kind) -> dict[str, Measure]:
    """Return the measures for a column by their names, each a function of a window's rows."""
    if kind is Kind.CATEGORY:
        known = np.unique(reference)

        def share(rows: Values) -> Counts:
            return _count_categories(known, rows)

        before = share(reference)
        return {
            "chi2": lambda window: chi_square(before, share(window)),
            "PSI": lambda window: psi(before, share(window)),
            "L-inf": lambda window: l_infinity(before, share(window)),
        }
    ordered = np.sort(reference)
    edges = np.unique(np.quantile(ordered, np.arange(1, PSI_BINS) / PSI_BINS))
    cumulated = np.concatenate([[0.0], np.cumsum(ordered)])
    before = _count_bins(edges, reference)
    return {
        "KS": lambda window: kolmogorov(ordered, window),
        "Wasserstein": lambda window: wasserstein(ordered, cumulated, window),
        "PSI": lambda window: psi(before, _count_bins(edges, window)),
    }


def kolmogorov(ordered: Values, window: Values) -> float:
    """Return the distance of Kolmogorov and Smirnov from sorted reference rows, ties included."""
    points, counts = np.unique(window, return_counts=True)
    upto = np.cumsum(counts) / len(window)
    under = upto - counts / len(window)
    reference_upto = ordered.searchsorted(points, side="right") / len(ordered)
    reference_under = ordered.searchsorted(points, side="left") / len(ordered)
    gaps = np.abs(upto - reference_upto), np.abs(under - reference_under)
    return float(max(gaps[0].max(), gaps[1].max()))


def wasserstein(ordered: Values, cumulated: Values, window: Values) -> float:
    """Return the first Wasserstein distance from sorted reference rows.

    It is the integral over shares u of |F^-1(u) - G^-1(u)|. Each row of the window stands for an
    equal piece of the shares, in which the reference crosses its value at most once; `cumulated`
    are the sums of the reference's first rows, so a piece costs two look-ups.
    """
    values = np.sort(window)
    rows, total = len(ordered), len(values)

    def integral(share: Values) -> Values:
        """Return the integral of the reference's quantiles from 0 to each share."""
        at = share * rows
        whole = np.minimum(at.astype(np.int64), rows - 1)
        result: Values = (cumulated[whole] + (at - whole) * ordered[whole]) / rows
        return result

    ends = np.arange(total + 1) / total
    lower, upper = ends[:-1], ends[1:]
    crossing = np.clip(ordered.searchsorted(values) / rows, lower, upper)
    below = values * (crossing - lower) - (integral(crossing) - integral(lower))
    above = (integral(upper) - integral(crossing)) - values * (upper - crossing)
    return float(np.sum(below + above))


def psi(before: Counts, now: Counts) -> float:
    """Return the population stability index, half a row added to every bin."""
    expected = (before + PSI_ADDED_ROWS) / np.sum(before + PSI_ADDED_ROWS)
    actual = (now + PSI_ADDED_ROWS) / np.sum(now + PSI_ADDED_ROWS)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def chi_square(before: Counts, now: Counts) -> float:
    """Return Pearson's statistic of the table of both sides."""
    table = np.stack([before, now])
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(np.sum((table - expected) ** 2 / expected))


def l_infinity(before: Counts, now: Counts) -> float:
    """Return the largest difference of a share."""
    return float(np.max(np.abs(before / before.sum() - now / now.sum())))


def _count_bins(edges: Values, rows: Values) -> Counts:
    places = edges.searchsorted(rows, side="right")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.float64)


def _count_categories(known: Values, rows: Values) -> Counts:
    """Count categories, whatever is not known together."""
    places = known.searchsorted(rows)
    is_known = known[np.minimum(places, len(known) - 1)] == rows
    places = np.where(is_known, places, len(known))
    return np.bincount(places, minlength=len(known) + 1).astype(np.float64)
