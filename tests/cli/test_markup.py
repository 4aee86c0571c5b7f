"""Names and reasons are printed as they are, whatever brackets they hold."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from server.cli import app
from server.cli.doctor import Finding, _print
from server.cli.summary import index_table
from tests.support import models

HOSTILE = "a[/] b[red] c[inputs] d[-1, 3]"


def test_the_index_is_printed_with_all_its_brackets() -> None:
    """A folder's name, a reason, a fix and a warning with brackets stand in the table unchanged."""
    row = {
        "name": f"1{HOSTILE}",
        "version": "",
        "state": "UNAVAILABLE",
        "reason": f"2{HOSTILE}",
        "fix": f"3{HOSTILE}",
        "warnings": [f"4{HOSTILE}"],
    }
    output = io.StringIO()
    Console(file=output, width=200, highlight=False).print(index_table([row]))

    for text in (f"1{HOSTILE}", f"2{HOSTILE}", f"fix: 3{HOSTILE}", f"note: 4{HOSTILE}"):
        assert text in output.getvalue()


def test_a_check_that_fails_says_what_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fix names the table of model.toml, whose name in brackets looks like markup."""
    monkeypatch.setenv("COLUMNS", "200")
    models.put(tmp_path, "m", 1, models.affine())
    (tmp_path / "m" / "model.toml").write_text('[inputs.nope]\nfeatures = ["a"]\n')

    result = CliRunner().invoke(app, ["model", "check", str(tmp_path / "m")])

    assert result.exit_code == 1
    assert "fix: mend [inputs] in model.toml" in result.stdout


def test_a_check_that_succeeds_prints_names_with_brackets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a version is printed as it was given."""
    monkeypatch.setenv("COLUMNS", "200")
    repository = tmp_path / "x[red]y[/]"
    models.put(repository, "m", 1, models.affine())

    result = CliRunner().invoke(app, ["model", "check", str(repository / "m" / "1")])

    assert result.exit_code == 0
    assert "x[red]y[/]" in "".join(result.stdout.splitlines())
    assert "input  x  FP32 [-1, 3]" in result.stdout


def test_the_doctor_prints_paths_with_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    """What was found and what to do stand there unchanged."""
    _print([Finding("state directory", "warning", f"1{HOSTILE}", f"2{HOSTILE}")])

    printed = " ".join(capsys.readouterr().out.split())
    assert f"1{HOSTILE}" in printed
    assert f"fix: 2{HOSTILE}" in printed
