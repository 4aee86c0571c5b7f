"""`tidegate model list|load|unload` against a control port that answers what we tell it."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.support.fake_http import Answers, answering

ROWS: list[dict[str, Any]] = [
    {"name": "iris", "version": "1", "state": "READY", "reason": "", "live": False},
    {
        "name": "iris",
        "version": "2",
        "state": "READY",
        "reason": "",
        "live": True,
        "warnings": ["it is served unbatched"],
    },
    {
        "name": "broken",
        "version": "1",
        "state": "UNAVAILABLE",
        "reason": "it has no model.onnx",
        "fix": "put the model at broken/1/model.onnx",
    },
    {"name": "bad name", "version": "", "state": "UNAVAILABLE", "reason": "the name …"},
    {"name": "new", "version": "1", "state": "LOADING", "reason": "it is being checked"},
]
INDEX: Answers = {"POST /v2/repository/index": (200, ROWS)}


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env={"COLUMNS": "200", "TERM": "dumb", **environment}).invoke(
        app, ["model", *arguments]
    )


def test_list_prints_a_row_for_each_version() -> None:
    """State, which version is live, and for each that is not served why not and what to do."""
    with answering(INDEX) as server:
        result = run("list", "--url", server.url + "/")

    assert result.exit_code == 0
    assert result.stderr == ""
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "MODEL VERSION STATE LIVE DETAIL",
        "iris 1 READY",
        "iris 2 READY live note: it is served unbatched",
        "broken 1 UNAVAILABLE it has no model.onnx",
        "fix: put the model at broken/1/model.onnx",
        "bad name UNAVAILABLE the name …",
        "new 1 LOADING it is being checked",
    ]
    assert server.asked == [("POST /v2/repository/index", b"{}")]


def test_list_prints_json_as_it_came() -> None:
    """What a program reads is the control port's own answer, on standard output alone."""
    with answering(INDEX) as server:
        result = run("list", "--json", "--url", server.url)

    assert json.loads(result.stdout) == ROWS
    assert result.stderr == ""


def test_the_variable_names_the_control_port() -> None:
    """Without --url the address is TIDEGATE_URL, and a flag wins over it."""
    with answering(INDEX) as server:
        assert run("list", TIDEGATE_URL=server.url).exit_code == 0
        assert run("list", "--url", server.url, TIDEGATE_URL="http://127.0.0.1:1").exit_code == 0
        assert len(server.asked) == 2
        assert run("list", "--url", "http://127.0.0.1:1", TIDEGATE_URL=server.url).exit_code == 1
        assert len(server.asked) == 2


def test_load_waits_and_prints_what_is_loaded() -> None:
    """The answer's versions are printed like a list; as JSON if asked for."""
    answers: Answers = {"POST /v2/repository/models/iris/load": (200, {"versions": ROWS[:2]})}
    with answering(answers) as server:
        table = run("load", "iris", "--url", server.url)
        as_json = run("load", "iris", "--json", "--url", server.url)

    assert table.exit_code == as_json.exit_code == 0
    assert "iris   2        READY  live" in table.stdout
    assert json.loads(as_json.stdout) == ROWS[:2]


def test_unload_says_what_it_did_on_standard_error() -> None:
    """There is no data to print; a pipe gets nothing."""
    with answering({"POST /v2/repository/models/iris/unload": (200, b"")}) as server:
        result = run("unload", "iris", "--url", server.url)

    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr == "unloaded iris\n"


@pytest.mark.parametrize("command", ["load", "unload"])
def test_a_refusal_is_told_with_its_fix(command: str) -> None:
    """The control port's own words come on standard error, and the exit code is 1."""
    body = {"error": "model 'x': it is broken", "code": "model_invalid", "fix": "export it again"}
    with answering({f"POST /v2/repository/models/x%20y/{command}": (400, body)}) as server:
        result = run(command, "x y", "--url", server.url)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "tidegate: model 'x': it is broken\n  fix: export it again\n"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"detail": "?"}', b"null"])
def test_a_refusal_in_another_form_is_told_by_its_status(body: bytes) -> None:
    """A proxy's own error page does not become a traceback."""
    with answering({"POST /v2/repository/index": (502, body)}) as server:
        result = run("list", "--url", server.url)

    assert result.exit_code == 1
    assert result.stderr == "tidegate: the control port answered with status 502\n"


def test_no_gateway_is_told_with_what_to_do() -> None:
    """When nobody listens, the address, the cause and two ways out are named."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    result = run("list", "--url", url)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"the control port at {url} cannot be reached: [Errno 111]" in result.stderr
    assert "fix: start the gateway with 'tidegate serve', or name its control port with --url" in (
        result.stderr
    )


def test_a_settings_file_is_no_business_of_these_commands(tmp_path: Path) -> None:
    """A wrong tidegate.toml where one stands does not keep from looking at a gateway."""
    (tmp_path / "tidegate.toml").write_text("nonsense")
    with answering(INDEX) as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert run("list", "--url", server.url).exit_code == 0
