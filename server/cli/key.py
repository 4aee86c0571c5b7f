"""`tidegate key`: make, list and revoke API keys, in the file that a gateway reads.

Decides how a key is shown (once, when it is made) and how long `90d` is. Needs no running gateway:
one that runs sees the changed file within a second.
"""

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import typer

from server.access.roles import GIVEN_ROLES
from server.cli.client import fail
from server.cli.plain import line, standard_output

key_app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

_UNITS = {"h": 3600, "d": 86_400}
_MAX_DAYS = 3650
_STATE_DIR = typer.Option(None, "--state-dir", help="State directory of the gateway.")
_KEYS_FILE = typer.Option(None, "--keys-file", help="The file of keys, if it is elsewhere.")
_CONFIG = typer.Option(None, "--config", envvar="TIDEGATE_CONFIG", help="A file of settings.")
_JSON = typer.Option(False, "--json", help="Print JSON for programs.")


@key_app.command("create")
def create(
    name: str = typer.Argument(help="Of the key's owner: the actor of the changes it makes."),
    roles: list[str] = typer.Option(..., "--role", help=f"One of {', '.join(GIVEN_ROLES)}."),
    models: list[str] = typer.Option([], "--model", help="A model it may ask; without one, all."),
    expires: str = typer.Option("never", "--expires", help="Such as 90d or 12h."),
    certificate: str = typer.Option(
        "", "--certificate", help="A name in a client certificate that stands for it, without key."
    ),
    state_dir: Path = _STATE_DIR,
    keys_file: Path = _KEYS_FILE,
    config: Path = _CONFIG,
    as_json: bool = _JSON,
) -> None:
    """Make a key, and print it: it cannot be shown again.

    Example: tidegate key create shop --role predict --model breast-cancer --expires 90d
    """
    from server.access import key_file, keys
    from server.access.keys import Key
    from server.access.principals import is_name
    from server.access.roles import Role

    if not is_name(name):
        fail("a name has 1 to 100 characters that can be seen", "choose another name")
    unknown = [role for role in roles if role not in GIVEN_ROLES]
    if unknown:
        fail(f"'{unknown[0]}' is no role", f"give one of {', '.join(GIVEN_ROLES)}")
    now = time.time()
    key_id, token = key_file.new_token()
    entry = Key(
        key_id,
        name,
        tuple(dict.fromkeys(map(Role, roles))),
        tuple(models) or None,
        "" if certificate else keys.digest(token.encode()),
        certificate,
        now,
        None if expires == "never" else now + _seconds(expires),
    )
    path = _path(state_dir, keys_file, config)
    _change(path, lambda found: [*found, entry])
    if as_json:
        typer.echo(json.dumps({**_plain(entry, now), "key": None if certificate else token}))
    else:
        typer.echo(f"key {key_id} of {name} is in {path}", err=True)
        if not certificate:
            typer.echo(token)


@key_app.command("list")
def list_keys(
    state_dir: Path = _STATE_DIR,
    keys_file: Path = _KEYS_FILE,
    config: Path = _CONFIG,
    as_json: bool = _JSON,
) -> None:
    """Show what is kept of every key: never the key itself.

    Example: tidegate key list --json
    """
    from server.access import key_file

    path, now = _path(state_dir, keys_file, config), time.time()
    try:
        rows = [_plain(key, now) for key in key_file.read(path)]
    except (OSError, ValueError) as error:
        _fail(path, error)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ID", "NAME", "ROLES", "MODELS", "STATE", "EXPIRES", "CERTIFICATE"):
        table.add_column(column, overflow="fold")
    for row in rows:
        models = "all" if row["models"] is None else " ".join(row["models"])
        roles, expires = " ".join(row["roles"]), row["expires"] or "never"
        cells = (row["id"], row["name"], roles, models, row["state"], expires, row["certificate"])
        table.add_row(*map(line, cells))
    standard_output().print(table)


@key_app.command("revoke")
def revoke(
    key: str = typer.Argument(help="Id of the key, or its name if no other one has it."),
    state_dir: Path = _STATE_DIR,
    keys_file: Path = _KEYS_FILE,
    config: Path = _CONFIG,
    as_json: bool = _JSON,
) -> None:
    """End a key: gateways refuse it within a second or two.

    Example: tidegate key revoke k3x9a0bz
    """
    now = time.time()
    ended: list[Any] = []

    def edit(found: list[Any]) -> Sequence[Any]:
        good = [one for one in found if one.revoked_seconds is None]
        meant = [one for one in good if one.key_id == key] or [
            one for one in good if one.name == key
        ]
        if not meant:
            fail(f"no key goes by '{key}'", "see 'tidegate key list'")
        if len(meant) > 1:
            ids = ", ".join(one.key_id for one in meant)
            fail(f"{len(meant)} keys are named '{key}': {ids}", "give the id of one")
        ended.append(replace(meant[0], revoked_seconds=now))
        return [ended[0] if one is meant[0] else one for one in found]

    _change(_path(state_dir, keys_file, config), edit)
    if as_json:
        typer.echo(json.dumps(_plain(ended[0], now)))
    else:
        typer.echo(f"revoked {ended[0].key_id} of {ended[0].name}", err=True)


def _path(state_dir: Path | None, keys_file: Path | None, config: Path | None) -> Path:
    from server.config import load_settings
    from server.errors import ConfigError

    flags = {"state_dir": state_dir, "keys_file": keys_file}
    given = {name: str(value) for name, value in flags.items() if value is not None}
    try:
        return load_settings(given, os.environ, config)[0].keys_path
    except ConfigError as error:
        fail(error.problems[0], "see docs/settings.md")


def _change(path: Path, edit: Any) -> None:
    from server.access import key_file

    try:
        key_file.change(path, edit)
    except (OSError, ValueError) as error:
        _fail(path, error)


def _fail(path: Path, error: Exception) -> NoReturn:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    fail(f"{path} cannot be used: {reason}", "see docs/access.md for what it may hold")


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([1-9]\d{0,5})([hd])", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= _MAX_DAYS * _UNITS["d"]:
        fail(f"'{text}' is no time", f"give hours or days up to {_MAX_DAYS}d, such as 12h or 90d")
    return float(seconds)


def _plain(key: Any, now: float) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "roles": list(key.roles),
        "models": None if key.models is None else list(key.models),
        "certificate": key.certificate,
        "state": key.state(now),
        "created": _moment(key.created_seconds),
        "expires": _moment(key.expires_seconds),
        "revoked": _moment(key.revoked_seconds),
    }


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
