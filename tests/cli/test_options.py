"""Flags are made from the settings, so that there is one list of them."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from server.cli.options import MEANINGS, flag, setting_help, with_settings
from server.settings import Settings

OWN = typer.Option(None, "--own")


@pytest.fixture
def given() -> dict[str, Any]:
    """What a command with all flags was given at its last call."""
    return {}


@pytest.fixture
def app(given: dict[str, Any]) -> typer.Typer:
    """A program of one command that has a parameter of its own beside the settings."""
    program = typer.Typer()

    @program.command()
    @with_settings
    def command(own: Path = OWN, **flags: str | None) -> None:
        given.update(flags, own=own)

    return program


def test_a_flag_is_the_name_with_hyphens() -> None:
    """No setting needs to be looked up."""
    assert flag("max_rows") == "--max-rows"
    assert setting_help("port").endswith("[TIDEGATE_PORT; default 8000]")


def test_every_setting_but_the_repository_is_a_flag(
    app: typer.Typer, given: dict[str, Any]
) -> None:
    """What is given comes as text, to be checked with all the rest; what is not is None."""
    names = [name for name in Settings.model_fields if name != "repository"]
    arguments = [part for name in names for part in (flag(name), f"value of {name}")]

    assert CliRunner().invoke(app, [*arguments, "--own", "x"]).exit_code == 0
    assert given == {"own": Path("x")} | {name: f"value of {name}" for name in names}
    assert CliRunner().invoke(app, []).exit_code == 0
    assert set(given.values()) == {None}


def test_a_flag_shows_what_it_takes(app: typer.Typer) -> None:
    """Words to choose from, numbers and paths are told apart in the help."""
    result = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(app, ["--help"])
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]

    for start in (
        "│ --execution auto|inline|thread ",
        "│ --max-rows N ",
        "│ --max-delay-ms NUMBER ",
        "│ --state-dir PATH ",
        "│ --version-policy TEXT ",
    ):
        assert any(line.startswith(start) for line in lines)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is_for(name: str) -> None:
    """A sentence stands below it, and in --help."""
    assert MEANINGS[name].endswith(".")
    assert MEANINGS[name] in setting_help(name)
