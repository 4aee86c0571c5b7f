"""From rows that were compared to counts: which row stands for a request, and in which segments.

Decides that a request counts once, by one of its rows drawn at random: rows of a request resemble
each other, and would make chance look like proof. Pure; the generator of random numbers is given.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.release.shadow_rules import OTHER, Segment
from server.shadow.comparison import KINDS, Codes
from server.tensors import Array
from server.wire.record import NamedTensor

Rows = NDArray[np.int64]


def drawn_rows(
    request_rows: NDArray[np.integer], counts: NDArray[np.bool_], generator: np.random.Generator
) -> Rows:
    """Return one row of each request, in order.

    `request_rows` has the rows of each request, which lie behind each other; a request of none, or
    for which `counts` is False, has none drawn.
    """
    first = np.cumsum(request_rows) - request_rows
    chosen = counts & (request_rows > 0)
    return np.asarray(first[chosen] + generator.integers(0, request_rows[chosen]), np.int64)


def kind_counts(kinds: Codes) -> Counter[str]:
    """Count rows by kind."""
    numbers = np.bincount(kinds, minlength=len(KINDS)).tolist()
    return Counter(
        {kind.value: number for kind, number in zip(KINDS, numbers, strict=True) if number}
    )


def segment_counts(
    segments: Sequence[Segment], inputs: Sequence[NamedTensor], rows: Rows, kinds: Codes
) -> dict[str, Counter[str]]:
    """Count `rows` by kind for each "feature=value" of the segments that occurs.

    `kinds` are those of `rows`, in the same order.
    """
    arrays = {tensor.name: tensor.array for tensor in inputs}
    found: dict[str, Counter[str]] = {}
    for segment in segments:
        places = _value_places(segment, arrays[segment.tensor], rows)
        for place in np.unique(places).tolist():
            value = segment.values[place] if place < len(segment.values) else OTHER
            found[f"{segment.feature}={value}"] = kind_counts(kinds[places == place])
    return found


def _value_places(segment: Segment, array: Array, rows: Rows) -> NDArray[np.int64]:
    """Return which of a segment's values each row has; their number for any other."""
    column = array.reshape(len(array), -1)[rows, segment.place]
    places = np.full(len(rows), len(segment.values), np.int64)
    for place, value in enumerate(segment.values):
        places[np.asarray(column == value, bool)] = place
    return places
