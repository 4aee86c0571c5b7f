"""`tidegate model`: look at the models of a running gateway, load and unload them, check files.

Decides what these commands print. `check` needs no gateway.
"""

import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import typer

from server.cli.client import DEFAULT_URL, default_url, fail, post
from server.cli.plain import plain

model_app = typer.Typer(help="List, check, load and unload models.", no_args_is_help=True)

_URL = typer.Option(
    default_url,
    "--url",
    help=f"Address of the control port [TIDEGATE_URL; default {DEFAULT_URL}].",
    show_default=False,
)
_JSON = typer.Option(False, "--json", help="Print JSON for programs instead of a table.")


@model_app.command("list")
def list_models(url: str = _URL, as_json: bool = _JSON) -> None:
    """Show every version in the repository, its state, and why if it is not served.

    Example: tidegate model list --json
    """
    rows = post(url, "/v2/repository/index", timeout=10)
    _print_rows(rows, as_json=as_json)


@model_app.command("load")
def load(name: str, url: str = _URL, as_json: bool = _JSON) -> None:
    """Load a model as it lies in the repository, and wait until every worker has it.

    Example: tidegate model load breast-cancer
    """
    answer = post(url, _path(name, "load"))
    _print_rows(answer["versions"], as_json=as_json)


@model_app.command("unload")
def unload(name: str, url: str = _URL) -> None:
    """Stop serving a model until it is loaded again.

    Example: tidegate model unload breast-cancer
    """
    post(url, _path(name, "unload"))
    typer.echo(f"unloaded {name}", err=True)


def _path(name: str, verb: str) -> str:
    return f"/v2/repository/models/{quote(name, safe='')}/{verb}"


def _print_rows(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console

    from server.cli.summary import index_table

    Console(highlight=False).print(index_table(rows))


@model_app.command("check")
def check(
    path: Path = typer.Argument(
        help="A version's folder, models/<name>/<version>, or a model's folder."
    ),
    signers: Path = typer.Option(
        None, "--signers", help="A file of who may sign models: it must be signed by one of them."
    ),
    as_json: bool = _JSON,
) -> None:
    """Check a version as the gateway would before it serves it; needs no running gateway.

    Exit code 0 if it can be served, 1 if not.

    Example: tidegate model check models/breast-cancer/2
    """
    from server.cli.check import check_folder, versions_below

    folders = versions_below(path)
    if not folders:
        fail(f"{path} holds no version", "name a folder like models/<name>/<version>")
    with tempfile.TemporaryDirectory() as scratch:
        reports = [check_folder(folder, Path(scratch), signers) for folder in folders]
    if as_json:
        typer.echo(json.dumps(reports, indent=2))
    else:
        for report in reports:
            _print_report(report)
    if any("error" in report for report in reports):
        raise typer.Exit(1)


def _print_report(report: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    path = plain(report["path"])
    if "error" in report:
        console.print(f"[red]cannot be served[/]  {path}: {plain(report['error'])}")
        console.print(f"  fix: {plain(report['fix'])}")
        return
    console.print(f"[green]can be served[/]  {path}  (sha256 {report['digest'][:12]})")
    if report["signer"]:
        console.print(f"  signed by {report['signer']}", markup=False)
    for side in ("inputs", "outputs"):
        for tensor in report[side]:
            line = f"  {side[:-1]:6} {tensor['name']}  {tensor['datatype']} {tensor['shape']}"
            console.print(line, markup=False)
    console.print(f"  batched: {'yes' if report['is_batched'] else 'no'}")
    console.print(f"  golden rows compared: {report['golden_rows']}")
    console.print(f"  one row takes {report['batch_seconds'] * 1e6:.0f} microseconds")
    for warning in report["warnings"]:
        console.print(f"  note: {warning}", markup=False)
