"""What a version's folder and its settings must agree on."""

from dataclasses import replace
from pathlib import Path

import pytest

from server.errors import ModelInvalid
from server.monitoring.checks import Check, Policy
from server.release.gate_settings import GateSettings
from server.release.shadow_rules import Segment
from server.repository.intake_rules import (
    checked_checks,
    checked_features,
    checked_shadow,
    model_file_of,
)
from server.repository.layout import VersionFolder
from server.repository.model_settings import CheckTable, ModelSetup
from server.repository.shadow_table import ShadowTable
from server.repository.verdict import Verdict
from server.settings import ModelSettings
from server.tensors import DATATYPES, Signature, TensorSpec

INPUTS = {"x": (-1, 3), "y": (-1,), "image": (-1, 2, 2), "open": (-1, -1)}
VERDICT = Verdict(
    Signature(tuple(TensorSpec(n, DATATYPES["FP32"], shape) for n, shape in INPUTS.items()), ()),
    is_batched=True,
    batch_seconds=0.0,
    golden_rows=0,
    warnings=(),
)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (("a.bin", "model.onnx"), "model.onnx"),
        (("model.onnx/model.onnx", "model.onnx/weights.bin"), "model.onnx/model.onnx"),
        (("model.onnx", "model.onnx/model.onnx"), "model.onnx"),
    ],
)
def test_the_model_is_a_file_or_in_a_folder_of_its_name(files: tuple[str, ...], found: str) -> None:
    """Both of Triton's forms are found."""
    assert model_file_of(VersionFolder(Path("m/1"), files, ()), "model.onnx") == found


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((), "nothing"),
        (("weights.bin",), "weights.bin"),
        (("a", "b", "c", "d", "e"), "a, b, c, d"),
        (("sub/net.onnx",), "sub/net.onnx"),
    ],
)
def test_a_missing_model_says_what_is_there_and_where_it_belongs(
    files: tuple[str, ...], told: str
) -> None:
    """Half a copy names what has come, at most four files of it."""
    with pytest.raises(ModelInvalid) as caught:
        model_file_of(VersionFolder(Path("/repo/m/7"), files, ()), "net.onnx")
    assert str(caught.value) == f"it has no net.onnx (found {told}); it may still be on its way"
    assert caught.value.fix == "put the model at m/7/net.onnx"


@pytest.mark.parametrize(
    "features",
    [
        {},
        {"x": ["a", "b", "c"]},
        {"x": ["a", "b", "c"], "y": ["a"]},
        {"image": ["p", "q", "r", "s"]},
        {"open": ["any", "number"]},
    ],
)
def test_features_that_fit_the_inputs_are_kept(features: dict[str, list[str]]) -> None:
    """A name for each column of a row, however the row is shaped."""
    setup = ModelSetup(ModelSettings(), features=features)

    assert checked_features(setup, VERDICT) == features


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"z": []}, "model.toml names features of 'z', which is no input"),
        ({"x": ["a", "b"]}, "model.toml names 2 features of 'x', which has 3"),
        ({"y": ["a", "b"]}, "model.toml names 2 features of 'y', which has 1"),
        ({"x": ["a", "b", "a"]}, "model.toml names a feature of 'x' twice"),
        ({"open": ["a", "a"]}, "model.toml names a feature of 'open' twice"),
    ],
)
def test_features_that_do_not_fit_are_refused(features: dict[str, list[str]], message: str) -> None:
    """An unknown input, another number of names, and a name used twice are told apart."""
    with pytest.raises(ModelInvalid) as caught:
        checked_features(ModelSetup(ModelSettings(), features=features), VERDICT)
    assert str(caught.value) == message
    assert caught.value.fix == "mend [inputs] in model.toml"


def _with_checks(**tables: CheckTable) -> ModelSetup:
    settings = ModelSettings(check_policy="warn")
    return ModelSetup(settings, features={"x": ["a", "b", "c"]}, checks=tables)


def test_checks_find_their_values() -> None:
    """By a feature's name, by a tensor's of one value a row, or by tensor and place."""
    tables = {
        "c": CheckTable(minimum=0, policy="reject"),
        "y": CheckTable(nullable=False),
        "image[3]": CheckTable(categories=[1, 2]),
    }

    assert checked_checks(_with_checks(**tables), VERDICT) == (
        Check("c", "x", 2, Policy.REJECT, minimum=0.0),
        Check("y", "y", 0, Policy.WARN, nullable=False),
        Check("image[3]", "image", 3, Policy.WARN, categories=(1, 2)),
    )
    assert checked_checks(ModelSetup(ModelSettings()), VERDICT) == ()


@pytest.mark.parametrize(
    ("feature", "table", "message"),
    [
        (
            "x",
            CheckTable(),
            "model.toml checks 'x', which is no feature; there are 'a', 'b', 'c', 'y', "
            "'image[0]', 'image[1]', 'image[2]', 'image[3]'",
        ),
        (
            "a",
            CheckTable(minimum=2, maximum=1),
            "model.toml checks 'a', but the minimum 2 is above the maximum 1",
        ),
        (
            "a",
            CheckTable(categories=["red"]),
            "model.toml checks 'a', but categories of FP32 must be whole numbers, one or more",
        ),
    ],
)
def test_checks_that_do_not_fit_are_refused(feature: str, table: CheckTable, message: str) -> None:
    """What cannot be checked is a mistake of model.toml, before any request comes."""
    with pytest.raises(ModelInvalid) as caught:
        checked_checks(_with_checks(**{feature: table}), VERDICT)
    assert str(caught.value) == message
    assert caught.value.fix == f"mend [checks.'{feature}'] in model.toml"


def test_rules_of_comparison_find_their_values() -> None:
    """Features go by their names, as in data checks; a name that nobody has is refused."""
    table = ShadowTable(segments={"b": [1]}, redact=["y"])
    setup = ModelSetup(ModelSettings(), features={"x": ["a", "b", "c"]}, shadow=table)

    rules = checked_shadow(setup, VERDICT)
    assert rules.segments == (Segment("b", "x", 1, (1,)),)
    assert rules.redacted == {"y": ()}
    with pytest.raises(ModelInvalid, match="redacts 'd'"):
        checked_shadow(replace(setup, shadow=ShadowTable(redact=["d"])), VERDICT)


def test_budgets_are_for_segments_that_are_declared() -> None:
    """By feature or by value; a budget of nothing would be passed over in silence."""

    def setup_with(name: str) -> ModelSetup:
        gates = GateSettings.model_validate({"disagreement": {"segments": {name: 0.1}}})
        table = ShadowTable(segments={"b": [1, 2]})
        features = {"x": ["a", "b", "c"]}
        return ModelSetup(ModelSettings(), features=features, gates=gates, shadow=table)

    for name in ("b", "b=1", "b=other"):
        assert checked_shadow(setup_with(name), VERDICT).segments[0].feature == "b"
    with pytest.raises(ModelInvalid) as caught:
        checked_shadow(setup_with("b=11"), VERDICT)
    assert str(caught.value) == (
        "model.toml has a budget for segment 'b=11', which is not declared; did you mean 'b=1'?"
    )
    assert "[shadow.segments]" in caught.value.fix
