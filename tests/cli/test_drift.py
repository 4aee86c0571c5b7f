"""`tidegate drift` against a control port that answers what we tell it."""

import json
import time
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.support.drift_answers import report
from tests.support.fake_http import Answers, answering

REPORT = report()
ANSWERS: Answers = {
    "GET /v2/models": (200, {"models": ["m", "n"]}),
    "GET /v1/models/m/drift": (200, REPORT),
    "GET /v1/models/n/drift": (200, {"model": "n", "live": None, "versions": []}),
}


def run(*arguments: str, answers: Any = None) -> Result:
    with answering(answers or ANSWERS) as server:
        runner = CliRunner(env={"COLUMNS": "220", "TERM": "dumb"})
        return runner.invoke(app, ["drift", *arguments, "--url", server.url])


def test_one_model_is_shown_with_what_moved_first() -> None:
    """A line for each feature, the moved one on top, with direction, alert and histograms."""
    result = run("m")

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].startswith("m version 1, live: 3,000 rows in a day, held to 5,000 of train.csv")
    first = next(line for line in lines if line.startswith("f1"))
    assert "location up" in first
    assert "█" in first
    assert "drift firing" in result.output


def test_all_models_are_shown_without_a_name() -> None:
    """One after another; a model of which nothing is watched says so."""
    result = run()

    assert result.exit_code == 0
    assert "m version 1" in result.output
    assert "n  no version of it is watched" in result.output


def test_json_is_the_report_itself() -> None:
    """Programs get what the control port said, a list of one report for each model."""
    assert json.loads(run("m", "--json").output) == [REPORT]


def test_a_version_is_asked_for_by_number() -> None:
    """The number goes into the question."""
    asked = {"GET /v1/models/m/drift?version=1": (200, REPORT)}

    assert run("m", "--version", "1", answers=asked).exit_code == 0


def test_an_unknown_model_is_an_error() -> None:
    """The text of the control port, and exit code 1."""
    answers = {"GET /v1/models/x/drift": (404, {"error": "model 'x' is not in the repository"})}

    result = run("x", answers=answers)

    assert result.exit_code == 1
    assert "model 'x' is not in the repository" in result.output


def test_only_the_first_features_are_shown_unless_asked() -> None:
    """Fifteen, and how many are left; all of them with --all."""
    wide = report(np.zeros(40))
    answers = {"GET /v1/models/m/drift": (200, wide)}

    some, every = run("m", answers=answers), run("m", "--all", answers=answers)

    assert "more with --all" in some.output
    assert "more with --all" not in every.output
    assert len(every.output.splitlines()) > len(some.output.splitlines()) + 20


def test_watching_goes_on_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is asked for again and again; Ctrl-C ends it without an error."""
    shown = []

    def sleep(seconds: float) -> None:
        shown.append(seconds)
        if len(shown) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    with answering(ANSWERS) as server:
        arguments = ["drift", "m", "--watch", "--url", server.url]
        result = CliRunner(env={"COLUMNS": "220"}).invoke(app, arguments)

        assert result.exit_code == 0
        assert [what for what, _ in server.asked] == ["GET /v1/models/m/drift"] * 3
    assert "location up" in result.output
