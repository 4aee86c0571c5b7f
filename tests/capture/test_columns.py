"""Columns of captured rows: names, forms, and what is left out."""

import pytest

from server.capture.columns import OWN_COLUMNS, CapturePlan, Form
from server.tensors import DATATYPES, Signature, TensorSpec
from tests.support.captured import plan


def spec(name: str, *shape: int, datatype: str = "FP32") -> TensorSpec:
    return TensorSpec(name, DATATYPES[datatype], shape)


def test_values_and_named_features_are_columns_and_other_tensors_lists() -> None:
    """A column for each value that has a name, a list for a vector, two where the shape varies."""
    signature = Signature(
        (spec("people", -1, 2), spec("image", -1, 2, 3), spec("words", -1, -1, datatype="BYTES")),
        (spec("label", -1, datatype="INT64"), spec("score", -1, 1)),
    )
    made = plan(signature, features={"people": ["age", "sex"]})

    assert [(one.form, one.names) for one in made.inputs] == [
        (Form.FLAT, ("age", "sex")),
        (Form.FIXED, ("image",)),
        (Form.VARYING, ("words", "words.shape")),
    ]
    assert [(one.form, one.names) for one in made.outputs] == [
        (Form.FLAT, ("label",)),
        (Form.FLAT, ("score",)),
    ]


def test_no_two_columns_have_one_name() -> None:
    """Names of a model may be ours, or each other's: then the tensor's stands before them."""
    signature = Signature(
        (spec("time", -1), spec("a", -1, 2), spec("b", -1, 2), spec("x", -1)), (spec("x", -1),)
    )
    made = plan(signature, features={"a": ["row", "x"], "b": ["x", "y"]})
    names = [name for one in (*made.inputs, *made.outputs) for name in one.names]

    assert names == ["time.time", "a.row", "x", "b.x", "y", "x.x", "x.x.1"]
    assert len({*names, *OWN_COLUMNS}) == len(names) + len(OWN_COLUMNS)


def test_what_is_left_out_is_told_by_name() -> None:
    """Features by theirs, places of lists by number, whole tensors as such."""
    signature = Signature(
        (spec("people", -1, 2), spec("image", -1, 4), spec("text", -1, datatype="BYTES")),
        (spec("any", -1, -1),),
    )
    made = plan(
        signature,
        features={"people": ["age", "sex"]},
        redacted={"people": [0], "image": [3, 1], "text": [], "any": [0]},
    )

    assert made.left_out == {
        "people": ["age"],
        "image": ["image[1]", "image[3]"],
        "text": [],
        "any": [],
    }


def test_a_plan_survives_being_written_down() -> None:
    """It comes back as it was; another format is refused."""
    made = plan(features={"x": ["a", "b"]}, redacted={"x": [1]})

    assert CapturePlan.from_json(made.to_json()) == made
    assert CapturePlan.from_json(made.to_json()).inputs == made.inputs
    with pytest.raises(ValueError, match="format 2, expected 1"):
        CapturePlan.from_json({**made.to_json(), "format": 2})
