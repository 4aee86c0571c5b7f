"""Profiles of other models: every difference is told, and none is invented."""

from dataclasses import replace

import pytest

from server.monitoring.fitting import differences, in_words
from server.tensors import DATATYPES, Signature, TensorSpec
from tests.support.profiles import FEATURES, SIGNATURE, profile


def changed(name: str, datatype: str, *shape: int) -> Signature:
    """Return the signature with one tensor of another type or shape; of no type: without it."""

    def tensors(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        other = TensorSpec(name, DATATYPES[datatype], shape) if datatype else None
        listed = [other if spec.name == name else spec for spec in specs]
        return tuple(spec for spec in listed if spec is not None)

    return Signature(tensors(SIGNATURE.inputs), tensors(SIGNATURE.outputs))


def test_a_profile_fits_its_model() -> None:
    """Whatever version and files it was made with."""
    assert differences(profile(), "risk", SIGNATURE, FEATURES) == []
    assert differences(profile(version="9", digest="ff"), "risk", SIGNATURE, FEATURES) == []


def test_a_profile_may_choose_the_class_of_its_score() -> None:
    """Either of two is read from the same rows."""
    columns = [
        replace(one, column=replace(one.column, take="value:0"))
        if one.column.name == "p.score"
        else one
        for one in profile().columns
    ]

    assert differences(profile(columns=tuple(columns)), "risk", SIGNATURE, FEATURES) == []


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (
            changed("sex", ""),
            ["'sex' (value 0 of input 'sex') is in the profile and not in the model"],
        ),
        (
            changed("x", "FP32", -1, 3),
            ["'x[2]' (value 2 of input 'x') is in the model and not in the profile"],
        ),
        (
            changed("x", "FP64", -1, 2),
            [f"'{name}' is FP32 in the profile and FP64 now" for name in ("age", "bmi")],
        ),
        (
            changed("label", ""),
            [
                "'label' (value 0 of output 'label') is in the profile and not in the model",
                "'p.label' (label of output 'p') is in the model and not in the profile",
            ],
        ),
        (changed("sex", "INT64", -1, 1), ["'sex' is BYTES in the profile and INT64 now"]),
    ],
    ids=["missing", "extra", "retyped", "another output", "text is a number now"],
)
def test_each_difference_of_the_signature_is_told(signature: Signature, words: list[str]) -> None:
    """Which column, where it comes from, what it was and what it is."""
    features = {"x": ["age", "bmi", "x[2]"]} if signature.inputs[0].shape[1] == 3 else FEATURES

    assert differences(profile(), "risk", signature, features) == words


def test_a_renamed_feature_is_told() -> None:
    """What model.toml calls another name may well be another thing."""
    found = differences(profile(), "risk", SIGNATURE, {"x": ["age", "height"]})

    assert found == ["value 1 of input 'x' is 'bmi' in the profile and 'height' now"]


def test_a_number_that_is_text_now_is_told() -> None:
    """Its bins would have nothing to count."""
    (found,) = differences(profile(), "risk", changed("x", "BYTES", -1, 2), FEATURES)

    assert found == "column 'age' is text, and cannot be of kind number"


def test_a_profile_of_another_model_is_told() -> None:
    """Even if it would fit."""
    assert differences(profile(), "churn", SIGNATURE, FEATURES) == ["it is of model 'risk'"]


def test_a_profile_without_columns_lacks_all() -> None:
    """The first few are named, the others counted."""
    empty = replace(profile(), columns=(), score=None)
    found = differences(empty, "risk", SIGNATURE, FEATURES)

    assert len(found) == 6
    assert in_words(found).endswith("; and 1 more")
    assert in_words(found[:2]) == "; ".join(found[:2])
    assert in_words([]) == ""
