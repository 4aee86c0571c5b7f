"""`tidegate health` against something that answers as a data port would."""

import socket
import ssl
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from tests.support.authority import Authority
from tests.support.fake_http import Answers, answering

READY: Answers = {
    "GET /v2/health/ready": (200, {"live": True, "ready": True}),
    "GET /v2/health/live": (200, {"live": True}),
}
STARTING: Answers = {
    "GET /v2/health/ready": (503, {"live": True, "ready": False}),
    "GET /v2/health/live": (200, {"live": True}),
}


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(app, ["health", *arguments])


def test_a_gateway_that_is_ready_is_healthy() -> None:
    """The port is the one that the settings name."""
    with answering(READY) as server:
        result = run(TIDEGATE_PORT=server.url.rsplit(":", 1)[1], TIDEGATE_HOST="0.0.0.0")

    assert (result.exit_code, result.stdout) == (0, "ready\n")


def test_one_that_only_lives_is_healthy_if_that_is_asked() -> None:
    """A start that takes long is no reason to end it."""
    with answering(STARTING) as server:
        assert run("--url", server.url).exit_code == 1
        result = run("--live", "--url", server.url)

    assert (result.exit_code, result.stdout) == (0, "live\n")


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "nonsense", "http://[::1"])
def test_nobody_there_is_said_with_a_fix(url: str) -> None:
    """Also of an address that is none; never a traceback."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = run("--url", url.format(port=unused.getsockname()[1]))

    assert result.exit_code == 1
    assert "does not answer" in result.stderr
    assert "fix: " in result.stderr


def test_a_gateway_that_speaks_tls_is_asked_so(tmp_path: Path) -> None:
    """Its certificate is for the name that others know it by; a named address has to fit."""
    cert, key = map(str, Authority(tmp_path).sign("gateway.example"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    with answering(READY, context) as server:
        port = str(server.port)
        own = run(TIDEGATE_PORT=port, TIDEGATE_TLS_CERT=cert, TIDEGATE_TLS_KEY=key)
        named = run("--url", f"https://127.0.0.1:{port}")

    assert (own.exit_code, own.stdout) == (0, "ready\n")
    assert named.exit_code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in named.stderr


def test_wrong_settings_are_told() -> None:
    """The container's own variables may be what is wrong."""
    result = run(TIDEGATE_PORT="eight")

    assert result.exit_code == 1
    assert "TIDEGATE_PORT" in result.stderr
