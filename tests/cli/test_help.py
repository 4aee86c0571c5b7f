"""The help teaches: every setting with its variable and default, every command with an example."""

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import server
from server.cli import app
from server.cli.options import MEANINGS
from server.settings import Settings

COMMANDS = ["serve", "doctor", "model list", "model load", "model unload", "model check"]
COMMANDS += ["profile build", "profile show"]


def help_of(command: str, width: str = "200") -> str:
    """Return the help of a command as plain words, without frames and line breaks."""
    result = CliRunner(env={"COLUMNS": width, "TERM": "dumb"}).invoke(
        app, [*command.split(), "--help"]
    )
    assert result.exit_code == 0
    assert result.stderr == ""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stdout).split())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_help_with_variable_and_default(name: str) -> None:
    """What can be set is told where it is set: flag, meaning, variable, default."""
    text = help_of("serve", "400")
    field = Settings.model_fields[name]

    assert f"[TIDEGATE_{name.upper()}; default {str(field.default) or 'none'}]" in text
    assert " ".join(MEANINGS[name].split()) in text
    if name != "repository":
        assert f" --{name.replace('_', '-')} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does_and_gives_an_example(command: str) -> None:
    """Whoever asks for help gets a line to copy, which names the command itself."""
    text = help_of(command)

    assert re.search(rf"Example: (\w+=\w+ )?tidegate {command}( |$)", text)


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("", ["serve", "doctor", "model", "profile"]),
        ("model", ["list", "load", "unload", "check"]),
        ("profile", ["build", "show"]),
    ],
)
def test_a_group_lists_its_commands_with_what_they_do(group: str, commands: list[str]) -> None:
    """Every command is one step away, and a sentence stands beside it."""
    text = help_of(group)

    for command in commands:
        assert re.search(rf" {command} [A-Z]", text)


def test_the_program_says_where_settings_come_from() -> None:
    """The three sources are named in their order."""
    assert (
        "Settings are flags, TIDEGATE_… variables or keys of tidegate.toml, in that order."
        in help_of("")
    )
    assert CliRunner().invoke(app, ["-h"]).stdout == CliRunner().invoke(app, ["--help"]).stdout


@pytest.mark.parametrize("arguments", [[], ["model"]])
def test_no_command_is_a_question_for_help(arguments: list[str]) -> None:
    """Without a command the help is shown, and the exit code says that nothing was done."""
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert "Usage: tidegate" in result.output.replace("root", "tidegate")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["serve", "--no-such-flag"], ["model", "load"], ["model", "check"]]
)
def test_wrong_usage_ends_with_two_and_says_so_on_standard_error(arguments: list[str]) -> None:
    """An unknown command or flag, or a missing name, never touches standard output."""
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr


def test_the_version_is_printed_by_the_module_too() -> None:
    """`python -m server` is the program."""
    done = subprocess.run(
        [sys.executable, "-m", "server", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"tidegate {server.__version__}\n"
    assert done.stderr == ""


def test_help_loads_no_model_runtime() -> None:
    """Asking for help is instant: neither ONNX Runtime nor NumPy is loaded for it."""
    code = (
        "import sys\n"
        "from server.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "print({'onnxruntime', 'numpy', 'uvicorn'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
