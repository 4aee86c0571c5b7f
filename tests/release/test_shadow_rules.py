"""Rules of comparison travel as JSON and come out as they were."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from server.release.shadow_rules import (
    OutputRule,
    Scores,
    Segment,
    ShadowRules,
    Tolerance,
    tolerance_of,
)

names = st.text(max_size=5)
numbers = st.none() | st.floats(0, 10)

output_rules = st.builds(
    OutputRule,
    rtol=numbers,
    atol=numbers,
    scores=st.none() | st.sampled_from(Scores),
    threshold=numbers,
    is_ignored=st.booleans(),
)
segments = st.builds(
    Segment,
    feature=names,
    tensor=names,
    place=st.integers(0, 9),
    values=st.lists(names).map(tuple) | st.lists(st.integers(-5, 5)).map(tuple),
)
shadow_rules = st.builds(
    ShadowRules,
    outputs=st.dictionaries(names, output_rules, max_size=3),
    segments=st.lists(segments, max_size=3).map(tuple),
    redacted=st.dictionaries(names, st.lists(st.integers(0, 9)).map(tuple), max_size=3),
    features=st.dictionaries(names, st.lists(names).map(tuple), max_size=3),
)


@given(shadow_rules)
def test_what_is_written_is_read(rules: ShadowRules) -> None:
    """Every rule survives the way through JSON."""
    assert ShadowRules.from_json(orjson.loads(orjson.dumps(rules.to_json()))) == rules


def test_rules_that_count_alike_have_one_digest() -> None:
    """What samples do not show changes no count; tolerances and segments do."""
    rules = ShadowRules({"y": OutputRule(rtol=0.1)}, redacted={"x": (0,)})
    hidden = ShadowRules({"y": OutputRule(rtol=0.1)}, features={"x": ("age",)})
    wider = ShadowRules({"y": OutputRule(rtol=0.2)}, redacted={"x": (0,)})

    assert rules.counting_digest() == hidden.counting_digest()
    assert rules.counting_digest() != wider.counting_digest()


def test_an_output_tolerates_what_its_rule_says_and_else_what_its_datatype_can() -> None:
    """Numbers of half precision are further apart than a thousandth."""
    rules = ShadowRules({"y": OutputRule(atol=2.0)})

    assert tolerance_of(rules, "y", "FP32") == Tolerance(1e-3, 2.0)
    assert tolerance_of(rules, "z", "FP64") == Tolerance(1e-3, 1e-5)
    assert tolerance_of(rules, "z", "FP16").rtol > 1e-3
