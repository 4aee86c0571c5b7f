"""`tidegate release` against a control port that answers what we tell it."""

import getpass
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.support.fake_http import Answers, FakeServer, answering
from tests.support.release_answers import CHANGED, HISTORY, STATUS

PATH = "/v1/models/m/release"
ANSWERS: Answers = {
    f"GET {PATH}": (200, STATUS),
    f"GET {PATH}/history?limit=20": (200, HISTORY),
    f"GET {PATH}/history?limit=3&verify=1": (200, {**HISTORY, "is_sound": True, "problem": None}),
    **{
        f"POST {PATH}/{name}": (200, CHANGED)
        for name in ("shadow", "canary", "promote", "rollback", "approve", "hold", "resume")
    },
    f"POST {PATH}/promote?dry_run=1": (200, {**CHANGED, "dry_run": True}),
}


def run(*arguments: str, answers: Any = None) -> tuple[Result, FakeServer]:
    """Run a command; return what it printed, and the server that remembers what it was asked."""
    with answering(answers or ANSWERS) as server:
        runner = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"})
        return runner.invoke(app, ["release", *arguments, "--url", server.url]), server


@pytest.mark.parametrize(
    ("arguments", "members"),
    [
        (["shadow", "m", "3", "--sample", "2.5"], {"version": "3", "sample_bp": 250}),
        (["shadow", "m", "3", "--stop"], {"version": "3", "stop": True}),
        (["canary", "m", "3"], {"version": "3"}),
        (
            ["canary", "m", "3", "--steps", "1,10,50", "--approval"],
            {"version": "3", "steps": [100, 1000, 5000], "needs_approval": True},
        ),
        (["canary", "m", "--next"], {"next": True}),
        (["canary", "m", "--stop", "--reason", "no"], {"stop": True, "reason": "no"}),
        (["promote", "m", "3", "--reason", "x"], {"version": "3", "reason": "x"}),
        (["promote", "m", "--override", "--reason", "x"], {"override": True, "reason": "x"}),
        (["rollback", "m"], {}),
        (["approve", "m", "--actor", "bob"], {"actor": "bob"}),
        (["hold", "m", "--reason", "x"], {"reason": "x"}),
        (["resume", "m"], {}),
    ],
)
def test_each_command_is_a_call(arguments: list[str], members: dict[str, Any]) -> None:
    """Options become members, and the login name says who calls."""
    result, server = run(*arguments)

    assert result.exit_code == 0, result.output
    what, body = server.asked[0]
    assert what == f"POST {PATH}/{arguments[0]}"
    assert json.loads(body) == {"actor": getpass.getuser(), **members}
    assert "if-match" not in server.headers[0]


def test_a_generation_and_a_dry_run_are_passed_on() -> None:
    """Nothing happens onto another state, or at all."""
    result, server = run("promote", "m", "3", "--reason", "x", "--generation", "7", "--dry-run")

    assert server.asked[0][0] == f"POST {PATH}/promote?dry_run=1"
    assert server.headers[0]["if-match"] == "7"
    assert "nothing is changed" in result.output


def test_who_has_no_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container, the user may be a number that nobody has given a name."""

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    _, server = run("rollback", "m")

    assert json.loads(server.asked[0][1]) == {"actor": "unknown"}


@pytest.mark.parametrize("steps", ["1,x", "0.001", "101"])
def test_percent_that_are_none_are_refused_here(steps: str) -> None:
    """The message names the option, and nothing is called."""
    result, server = run("canary", "m", "3", "--steps", steps)

    assert (result.exit_code, server.asked) == (1, [])
    assert "--steps: expected percent from 0 to 100 with two decimals at most" in result.output


@pytest.mark.parametrize("command", [["status"], ["history"], ["rollback"]])
def test_json_is_what_the_control_port_said(command: list[str]) -> None:
    """Programs get the document itself."""
    result, _ = run(*command, "m", "--json")

    assert json.loads(result.output) in (STATUS, HISTORY, CHANGED)


def test_a_look_at_the_audit_has_an_exit_code() -> None:
    """A script that watches the audit needs no eyes."""
    assert run("history", "m", "--limit", "3", "--verify")[0].exit_code == 0

    problem = {"seq": 7, "what": "entry 7 was changed"}
    broken = {**HISTORY, "is_sound": False, "problem": problem}
    answers = {f"GET {PATH}/history?limit=20&verify=1": (200, broken)}
    result, _ = run("history", "m", "--verify", answers=answers)
    assert result.exit_code == 1
    assert "the audit is not sound: entry 7 was changed" in result.output


def test_who_was_faster_is_named() -> None:
    """A change that came too late says what to look at."""
    refusal = {"error": "it is at generation 8", "code": "stale_generation", "release": STATUS}
    result, _ = run("hold", "m", "--reason", "x", answers={f"POST {PATH}/hold": (412, refusal)})

    assert result.exit_code == 1
    assert "it is at generation 8" in result.output
    assert "version 2 is live, after a promote by ann; look again" in result.output
