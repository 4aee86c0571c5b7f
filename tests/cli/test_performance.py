"""`tidegate performance` against a control port that answers what we tell it."""

import json

from typer.testing import CliRunner, Result

from server.cli import app
from tests.cli.test_performance_table import report
from tests.support.fake_http import answering


def run(*arguments: str) -> Result:
    """Ask for the report of a model."""
    with answering({"GET /v1/models/m/performance": (200, report())}) as server:
        runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})
        return runner.invoke(app, ["performance", *arguments, "--url", server.url])


def test_figures_by_labels_are_shown_beside_the_estimate() -> None:
    """Hours only if they are asked for."""
    result = run("m")

    assert result.exit_code == 0
    assert "by labels" in result.output
    assert "estimated" in result.output
    assert "hour (UTC)" not in result.output
    assert "hour (UTC)" in run("m", "--hours").output


def test_json_is_the_report_itself() -> None:
    """Programs get what the control port said."""
    assert json.loads(run("m", "--json").output) == report()


def test_an_unknown_model_is_an_error() -> None:
    """The text of the control port, and exit code 1."""
    result = run("nobody")

    assert result.exit_code == 1
    assert "no such route" in result.output
