"""`tidegate key`: keys are made, listed and revoked in the file that a gateway reads."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from server.access import key_file
from server.access.keyring import Keyring
from server.cli import app


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no settings of ours lie about, and without variables of ours."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)


def key(*arguments: str, **environment: str) -> Result:
    """Run a command of `tidegate key`."""
    return CliRunner(env=environment).invoke(app, ["key", *arguments])


def rows(*arguments: str) -> Any:
    """Return what `list` prints."""
    return json.loads(key("list", "--json", *arguments).stdout)


def test_a_key_is_printed_once_and_is_good(tmp_path: Path) -> None:
    """Alone on standard output, so that a script can take it; the file has no secret."""
    made = key("create", "shop", "--role", "predict", "--model", "iris", "--expires", "90d")

    token = made.stdout.strip()
    path = tmp_path / ".tidegate" / "keys.json"
    found, _ = Keyring(key_file.read(path)).find(token.encode(), time.time())
    assert made.exit_code == 0
    assert found is not None
    assert (found.name, found.models) == ("shop", {"iris"})
    assert str(path) in made.stderr
    assert token not in path.read_text() + made.stderr + key("list").stdout
    assert path.stat().st_mode & 0o777 == 0o600
    [row] = rows()
    assert row["state"] == "active"
    assert row["expires"] is not None


def test_the_table_shows_what_is_kept() -> None:
    """And what of it holds for all, and for ever."""
    key("create", "ops", "--role", "operate", "--role", "predict")
    key("create", "proxy", "--role", "predict", "--certificate", "proxy.example")

    shown = key("list").stdout
    assert "operate predict" in shown
    assert "never" in shown
    assert "proxy.example" in shown
    assert [row["models"] for row in rows()] == [None, None]


def test_a_key_is_revoked_by_its_id_or_by_a_name_that_is_its_own() -> None:
    """A name that two keys have does not say which."""
    first = json.loads(key("create", "shop", "--role", "predict", "--json").stdout)
    second = json.loads(key("create", "shop", "--role", "predict", "--json").stdout)

    unclear = key("revoke", "shop")
    assert unclear.exit_code == 1
    assert f"{first['id']}, {second['id']}" in unclear.stderr
    assert key("revoke", first["id"]).exit_code == 0
    assert json.loads(key("revoke", "shop", "--json").stdout)["id"] == second["id"]
    assert [row["state"] for row in rows()] == ["revoked", "revoked"]
    assert "no key goes by 'shop'" in key("revoke", "shop").stderr


def test_the_file_is_where_the_settings_say(tmp_path: Path) -> None:
    """By flag, by variable or by tidegate.toml: the same as for the gateway."""
    key("create", "a", "--role", "predict", "--keys-file", str(tmp_path / "flag.json"))
    key("create", "a", "--role", "predict", TIDEGATE_KEYS_FILE="variable.json")
    Path("tidegate.toml").write_text('state_dir = "elsewhere"')
    key("create", "a", "--role", "predict")

    assert (tmp_path / "flag.json").exists()
    assert (tmp_path / ".tidegate" / "variable.json").exists()
    assert (tmp_path / "elsewhere" / "keys.json").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["create", "a", "--role", "open"], "'open' is no role"),
        (["create", " a", "--role", "predict"], "a name has 1 to 100 characters"),
        (["create", "a", "--role", "predict", "--expires", "soon"], "'soon' is no time"),
        (["create", "a", "--role", "predict", "--expires", "0d"], "'0d' is no time"),
        (["create", "a", "--role", "predict", "--expires", "9999d"], "'9999d' is no time"),
        (["revoke", "nobody"], "no key goes by 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], complaint: str) -> None:
    """With what would help, and without a file."""
    refused = key(*arguments)

    assert refused.exit_code == 1
    assert complaint in refused.stderr
    assert "fix:" in refused.stderr


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    """Nobody's keys are lost because a new one is made."""
    path = tmp_path / "keys.json"
    path.write_text("{")

    for arguments in (["list"], ["create", "a", "--role", "predict"], ["revoke", "a"]):
        refused = key(*arguments, "--keys-file", str(path))
        assert refused.exit_code == 1
        assert "cannot be used: it is not JSON" in refused.stderr
    assert path.read_text() == "{"
