"""The table [shadow] of model.toml is held to the model that it is about."""

from typing import Any

import pytest
from pydantic import ValidationError

from server.errors import ModelInvalid
from server.monitoring.columns import layout_of
from server.release.shadow_rules import NO_RULES, OutputRule, Scores, Segment, ShadowRules
from server.repository.shadow_table import ShadowTable, shadow_rules
from server.tensors import DATATYPES, Signature, TensorSpec

SIGNATURE = Signature(
    (
        TensorSpec("x", DATATYPES["FP32"], (-1, 3)),
        TensorSpec("country", DATATYPES["BYTES"], (-1, 1)),
    ),
    (TensorSpec("y", DATATYPES["FP32"], (-1, 2)),),
)
FEATURES = {"x": ["age", "sex", "bmi"]}


def rules(**table: Any) -> ShadowRules:
    """Return the rules of a table for a model with three named features and a text."""
    columns = {column.name: column for column in layout_of(SIGNATURE, FEATURES).inputs.columns}
    return shadow_rules(ShadowTable.model_validate(table), SIGNATURE, columns, FEATURES)


def test_a_table_of_everything() -> None:
    """Names become places in tensors."""
    found = rules(
        redact=["sex", "age", "country"],
        segments={"sex": [0, 1], "country": ["de", "fr"]},
        outputs={"y": {"rtol": 0.1, "scores": "values"}},
    )

    assert found == ShadowRules(
        {"y": OutputRule(rtol=0.1, scores=Scores.VALUES)},
        (Segment("sex", "x", 1, (0, 1)), Segment("country", "country", 0, ("de", "fr"))),
        {"x": (1, 0), "country": ()},
        {"x": ("age", "sex", "bmi")},
    )


def test_no_table_has_no_rules_but_the_names() -> None:
    """Samples show features by their names without any settings."""
    assert rules() == ShadowRules(features={"x": ("age", "sex", "bmi")})
    assert ShadowRules() == NO_RULES


def test_a_whole_tensor_hides_its_features_whatever_the_order() -> None:
    """A redacted input stays redacted when one of its features is named as well."""
    assert rules(redact=["age", "x"]).redacted == {"x": ()}
    assert rules(redact=["x", "age"]).redacted == {"x": ()}
    assert rules(redact=["y"]).redacted == {"y": ()}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"redact": ["agee"]}, "redacts 'agee', which is no feature, input or output"),
        ({"segments": {"agee": [1]}}, "segments by 'agee', which is no feature; there are 'age'"),
        ({"segments": {"sex": ["0"]}}, "whose values must be whole numbers"),
        ({"segments": {"country": [1]}}, "whose values must be text"),
        ({"segments": {"sex": []}}, "has 0 segments by 'sex'; 1 to 16 values may be given"),
        ({"segments": {"sex": [1, 1]}}, "each once"),
        ({"segments": {"sex": list(range(17))}}, "has 17 segments"),
        ({"outputs": {"z": {}}}, "compares 'z', which is no output; there are 'y'"),
    ],
)
def test_what_the_model_does_not_have_is_refused(table: dict[str, Any], words: str) -> None:
    """A name that is misspelt would otherwise be passed over, and what it hides be shown."""
    with pytest.raises(ModelInvalid, match=words.replace("[", r"\[")):
        rules(**table)


@pytest.mark.parametrize(
    "table",
    [
        {"redacted": []},
        {"outputs": {"y": {"rtol": -1}}},
        {"outputs": {"y": {"scores": "labels"}}},
        {"segments": {str(number): [1] for number in range(9)}},
    ],
)
def test_a_table_of_another_form_is_refused(table: dict[str, Any]) -> None:
    """Unknown keys, numbers out of bounds, unknown words, too many features."""
    with pytest.raises(ValidationError):
        ShadowTable.model_validate(table)
