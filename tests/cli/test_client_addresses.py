"""Addresses and names that are none end in a sentence, not in a traceback."""

import socket
import threading
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from server.cli import app


@pytest.mark.parametrize(
    "url", ["", "nonsense", "127.0.0.1:8001", "ftp://127.0.0.1", "http://[::1", "http://a b:1"]
)
def test_an_address_that_is_none_is_named_with_a_fix(url: str) -> None:
    """Whatever stands for the control port's address, the answer says what is wrong with it."""
    result = CliRunner().invoke(app, ["model", "list", "--url", url])

    assert result.exit_code == 1
    assert f"'{url}' is not an http:// address" in result.stderr
    assert "fix: name the control port with --url" in result.stderr


@pytest.mark.parametrize("name", ["a b", "ü", "../x", "a\nb", "a?b#c"])
def test_a_name_of_a_model_may_be_anything(name: str) -> None:
    """A name that no model can have gets as far as the control port, which knows that."""
    result = CliRunner().invoke(app, ["model", "load", name, "--url", "http://127.0.0.1:1"])

    assert result.exit_code == 1
    assert "the control port at http://127.0.0.1:1 cannot be reached" in result.stderr


@pytest.fixture(params=[b"hello\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"])
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """Something that listens and answers, and is no gateway."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(65536)
                link.sendall(request.param)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(60)


def test_another_server_is_told_from_a_control_port(stranger: str) -> None:
    """Who names the port of something else is told so."""
    result = CliRunner().invoke(app, ["model", "list", "--url", stranger])

    assert result.exit_code == 1
    assert f"what answers at {stranger} is not a control port" in result.stderr
