"""Columns of values, as careless clients send them, and a count that is too simple to be wrong."""

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.statistics.bins import Bins, FloatType

Column = NDArray[np.float64]

odd = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e38, -1e39, 1.7e308])
tied = st.integers(-3, 3).map(float)
near = st.floats(-2, 2, width=32)
anything = st.floats(allow_nan=True, allow_infinity=True)

values = st.one_of(tied, near, odd, anything)
float_types: st.SearchStrategy[FloatType] = st.sampled_from(["float32", "float64"])


def columns(max_size: int = 60) -> st.SearchStrategy[Column]:
    """Columns of one kind of value, or of all kinds mixed; also empty ones."""
    kinds = (tied, near, values, st.integers(0, 40).map(float), st.just(np.nan), odd)
    return st.one_of([st.lists(kind, max_size=max_size) for kind in kinds]).map(
        lambda column: np.array(column, np.float64)
    )


def as_type(value: float, dtype: FloatType) -> float:
    """Return a number as the nearest one of a type."""
    with np.errstate(over="ignore"):
        return float(np.dtype(dtype).type(value))


def naive(bins: Bins, column: Any) -> Counter[object]:
    """Count a column value by value; a bin is named by its number."""
    counts: Counter[object] = Counter()
    for value in (as_type(value, bins.dtype) for value in np.ravel(column).tolist()):
        counts["rows"] += 1
        if value != value:
            counts["missing"] += 1
        elif abs(value) == np.inf:
            counts["positive" if value > 0 else "negative"] += 1
        else:
            counts[sum(edge <= value for edge in bins.edges)] += 1
            counts["below"] += value < bins.low
            counts["above"] += value > bins.high
    return counts
