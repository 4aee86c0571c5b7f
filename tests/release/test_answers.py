"""Which models answer labels."""

import pytest

from server.release.answers import answers_labels
from server.release.shadow_rules import NO_RULES, OutputRule, Scores, ShadowRules
from server.tensors import DATATYPES, Signature, TensorSpec


def signature(datatype: str, *shape: int) -> Signature:
    return Signature((), (TensorSpec("y", DATATYPES[datatype], shape),))


@pytest.mark.parametrize(
    ("datatype", "shape", "has_labels"),
    [
        ("INT64", (-1,), True),
        ("BYTES", (-1, 1), True),
        ("BOOL", (-1, 4), True),
        ("FP32", (-1, 3), True),
        ("FP32", (-1, -1), True),
        ("FP32", (-1, 1), False),
        ("FP32", (-1,), False),
        ("FP16", (-1, 8, 8), False),
    ],
)
def test_labels_follow_from_datatype_and_shape(
    datatype: str, shape: tuple[int, ...], has_labels: bool
) -> None:
    """Whole numbers, text and booleans are labels, and so is the best of several scores."""
    assert answers_labels(signature(datatype, *shape), NO_RULES) is has_labels


@pytest.mark.parametrize(
    ("shape", "rule", "has_labels"),
    [
        ((-1, 1), OutputRule(threshold=0.5), True),
        ((-1, 3), OutputRule(scores=Scores.VALUES), False),
        ((-1, 3), OutputRule(is_ignored=True), False),
    ],
)
def test_rules_say_otherwise(shape: tuple[int, ...], rule: OutputRule, has_labels: bool) -> None:
    """A threshold makes a label of a score, and several numbers need not be classes."""
    rules = ShadowRules({"y": rule})

    assert answers_labels(signature("FP32", *shape), rules) is has_labels


def test_one_output_with_labels_is_enough() -> None:
    """Beside any number of others."""
    outputs = (*signature("FP32", -1).outputs, *signature("INT64", -1).outputs)

    assert answers_labels(Signature((), outputs), NO_RULES)
