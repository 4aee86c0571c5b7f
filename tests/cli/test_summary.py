"""What is printed when the gateway is ready: what is served, where, and a line that works."""

import json
import shlex
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.cli.summary import print_ready
from server.settings import Settings
from server.supervisor import Supervisor
from tests.support.fake_http import Answers, answering
from tests.support.gateway import call


def live(name: str, *, is_live: bool = True) -> dict[str, Any]:
    return {"name": name, "version": "1", "state": "READY", "reason": "", "live": is_live}


def metadata(*inputs: tuple[str, str, list[int]]) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in inputs
        ]
    }


def printed(
    capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], port: int, **settings: Any
) -> list[str]:
    """Return the lines of a summary; nothing of it goes to standard output."""
    supervisor = SimpleNamespace(settings=Settings(**settings), port=port, control_port=8001)
    print_ready(cast("Supervisor", supervisor), rows)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def command_in(lines: list[str]) -> list[str]:
    """Return the words of the line to try, as a shell splits it."""
    return shlex.split(lines[lines.index("try it:") + 1])


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        (
            [("x", "FP32", [-1, 3])],
            {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 1, 1]}]},
        ),
        (
            [('it\'s "x" $HOME `a`', "BYTES", [-1]), ("flag", "BOOL", [2])],
            {
                "inputs": [
                    {
                        "name": 'it\'s "x" $HOME `a`',
                        "datatype": "BYTES",
                        "shape": [1],
                        "data": ["a"],
                    },
                    {"name": "flag", "datatype": "BOOL", "shape": [2], "data": [True, True]},
                ]
            },
        ),
        (
            [("scalar", "INT64", [])],
            {"inputs": [{"name": "scalar", "datatype": "INT64", "shape": [], "data": [1]}]},
        ),
    ],
)
def test_the_line_to_try_is_one_command_that_works_as_typed(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    inputs: list[tuple[str, str, list[int]]],
    body: object,
) -> None:
    """A shell hands curl the address and the very body, however narrow the terminal is."""
    monkeypatch.setenv("COLUMNS", "40")
    answers: Answers = {
        "GET /v2/models/m": (200, metadata(*inputs)),
        "POST /v2/models/m/infer": (200, {"outputs": []}),
    }
    with answering(answers) as server:
        command = command_in(printed(capsys, [live("m")], server.port))
        program, flag, url, data_flag, data = command
        assert (program, flag, data_flag) == ("curl", "-s", "-d")
        assert call(url, data.encode()).status == 200
        assert server.asked[-1] == ("POST /v2/models/m/infer", data.encode())

    assert json.loads(data) == body


def test_a_model_with_handy_inputs_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not live, does not answer or takes more than 64 numbers is nothing to try."""
    answers: Answers = {
        "GET /v2/models/idle": (200, metadata(("x", "FP32", [-1, 1]))),
        "GET /v2/models/gone": (503, {"error": "loading"}),
        "GET /v2/models/odd": (200, b"<html>"),
        "GET /v2/models/image": (200, metadata(("x", "FP32", [-1, 65]))),
        "GET /v2/models/half": (200, metadata(("x", "FP32", [1]), ("y", "FP32", [3, 224, 224]))),
        "GET /v2/models/good": (200, metadata(("x", "FP32", [-1, 64]))),
    }
    rows = [live("idle", is_live=False), *map(live, ("gone", "odd", "image", "half", "good"))]
    with answering(answers) as server:
        command = command_in(printed(capsys, rows, server.port))
        assert command[2] == f"{server.url}/v2/models/good/infer"
        assert "try it:" not in printed(capsys, rows[:-1], server.port)


def test_both_addresses_and_every_version_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Where predictions and control are, what is served, and why what is not."""
    broken = {"name": "b", "version": "3", "state": "UNAVAILABLE", "reason": "no", "fix": "mend"}
    lines = [" ".join(line.split()) for line in printed(capsys, [live("a"), broken], 9)]

    assert "a 1 READY live" in lines
    assert lines[lines.index("b 3 UNAVAILABLE no") + 1] == "fix: mend"
    assert any(line.startswith("predictions http://127.0.0.1:9 ") for line in lines)
    assert any(line.startswith("control http://127.0.0.1:8001 ") for line in lines)


def test_a_model_that_does_not_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """On which worker, and why, beside what is said of the version."""
    row = live("m") | {"unready": {"1": "it has not answered for 12 seconds"}}
    lines = printed(capsys, [row], 1)

    told = " ".join(" ".join(lines).split())
    assert "not ready on worker 1: it has not answered for 12 seconds" in told


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("0.0.0.0", "http://127.0.0.1:9"),
        ("::", "http://[::1]:9"),
        ("::1", "http://[::1]:9"),
        ("gateway.example", "http://gateway.example:9"),
    ],
)
def test_addresses_are_such_as_a_client_can_use(
    capsys: pytest.CaptureFixture[str], host: str, shown: str
) -> None:
    """Listening everywhere is told as the way to this machine; IPv6 has its brackets."""
    lines = printed(capsys, [], 9, host=host, control_host=host)

    assert any(line.split()[:2] == ["predictions", shown] for line in lines)
    assert any(line.split()[:2] == ["control", f"{shown[:-1]}8001"] for line in lines)
