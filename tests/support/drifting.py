"""Generated columns of a feature, and their counts per bin made the plain way."""

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Counts = NDArray[np.int64]


def inner_edges(reference: Values, bins: int = 20) -> Values:
    """Return edges between distinct values if these are few, otherwise those of equal mass."""
    distinct = np.unique(reference)
    if len(distinct) <= bins:
        return (distinct[:-1] + distinct[1:]) / 2.0
    edges = np.unique(np.quantile(reference, np.arange(1, bins) / bins))
    below: Values = edges[edges < distinct[-1]]
    return below


def count(edges: Values, values: Values) -> Counts:
    """Count values of shape (..., rows) into (low, high] bins: int64 of shape (..., bins)."""
    bins = len(edges) + 1
    windows = values.reshape(-1, values.shape[-1])
    places = np.searchsorted(edges, windows) + bins * np.arange(len(windows))[:, np.newaxis]
    counts = np.bincount(places.ravel(), minlength=bins * len(windows))
    return counts.reshape(*values.shape[:-1], bins).astype(np.int64)


def autoregressive(rng: np.random.Generator, rho: float, streams: int, rows: int) -> Values:
    """Return standard normal streams of shape (streams, rows), each row like the one before."""
    values = rng.standard_normal((rows, streams))
    fresh = math.sqrt(1.0 - rho * rho)
    for row in range(1, rows):
        values[row] = rho * values[row - 1] + fresh * values[row]
    return values.T


def bimodal(rng: np.random.Generator, *shape: int) -> Values:
    """Return values of two peaks, with the mean and the deviation of a standard normal."""
    peaks = 0.9 * rng.choice([-1.0, 1.0], shape)
    return peaks + math.sqrt(1.0 - 0.81) * rng.standard_normal(shape)


def replaced(rng: np.random.Generator, clean: Values, drifted: Values, share: float) -> Values:
    """Return clean rows of which a share, on average, was replaced by drifted ones."""
    return np.where(rng.random(clean.shape) < share, drifted, clean)
