"""`tidegate demo`, for real, until the candidate has come."""

import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.cli import app


@pytest.fixture
def free_ports() -> list[str]:
    """Two ports that are free now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(2)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


def test_the_demo_plays_and_leaves_nothing(
    free_ports: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request fails, scenes are told with where to look, and its folder is gone afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    port, control = free_ports

    result = CliRunner().invoke(
        app, ["demo", "--port", port, "--control-port", control, "--seconds", "12"]
    )

    assert result.exit_code == 0, result.output
    assert f"http://127.0.0.1:{control}/" in result.output
    assert "0:10  somebody puts version 3 of breast-cancer into the repository" in result.output
    assert "requests, 0 of them failed" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the gateway that could not start."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["demo", "--port", port, "--seconds", "1"])

    assert result.exit_code == 1
    assert "the gateway did not start" in result.output
    assert port in result.output
