"""`tidegate release`: try versions on live traffic, let them through, take them back.

Decides names and options of the commands, and that what changes something says who calls: the
name by which the user is logged in, unless another is given. What is printed is decided in
`release_view.py`.
"""

import getpass
import json
from typing import Any
from urllib.parse import quote

import typer

from server.cli.client import DEFAULT_URL, default_url, fail, get, post

release_app = typer.Typer(
    help="Try versions on live traffic, let them through, roll back.", no_args_is_help=True
)

DEFAULT_HISTORY = 20

_MODEL = typer.Argument(help="The model.")
_VERSION = typer.Argument(help="The version.")
_URL = typer.Option(
    default_url,
    "--url",
    help=f"Address of the control port [TIDEGATE_URL; default {DEFAULT_URL}].",
    show_default=False,
)
_JSON = typer.Option(False, "--json", help="Print JSON for programs.")
_REASON = typer.Option("", "--reason", help="Why; it goes into the history.", show_default=False)
_ACTOR = typer.Option(
    None, "--actor", help="Who calls; your login name if it is left out.", show_default=False
)
_GENERATION = typer.Option(
    None,
    "--generation",
    help="Do nothing if the release is not at this generation any more.",
    show_default=False,
)
_DRY_RUN = typer.Option(False, "--dry-run", help="Say what would follow, and change nothing.")
_STOP = typer.Option(False, "--stop", help="End it.")


@release_app.command("status")
def status(model: str = _MODEL, url: str = _URL, as_json: bool = _JSON) -> None:
    """Show who has which part, what the gates say, and who changed something last.

    Example: tidegate release status breast-cancer
    """
    document = get(url, _path(model))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    from server.cli.plain import standard_output
    from server.cli.release_view import status_view

    standard_output().print(status_view(document))


@release_app.command("shadow")
def shadow(
    model: str = _MODEL,
    version: str = _VERSION,
    sample: float = typer.Option(
        100.0, "--sample", min=0, max=100, help="Percent of the live batches that it is run on."
    ),
    stop: bool = _STOP,
    reason: str = _REASON,
    generation: int | None = _GENERATION,
    actor: str | None = _ACTOR,
    dry_run: bool = _DRY_RUN,
    url: str = _URL,
    as_json: bool = _JSON,
) -> None:
    """Run a version on copies of live batches; its answers go nowhere.

    Example: tidegate release shadow breast-cancer 3 --sample 25
    """
    share = {"stop": True} if stop else {"sample_bp": _basis_points(sample, "--sample")}
    members = {"version": version, **share}
    _change(model, "shadow", members, url, generation, actor, reason, dry_run, as_json)


@release_app.command("canary")
def canary(
    model: str = _MODEL,
    version: str | None = typer.Argument(None, help="The version; none for --next and --stop."),
    steps: str | None = typer.Option(
        None,
        "--steps",
        help="Percent of the requests at each step, as 1,5,25,50.",
        show_default=False,
    ),
    approval: bool = typer.Option(
        False, "--approval", help="Have someone else approve before it can be promoted."
    ),
    go_on: bool = typer.Option(False, "--next", help="Go to the next step."),
    stop: bool = _STOP,
    reason: str = _REASON,
    generation: int | None = _GENERATION,
    actor: str | None = _ACTOR,
    dry_run: bool = _DRY_RUN,
    url: str = _URL,
    as_json: bool = _JSON,
) -> None:
    """Let a version answer a share of the requests.

    Example: tidegate release canary breast-cancer 3 --steps 1,10,50
    """
    members: dict[str, Any] = {}
    if version is not None:
        members["version"] = version
    if steps is not None:
        members["steps"] = [_basis_points(one, "--steps") for one in steps.split(",")]
    for name, is_given in (("needs_approval", approval), ("next", go_on), ("stop", stop)):
        if is_given:
            members[name] = True
    _change(model, "canary", members, url, generation, actor, reason, dry_run, as_json)


@release_app.command("promote")
def promote(
    model: str = _MODEL,
    version: str | None = typer.Argument(None, help="The version; the canary if it is left out."),
    override: bool = typer.Option(
        False, "--override", help="Pass over gates that have not passed, and other tensors."
    ),
    reason: str = _REASON,
    generation: int | None = _GENERATION,
    actor: str | None = _ACTOR,
    dry_run: bool = _DRY_RUN,
    url: str = _URL,
    as_json: bool = _JSON,
) -> None:
    """Make a version live; what was live stays loaded, to be rolled back to. Needs a reason.

    Example: tidegate release promote breast-cancer 3 --reason "better on new data"
    """
    members: dict[str, Any] = {"version": version} if version is not None else {}
    if override:
        members["override"] = True
    _change(model, "promote", members, url, generation, actor, reason, dry_run, as_json)


def _add_change(name: str, text: str) -> None:
    """Add a command that needs no more than the name of a model."""

    def change(
        model: str = _MODEL,
        reason: str = _REASON,
        generation: int | None = _GENERATION,
        actor: str | None = _ACTOR,
        dry_run: bool = _DRY_RUN,
        url: str = _URL,
        as_json: bool = _JSON,
    ) -> None:
        _change(model, name, {}, url, generation, actor, reason, dry_run, as_json)

    release_app.command(name, help=text)(change)


_add_change(
    "rollback",
    """Bring back what was live before, at once. Needs nothing else.

    Example: tidegate release rollback breast-cancer
    """,
)
_add_change(
    "approve",
    """Agree, as a second person, to the promotion of the canary.

    Example: tidegate release approve breast-cancer
    """,
)
_add_change(
    "hold",
    """Stop all that goes on by itself; who answers stays as it is. Needs a reason.

    Example: tidegate release hold breast-cancer --reason "holiday traffic"
    """,
)
_add_change(
    "resume",
    """Let things go on by themselves again.

    Example: tidegate release resume breast-cancer
    """,
)


@release_app.command("history")
def history(
    model: str = _MODEL,
    limit: int = typer.Option(DEFAULT_HISTORY, "--limit", min=1, max=1000, help="Changes to show."),
    verify: bool = typer.Option(
        False, "--verify", help="Check that no entry of the audit was changed or removed."
    ),
    url: str = _URL,
    as_json: bool = _JSON,
) -> None:
    """Show what was changed, by whom and why, newest first.

    With --verify, exit code 1 if the audit is not as it was written.

    Example: tidegate release history breast-cancer --verify
    """
    query = f"/history?limit={limit}" + ("&verify=1" if verify else "")
    document = get(url, _path(model) + query)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        from server.cli.plain import standard_output
        from server.cli.release_view import history_view

        standard_output().print(history_view(document))
    if verify and not document["is_sound"]:
        raise typer.Exit(1)


def _path(model: str) -> str:
    return f"/v1/models/{quote(model, safe='')}/release"


def _basis_points(percent: float | str, option: str) -> int:
    """Return percent as basis points; end the program if it has none or is no number."""
    try:
        share = float(percent) * 100
    except ValueError:
        share = 0.5  # No whole number of basis points.
    if not 0 <= share <= 10_000 or abs(share - round(share)) > 1e-6:
        fail(
            f"{option}: expected percent from 0 to 100 with two decimals at most, got {percent}",
            f"give {option} a number like 2.5",
        )
    return round(share)


def _change(
    model: str,
    name: str,
    members: dict[str, Any],
    url: str,
    generation: int | None,
    actor: str | None,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make a call that changes something, and print what has come of it."""
    body = {**members, "actor": actor or _login_name()}
    if reason:
        body["reason"] = reason
    headers = {"if-match": str(generation)} if generation is not None else {}
    path = f"{_path(model)}/{name}" + ("?dry_run=1" if dry_run else "")
    answer = post(url, path, body, headers=headers)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    from server.cli.plain import standard_output
    from server.cli.release_view import change_view

    standard_output().print(change_view(answer))


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # No such user, as in some containers.
        return "unknown"
