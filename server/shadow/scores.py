"""One score a row, and how many rows had which: what two versions' answers look like as a whole.

Decides which number of a row is its score: the positive one of two classes, the largest of more,
the value itself of an output with one. Scores are counted in equal bins between two edges that hold
for a whole epoch: 0 and 1 for probabilities, else as the first rows tell. Pure.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.release.evidence import DIFFERENCE_BOUNDS, SCORE_BINS
from server.release.shadow_rules import OutputRule, ShadowRules
from server.shadow.comparison import flat_floats, is_classes
from server.tensors import DATATYPES
from server.wire.record import NamedTensor

Scores = NDArray[np.float64]

_NO_RULE = OutputRule()
_LARGEST = 1e100
"""Difference that is added up at most: a sum must stay a number."""
_ROOM = 0.5
"""How far the edges lie beyond the first rows, as a share of their range."""


def scores_of(outputs: Sequence[NamedTensor], rules: ShadowRules) -> Scores | None:
    """Return the score of each row, shape (rows,), of the first output that has one; or None."""
    for output in outputs:
        rule = rules.outputs.get(output.name, _NO_RULE)
        if rule.is_ignored or not DATATYPES[output.datatype].is_float or not output.array.ndim:
            continue
        floats = flat_floats(output)
        if floats.shape[1] == 1:
            return floats[:, 0]
        if is_classes(output, rule):
            return floats[:, 1] if floats.shape[1] == 2 else floats.max(axis=1)
    return None


def range_of(scores: Scores) -> tuple[float, float] | None:
    """Return the edges between which to count scores like these; None if none is a number."""
    known = scores[np.isfinite(scores)]
    if not len(known):
        return None
    low, high = float(known.min()), float(known.max())
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    room = _ROOM * (high - low) or max(1.0, abs(low))
    return low - room, high + room


def counts_of(scores: Scores, low: float, high: float) -> list[int]:
    """Count scores in SCORE_BINS equal bins; what lies outside is in the first or last one.

    NaN is in none.
    """
    known = scores[~np.isnan(scores)]
    with np.errstate(all="ignore"):
        places = np.clip((known - low) / (high - low) * SCORE_BINS, 0, SCORE_BINS - 1)
    return [int(count) for count in np.bincount(places.astype(np.intp), minlength=SCORE_BINS)]


def differences_of(live: Scores, candidate: Scores) -> tuple[list[int], float]:
    """Count pairs by how far apart their scores are, and add that up.

    Bins are those between DIFFERENCE_BOUNDS. A pair of which either is no finite number is in none.
    """
    with np.errstate(all="ignore"):
        apart = np.abs(candidate - live)
    known = apart[np.isfinite(apart)]
    places = np.searchsorted(DIFFERENCE_BOUNDS, known, side="left")
    counts = np.bincount(places, minlength=len(DIFFERENCE_BOUNDS) + 1)
    return [int(count) for count in counts], float(np.minimum(known, _LARGEST).sum())
