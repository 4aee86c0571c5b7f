"""Calls of the control port by commands: the key that is shown, and what a refusal advises."""

import pytest
from typer.testing import CliRunner

from server.cli import app
from tests.support.fake_http import answering

INDEX = "POST /v2/repository/index"


@pytest.mark.parametrize("key", ["", "tg_abcd0123_secret"])
def test_the_key_of_the_variable_is_shown(key: str) -> None:
    """And nothing where there is none."""
    with answering({INDEX: (200, [])}) as server:
        result = CliRunner(env={"TIDEGATE_KEY": key}).invoke(
            app, ["model", "list", "--url", server.url]
        )

    assert result.exit_code == 0
    assert server.headers[0].get("authorization") == (f"Bearer {key}" if key else None)


@pytest.mark.parametrize(("status", "code"), [(401, "unauthenticated"), (403, "forbidden")])
def test_who_is_refused_is_told_where_keys_come_from(status: int, code: str) -> None:
    """The words of the gateway, and the variable that holds a key."""
    refusal = {"error": "a valid key is needed", "code": code, "request_id": "r"}
    with answering({INDEX: (status, refusal)}) as server:
        result = CliRunner().invoke(app, ["model", "list", "--url", server.url])

    assert result.exit_code == 1
    assert "a valid key is needed" in result.stderr
    assert "put a key with that role into TIDEGATE_KEY" in result.stderr
