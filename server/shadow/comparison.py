"""Whether a candidate answered a batch's rows as the live version did, and if not, how not.

Decides the kind of each row, whole batches at once. Of what an output is, its datatype and shape
tell, where no rule does: whole numbers, text and booleans are labels; a row of two or more floats
is a score for each class; any other floats are values.

* A label that differs is a flip.
* Floats agree within a tolerance, because kernels round differently for other batch sizes; that of
  half precision is wider, as its numbers are further apart.
* Of class scores, it matters which is the largest (a flip), and where scores do not agree, in which
  order the best ones follow each other.
* A flip of a row about which the live version itself was all but undecided is told apart: its next
  training run would have flipped it too. That goes for labels beside such scores as well.

Of all outputs, the worst kind counts. Does not know where rows come from. Pure.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.release.evidence import Kind
from server.release.shadow_rules import OutputRule, Scores, ShadowRules, Tolerance, tolerance_of
from server.tensors import DATATYPES, Array, bf16_to_fp32
from server.wire.record import NamedTensor

KINDS = tuple(Kind)
"""By code: a higher one is worse."""

CODES = {kind: code for code, kind in enumerate(KINDS)}

UNDECIDED_MARGIN = 1e-4
"""Lead of the best score below which the live version counts as undecided."""

RANKED = 3
"""Classes from the best down whose order is compared."""

_NO_RULE = OutputRule()

Codes = NDArray[np.int8]


def compare(
    live: Sequence[NamedTensor], candidate: Sequence[NamedTensor], rules: ShadowRules, rows: int
) -> Codes:
    """Return the kind of each row as its position in KINDS, shape (rows,).

    Every output of `live` has `rows` as its first dimension. What only the candidate has is passed
    over; what it lacks, or has in another shape, is of kind SHAPE in every row.
    """
    others = {output.name: output for output in candidate}
    kinds = np.zeros(rows, np.int8)
    flips = np.zeros(rows, bool)
    is_undecided = np.zeros(rows, bool)
    for output in live:
        rule = rules.outputs.get(output.name, _NO_RULE)
        if rule.is_ignored:
            continue
        other = others.get(output.name)
        if other is None or not _is_alike(output, other, rows):
            kinds[:] = CODES[Kind.SHAPE]
            break
        if DATATYPES[output.datatype].is_float:
            tolerance = tolerance_of(rules, output.name, output.datatype)
            found, output_flips, undecided = _compare_floats(output, other, rule, tolerance)
            kinds = np.maximum(kinds, found)
            flips |= output_flips
            is_undecided |= undecided
        else:
            flips |= _labels_differ(output.array, other.array, rows)
    flip_kinds = np.where(is_undecided, CODES[Kind.NEAR_BOUNDARY], CODES[Kind.LABEL_FLIP])
    return np.maximum(kinds, np.where(flips, flip_kinds, 0)).astype(np.int8)


def is_classes(output: NamedTensor, rule: OutputRule) -> bool:
    """Say whether the rows of an output of floats are a score for each class."""
    has_classes = output.array.ndim == 2 and output.array.shape[1] >= 2
    return has_classes and rule.scores is not Scores.VALUES


def flat_floats(output: NamedTensor) -> NDArray[np.float64]:
    """Return an output of floats as rows of values, shape (rows, items)."""
    array = output.array
    wide = bf16_to_fp32(array) if output.datatype == "BF16" else array
    return wide.reshape(len(array), math.prod(array.shape[1:])).astype(np.float64)


def _is_alike(ours: NamedTensor, theirs: NamedTensor, rows: int) -> bool:
    return (
        ours.datatype == theirs.datatype
        and ours.array.shape == theirs.array.shape
        and ours.array.shape[:1] == (rows,)
    )


def _labels_differ(ours: Array, theirs: Array, rows: int) -> NDArray[np.bool_]:
    differs = np.asarray(ours != theirs, bool)
    return np.asarray(differs.reshape(rows, math.prod(differs.shape[1:])).any(axis=1))


def _agreement(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], tolerance: Tolerance
) -> Codes:
    """Return how well floats agree, row by row; of ranks and labels it knows nothing."""
    rtol, atol = tolerance.rtol, tolerance.atol
    with np.errstate(all="ignore"):  # Infinities and NaN are what is looked for.
        is_same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        is_close = is_same | (np.abs(theirs - ours) <= atol + rtol * np.abs(ours))
    is_lost = np.isfinite(ours) & ~np.isfinite(theirs)
    # A tolerance of an infinite live value is infinite, and would take any number.
    is_close &= is_same | np.isfinite(ours)
    kinds = np.where(is_close.all(axis=1), CODES[Kind.WITHIN_TOLERANCE], 0)
    kinds = np.where(~is_close.all(axis=1), CODES[Kind.OUT_OF_TOLERANCE], kinds)
    kinds = np.where(is_same.all(axis=1), CODES[Kind.SAME], kinds)
    return np.where(is_lost.any(axis=1), CODES[Kind.NAN], kinds).astype(np.int8)


def _compare_floats(
    output: NamedTensor, other: NamedTensor, rule: OutputRule, tolerance: Tolerance
) -> tuple[Codes, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return kinds without flips, where labels from scores differ, and where live is undecided.

    A row with NaN has no label.
    """
    ours, theirs = flat_floats(output), flat_floats(other)
    kinds = _agreement(ours, theirs, tolerance)
    flips = undecided = np.zeros(len(ours), bool)
    is_judged = ~(np.isnan(ours).any(axis=1) | np.isnan(theirs).any(axis=1))
    if rule.threshold is not None and ours.shape[1] == 1:
        flips = (ours[:, 0] >= rule.threshold) != (theirs[:, 0] >= rule.threshold)
        undecided = np.abs(ours[:, 0] - rule.threshold) < UNDECIDED_MARGIN
    elif is_classes(output, rule):
        flips = ours.argmax(axis=1) != theirs.argmax(axis=1)
        with np.errstate(all="ignore"):
            second, first = np.partition(ours, -2, axis=1)[:, -2:].T
            undecided = first - second < UNDECIDED_MARGIN
        where = np.flatnonzero(is_judged & (kinds == CODES[Kind.OUT_OF_TOLERANCE]))
        kinds[where[_orders_differ(ours[where], theirs[where])]] = CODES[Kind.RANK_FLIP]
    return kinds, flips & is_judged, undecided & is_judged


def _orders_differ(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say in which rows the best classes follow each other in another order; ties by position."""
    best, others = (
        np.argsort(-scores, axis=1, kind="stable")[:, :RANKED] for scores in (ours, theirs)
    )
    return np.asarray((best != others).any(axis=1))
