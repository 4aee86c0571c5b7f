"""Whole batches are compared as a reader would compare them row by row."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from server.release.evidence import Kind
from server.release.shadow_rules import NO_RULES, OutputRule, Scores, ShadowRules, Tolerance
from server.shadow.comparison import KINDS, UNDECIDED_MARGIN, compare
from server.tensors import fp32_to_bf16
from server.wire.record import NamedTensor


def output(values: Any, datatype: str = "FP32", name: str = "y") -> NamedTensor:
    """Return an output, one row for each item of `values`."""
    if datatype == "BF16":
        return NamedTensor(name, datatype, fp32_to_bf16(np.array(values, np.float32)))
    dtypes = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "INT64": np.int64}
    kind: Any = dtypes.get(datatype, object if datatype == "BYTES" else bool)
    return NamedTensor(name, datatype, np.array(values, kind))


def kind_of(
    live: Any, candidate: Any, datatype: str = "FP32", rule: OutputRule | None = None
) -> Kind:
    """Return the kind of one row of one output."""
    rules = ShadowRules({"y": rule}) if rule else NO_RULES
    codes = compare([output([live], datatype)], [output([candidate], datatype)], rules, 1)
    return KINDS[int(codes[0])]


@pytest.mark.parametrize(
    ("live", "candidate", "kind"),
    [
        ([1.0], [1.0], Kind.SAME),
        ([1.0], [1.0005], Kind.WITHIN_TOLERANCE),
        ([1.0], [1.01], Kind.OUT_OF_TOLERANCE),
        ([0.0], [9e-6], Kind.WITHIN_TOLERANCE),
        ([1.0], [math.nan], Kind.NAN),
        ([1.0], [math.inf], Kind.NAN),
        ([math.nan], [math.nan], Kind.SAME),
        ([math.inf], [math.inf], Kind.SAME),
        ([math.inf], [-math.inf], Kind.OUT_OF_TOLERANCE),
        ([math.inf], [1.0], Kind.OUT_OF_TOLERANCE),
        ([math.nan], [1.0], Kind.OUT_OF_TOLERANCE),
        ([0.7, 0.3], [0.7, 0.3], Kind.SAME),
        ([0.7, 0.3], [0.6, 0.4], Kind.OUT_OF_TOLERANCE),
        ([0.7, 0.3], [0.4, 0.6], Kind.LABEL_FLIP),
        ([0.50002, 0.49998], [0.4, 0.6], Kind.NEAR_BOUNDARY),
        ([0.6, 0.3, 0.1], [0.6, 0.1, 0.3], Kind.RANK_FLIP),
        ([0.9, 1e-9, 2e-9], [0.9, 2e-9, 1e-9], Kind.WITHIN_TOLERANCE),
        ([0.9, math.nan], [0.1, math.nan], Kind.OUT_OF_TOLERANCE),
        ([0.9, 0.1], [math.nan, 0.9], Kind.NAN),
    ],
)
def test_a_row_of_floats_has_the_worst_kind_that_applies(
    live: list[float], candidate: list[float], kind: Kind
) -> None:
    """Equality, tolerance, order and label, and what is not a number, on examples."""
    assert kind_of(live, candidate) is kind


@pytest.mark.parametrize(
    ("datatype", "live", "candidate", "kind"),
    [
        ("INT64", 3, 3, Kind.SAME),
        ("INT64", 3, 4, Kind.LABEL_FLIP),
        ("INT64", [3, 4], [3, 5], Kind.LABEL_FLIP),
        ("BYTES", "yes", "yes", Kind.SAME),
        ("BYTES", "yes", "no", Kind.LABEL_FLIP),
        ("BOOL", True, False, Kind.LABEL_FLIP),
        ("FP16", [1.0], [1.003], Kind.WITHIN_TOLERANCE),
        ("FP16", [1.0], [1.05], Kind.OUT_OF_TOLERANCE),
        ("BF16", [1.0], [1.02], Kind.WITHIN_TOLERANCE),
        ("BF16", [1.0], [1.5], Kind.OUT_OF_TOLERANCE),
    ],
)
def test_the_datatype_tells_labels_from_scores(
    datatype: str, live: Any, candidate: Any, kind: Kind
) -> None:
    """Whole numbers, text and booleans are labels; coarse floats have a wider tolerance."""
    assert kind_of(live, candidate, datatype) is kind


@pytest.mark.parametrize(
    ("rule", "live", "candidate", "kind"),
    [
        (OutputRule(rtol=0.1), [1.0], [1.05], Kind.WITHIN_TOLERANCE),
        (OutputRule(atol=0.5, rtol=0.0), [1.0], [1.4], Kind.WITHIN_TOLERANCE),
        (OutputRule(scores=Scores.VALUES), [0.7, 0.3], [0.4, 0.6], Kind.OUT_OF_TOLERANCE),
        (OutputRule(threshold=0.5), [0.6], [0.4], Kind.LABEL_FLIP),
        (OutputRule(threshold=0.5), [0.50001], [0.4], Kind.NEAR_BOUNDARY),
        (OutputRule(threshold=0.5), [0.9], [0.6], Kind.OUT_OF_TOLERANCE),
        (OutputRule(is_ignored=True), [0.9], [math.nan], Kind.SAME),
    ],
)
def test_a_rule_changes_how_its_output_is_compared(
    rule: OutputRule, live: list[float], candidate: list[float], kind: Kind
) -> None:
    """Tolerances, what a row's values are, where a label begins, and what is passed over."""
    assert kind_of(live, candidate, rule=rule) is kind


def test_another_shape_or_datatype_spoils_every_row() -> None:
    """What cannot be compared is told so, whatever other outputs say; extra outputs are fine."""
    live = [output([[1.0], [2.0]]), output([1, 2], "INT64", "label")]
    others = (
        [live[1]],
        [output([[1.0, 0.0], [2.0, 0.0]]), live[1]],
        [output([[1.0], [2.0]], "FP64"), live[1]],
        [output([[1.0]]), live[1]],
    )

    for other in others:
        assert {KINDS[code] for code in compare(live, other, NO_RULES, 2)} == {Kind.SHAPE}
    more = [*live, output([[0.0], [0.0]], name="more")]
    assert {KINDS[code] for code in compare(live, more, NO_RULES, 2)} == {Kind.SAME}


def test_a_label_beside_undecided_scores_is_near_the_boundary_too() -> None:
    """A classifier answers with label and probabilities; both flip together, for one reason."""
    live = [
        output([0, 0], "INT64", "label"),
        output([[0.50001, 0.49999], [0.9, 0.1]], name="probabilities"),
    ]
    candidate = [
        output([1, 1], "INT64", "label"),
        output([[0.49, 0.51], [0.4, 0.6]], name="probabilities"),
    ]

    kinds = [KINDS[code] for code in compare(live, candidate, NO_RULES, 2)]
    assert kinds == [Kind.NEAR_BOUNDARY, Kind.LABEL_FLIP]


def test_no_rows_have_no_kinds() -> None:
    """An empty batch, and rows of no values, do no harm."""
    assert compare([output(np.empty((0, 2)))], [output(np.empty((0, 2)))], NO_RULES, 0).size == 0
    empty = [output(np.empty((2, 0))), output(np.empty((2, 0)), "INT64", "label")]
    assert compare(empty, empty, NO_RULES, 2).tolist() == [0, 0]


USUAL = Tolerance()
scores = st.sampled_from([0.0, 0.1, 0.1 + 4e-5, 0.5, 0.50004, 0.9, math.nan, math.inf, -math.inf])


def naive_value(live: float, candidate: float) -> Kind:
    """Return how two numbers agree."""
    if live == candidate or (math.isnan(live) and math.isnan(candidate)):
        return Kind.SAME
    if math.isfinite(live) and not math.isfinite(candidate):
        return Kind.NAN
    if math.isfinite(live) and abs(candidate - live) <= USUAL.atol + USUAL.rtol * abs(live):
        return Kind.WITHIN_TOLERANCE
    return Kind.OUT_OF_TOLERANCE


def naive(live: list[float], candidate: list[float], label: int, other: int) -> Kind:
    """Return the kind of one row of scores and a label, one value after the other."""
    kind = max(map(naive_value, live, candidate), key=KINDS.index)
    flips = label != other
    undecided = False
    if not any(map(math.isnan, [*live, *candidate])):
        order, other_order = (
            sorted(range(len(row)), key=lambda at: -row[at]) for row in (live, candidate)
        )
        undecided = live[order[0]] - live[order[1]] < UNDECIDED_MARGIN
        flips = flips or order[0] != other_order[0]
        if order[:3] != other_order[:3] and kind is Kind.OUT_OF_TOLERANCE:
            kind = Kind.RANK_FLIP
    flip = Kind.NEAR_BOUNDARY if undecided else Kind.LABEL_FLIP
    return max(kind, flip if flips else kind, key=KINDS.index)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(2, 5))
def test_a_batch_is_compared_as_its_rows_would_be(
    data: st.DataObject, rows: int, width: int
) -> None:
    """For all scores and labels: the arrays say what a loop over rows and values says."""
    live, candidate = (
        data.draw(arrays(np.float64, (rows, width), elements=scores)) for _ in range(2)
    )
    labels, others = (
        data.draw(arrays(np.int64, rows, elements=st.integers(0, 1))) for _ in range(2)
    )
    codes = compare(
        [output(live, "FP64"), output(labels, "INT64", "label")],
        [output(candidate, "FP64"), output(others, "INT64", "label")],
        NO_RULES,
        rows,
    )

    expected = [
        naive(*row) for row in zip(live.tolist(), candidate.tolist(), labels, others, strict=True)
    ]
    assert [KINDS[code] for code in codes] == expected
