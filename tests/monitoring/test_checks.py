"""Which values break a data check, and what is said of them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.checks import MAX_TOLD, Broken, Check, Findings, Guard, Policy, problem
from server.tensors import Data, Signature, fp32_to_bf16
from tests.support.contracts import spec

NAN, INF = math.nan, math.inf


def check(place: int = 0, policy: Policy = Policy.WARN, **rules: Any) -> Check:
    """Return a check of a place of tensor `x`, named by its number."""
    return Check(f"f{place}", "x", place, policy, **rules)


def look(checks: list[Check], rows: list[list[Any]], datatype: str = "FP32") -> Findings | None:
    """Look at rows of one tensor."""
    width = len(rows[0])
    tensor = spec(datatype, -1, width)
    if datatype == "BYTES":
        data: Data = [text for row in rows for text in row]
    elif datatype == "BF16":
        data = fp32_to_bf16(np.array(rows, np.float32)).tobytes()
    else:
        data = np.array(rows, tensor.datatype.numpy).tobytes()
    return Guard(checks, Signature((tensor,), ())).look([data], [(len(rows), width)])


def test_good_values_find_nothing() -> None:
    """The bounds themselves, and anything at a place without a check, are good."""
    assert look([check(0, minimum=0, maximum=1)], [[0, 5], [1, NAN]]) is None


@pytest.mark.parametrize(
    ("rules", "value", "words"),
    [
        ({"minimum": 0, "maximum": 1}, 1.5, "feature 'f0' is 1.5 in row 1, expected 0 to 1"),
        ({"minimum": 0}, -2, "feature 'f0' is -2 in row 1, expected at least 0"),
        ({"maximum": 1.25}, 1.5, "feature 'f0' is 1.5 in row 1, expected at most 1.25"),
        ({"maximum": 1e9}, INF, "feature 'f0' is inf in row 1, expected at most 1e+09"),
        ({"minimum": 0}, INF, "feature 'f0' is inf in row 1, expected at least 0"),
        ({"minimum": 0}, -INF, "feature 'f0' is -inf in row 1, expected at least 0"),
        ({"nullable": False}, NAN, "feature 'f0' is missing in row 1"),
        ({"categories": (1, 2)}, 3, "feature 'f0' is 3 in row 1, expected one of 1, 2"),
        (
            {"categories": tuple(range(11))},
            -1,
            "feature 'f0' is -1 in row 1, expected one of 0, 1, 2, 3, 4, 5, 6, 7 and 3 more",
        ),
    ],
)
def test_a_broken_check_is_told_in_words(rules: dict[str, Any], value: float, words: str) -> None:
    """The words name the feature, the row, what came and what was expected."""
    findings = look([check(**rules)], [[1], [value]])

    assert findings is not None
    assert findings.warnings == [words]
    assert findings.refusals == []


@pytest.mark.parametrize("value", [NAN, INF])
def test_what_no_rule_speaks_of_is_let_through(value: float) -> None:
    """Missing is good where values may be missing, and infinity where there is no range."""
    assert look([check(categories=None)], [[value]]) is None
    if math.isnan(value):
        assert look([check(minimum=0, maximum=1, categories=(0, 1))], [[value]]) is None


@pytest.mark.parametrize(
    ("datatype", "good", "bad", "rules"),
    [
        ("INT64", 2**53, 2**53 + 2, {"maximum": 2**53}),
        ("UINT8", 3, 200, {"maximum": 100}),
        ("BOOL", True, False, {"categories": (1,)}),
        ("FP16", 1.0, 2.0, {"maximum": 1.5}),
        ("BF16", 1.0, 2.0, {"maximum": 1.5}),
        ("FP64", 0.1, 0.2, {"maximum": 0.1}),
    ],
)
def test_every_type_of_number_is_looked_at(
    datatype: str, good: Any, bad: Any, rules: dict[str, Any]
) -> None:
    """The values are compared, not the bits that carry them."""
    assert look([check(**rules)], [[good]], datatype) is None
    findings = look([check(**rules)], [[good], [bad]], datatype)
    assert findings is not None
    assert findings.rows.total() == 1


def test_text_is_looked_at() -> None:
    """Text is held to its categories; without characters it is one of them, or is not."""
    checks = [check(0, categories=("a", "")), check(1, Policy.REJECT, categories=("red", "blue"))]

    assert look(checks, [["a", "red"], ["", "blue"]], "BYTES") is None
    findings = look(checks, [["b", "g" * 99], ["a", ""], ["c", "red"]], "BYTES")

    assert findings is not None
    assert findings.warnings == [
        "feature 'f0' is 'b' in row 0, expected one of a, '' (2 such rows)"
    ]
    assert findings.refusals == [
        f"feature 'f1' is '{'g' * 64}' in row 0, expected one of red, blue (2 such rows)"
    ]
    assert dict(findings.rows) == {
        ("f0", "category", "warn"): 2,
        ("f1", "category", "reject"): 2,
    }


def test_what_only_counts_is_not_told() -> None:
    """The policy `count` leaves numbers behind and no words."""
    findings = look([check(0, Policy.COUNT, maximum=0)], [[1], [2], [0]])

    assert findings is not None
    assert dict(findings.rows) == {("f0", Broken.RANGE.value, "count"): 2}
    assert not findings.warnings
    assert not findings.refusals


def test_only_the_first_few_are_told() -> None:
    """A request that breaks everything gets a short answer, and all of it is counted."""
    checks = [check(place, maximum=0) for place in range(MAX_TOLD + 3)]

    findings = look(checks, [[1] * len(checks)])

    assert findings is not None
    assert len(findings.warnings) == MAX_TOLD
    assert findings.rows.total() == len(checks)


@pytest.mark.parametrize(
    ("rules", "breakable"),
    [
        ({}, ()),
        ({"minimum": 0}, (Broken.RANGE,)),
        ({"maximum": 0, "nullable": False}, (Broken.MISSING, Broken.RANGE)),
        ({"categories": (1,)}, (Broken.CATEGORY,)),
    ],
)
def test_a_check_says_what_it_can_find(
    rules: dict[str, Any], breakable: tuple[Broken, ...]
) -> None:
    """Nothing else is ever counted for it."""
    assert check(**rules).breakable == breakable


def test_tensors_are_told_apart() -> None:
    """Each check looks at its own tensor, whatever the order in which checks are given."""
    signature = Signature((spec(name="a"), spec("BYTES", -1, 1, name="b")), ())
    checks = [
        Check("text", "b", 0, Policy.WARN, categories=("x",)),
        Check("last", "a", 2, Policy.WARN, maximum=0),
    ]
    numbers = np.array([[0, 0, 1]], np.float32).tobytes()

    findings = Guard(checks, signature).look([numbers, ["y"]], [(1, 3), (1, 1)])

    assert findings is not None
    assert {key[0] for key in findings.rows} == {"text", "last"}


def test_no_rows_break_nothing() -> None:
    """An empty request is good."""
    for datatype, rule in (("FP32", {"maximum": 0}), ("BYTES", {"categories": ("a",)})):
        guard = Guard([check(**rule)], Signature((spec(datatype, -1, 2),), ()))
        assert guard.look([[] if datatype == "BYTES" else b""], [(0, 2)]) is None


VALUES = st.lists(
    st.tuples(*[st.floats(width=32, allow_nan=True, allow_infinity=True)] * 3),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200)
@given(VALUES, st.floats(-10, 10), st.floats(-10, 10), st.booleans())
def test_rows_are_counted_as_one_would_by_hand(
    rows: list[tuple[float, ...]], low: float, high: float, nullable: bool
) -> None:
    """For any values, the counts are those of looking at each value on its own."""
    checks = [check(place, minimum=low, maximum=high, nullable=nullable) for place in (0, 2)]

    findings = look(checks, [list(row) for row in rows])

    by_hand: dict[tuple[str, str, str], int] = {}
    for row in rows:
        for place in (0, 2):
            broken = "missing" if math.isnan(row[place]) and not nullable else ""
            if row[place] < low or row[place] > high:
                broken = "range"
            if broken:
                key = (f"f{place}", broken, "warn")
                by_hand[key] = by_hand.get(key, 0) + 1
    assert (dict(findings.rows) if findings else {}) == by_hand


@pytest.mark.parametrize(
    ("datatype", "shape", "rules", "words"),
    [
        ("FP32", (-1, 2), {"minimum": 0, "maximum": 1}, ""),
        ("BYTES", (-1, 2), {"categories": ("a",)}, ""),
        ("INT8", (-1, 2), {"categories": (1, 2)}, ""),
        ("FP32", (-1, -1), {}, "its tensor has no rows of a fixed size"),
        ("FP32", (2,), {}, "its tensor has no rows of a fixed size"),
        ("BYTES", (-1, 2), {"minimum": 0}, "text has no minimum or maximum"),
        (
            "BYTES",
            (-1, 2),
            {"nullable": False},
            "text is never missing: list its categories, and leave the empty text out",
        ),
        ("FP32", (-1, 2), {"maximum": INF}, "minimum and maximum must be finite"),
        ("FP32", (-1, 2), {"minimum": NAN}, "minimum and maximum must be finite"),
        ("FP32", (-1, 2), {"minimum": 2, "maximum": 1}, "the minimum 2 is above the maximum 1"),
        (
            "BYTES",
            (-1, 2),
            {"categories": (1,)},
            "categories of BYTES must be text, one or more",
        ),
        (
            "INT8",
            (-1, 2),
            {"categories": ()},
            "categories of INT8 must be whole numbers, one or more",
        ),
    ],
)
def test_a_check_that_cannot_be_is_told(
    datatype: str, shape: tuple[int, ...], rules: dict[str, Any], words: str
) -> None:
    """What a type cannot be held to is said before any request comes."""
    assert problem(check(**rules), spec(datatype, *shape)) == words


@given(
    st.builds(
        Check,
        feature=st.text(),
        tensor=st.text(),
        place=st.integers(0, 9),
        policy=st.sampled_from(Policy),
        minimum=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        maximum=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        nullable=st.booleans(),
        categories=st.none() | st.lists(st.text()).map(tuple) | st.lists(st.integers()).map(tuple),
    )
)
def test_a_check_survives_json(one: Check) -> None:
    """What control writes into the plan is what the worker checks."""
    assert Check.from_json(one.to_json()) == one
