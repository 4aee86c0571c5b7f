"""The tables [gates] and [canary]: defaults, bounds, and names that there are not."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from server.release.gate_settings import GATES, CanarySettings, GateSettings


def refusal(table: type[BaseModel], value: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        table.model_validate(value)
    return str(caught.value)


def test_every_gate_can_be_switched_off_and_all_that_have_settings_are_gates() -> None:
    """Names of tables are names of gates."""
    assert GateSettings.model_validate({"off": list(GATES)}).off == GATES
    tables = {
        name
        for name, field in GateSettings.model_fields.items()
        if isinstance(field.default, BaseModel)
    }

    assert tables <= set(GATES)


def test_a_table_changes_what_it_names() -> None:
    """And leaves the rest."""
    gates = GateSettings.model_validate({"disagreement": {"budget": 0.1}, "min_pairs": 10})

    assert gates.disagreement.budget == 0.1
    assert gates.disagreement.counts == "auto"
    assert gates.errors == GateSettings().errors
    assert CanarySettings.model_validate({"steps": [10, 20]}).steps == (10, 20)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"disagrement": {}}, "disagrement"),
        ({"disagreement": {"budgt": 0.1}}, "budgt"),
        ({"off": ["eror"]}, "off.0"),
        ({"disagreement": {"budget": 0}}, "greater than 0"),
        ({"disagreement": {"budget": True}}, "valid number"),
        ({"disagreement": {"segments": {"sex": 2}}}, "less than or equal to 1"),
        ({"slow": {"max_ratio": 1}}, "greater than 1"),
        ({"min_pairs": 0}, "min_pairs"),
        ({"min_seconds": 10.0, "max_seconds": 5}, "at least min_seconds, which is 10, got 5"),
        ({"scores": {"limit": float("nan")}}, "finite number"),
    ],
)
def test_what_cannot_be_is_refused(value: dict[str, Any], words: str) -> None:
    """With the name of the member, before anything is held to it."""
    assert words in refusal(GateSettings, value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"steps": []}, "1 to 20 weights"),
        ({"steps": [500, 100]}, "steps[1]: expected more than 500, got 100"),
        ({"steps": [0, 100]}, "steps[0]: expected more than 0"),
        ({"steps": [100, 10_001]}, "steps[1]"),
        ({"steps": ["100"]}, "valid integer"),
        ({"approval": 1}, "valid boolean"),
        ({"min_seconds": 3600.5, "max_seconds": 1800}, "at least min_seconds"),
        ({"min_request": 1}, "min_request"),
    ],
)
def test_steps_must_rise(value: dict[str, Any], words: str) -> None:
    """A weight that falls would send users back and forth between versions."""
    assert words in refusal(CanarySettings, value)


def test_every_setting_is_documented_with_its_default() -> None:
    """In the example of docs/release.md, which shows all of both tables and nothing else."""
    text = (Path(__file__).parents[2] / "docs" / "release.md").read_text()
    example = tomllib.loads(text.split("### Settings")[1].split("```")[1].removeprefix("toml"))
    shown = {"off": ["scores"], "disagreement": {"segments": {"sex": 0.05}}}

    for name, table in (("gates", GateSettings), ("canary", CanarySettings)):
        documented = table.model_validate(example[name])
        assert documented.model_dump(exclude_unset=True) == documented.model_dump()
        if name == "gates":
            changed = GateSettings.model_validate(shown).model_dump()
            assert documented.model_dump() == changed
        else:
            assert documented == table()
