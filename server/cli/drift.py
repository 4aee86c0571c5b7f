"""`tidegate drift`: what has moved in the rows of a running gateway's models.

Decides what the command asks and how often. What it prints is decided in `drift_table.py`.
"""

import json
import time
from typing import Any
from urllib.parse import quote

import typer

from server.cli.client import DEFAULT_URL, default_url, get

WATCH_SECONDS = 2.0
SHOWN_COLUMNS = 15


def drift(
    model: str = typer.Argument(None, help="One model; all of them if it is left out."),
    url: str = typer.Option(
        default_url,
        "--url",
        help=f"Address of the control port [TIDEGATE_URL; default {DEFAULT_URL}].",
        show_default=False,
    ),
    version: str = typer.Option(None, "--version", help="One version; all if it is left out."),
    every: bool = typer.Option(
        False, "--all", help=f"Show every feature, not only the first {SHOWN_COLUMNS}."
    ),
    watch: bool = typer.Option(False, "--watch", help="Show it again and again, until Ctrl-C."),
    as_json: bool = typer.Option(
        False, "--json", help="Print JSON for programs instead of a table."
    ),
) -> None:
    """Show which features and predictions have moved away from their reference, and how far.

    Example: tidegate drift breast-cancer --watch
    """
    if as_json:
        typer.echo(json.dumps(_reports(url, model, version), indent=2))
        return
    from server.cli.drift_table import drift_view
    from server.cli.plain import standard_output

    shown = None if every else SHOWN_COLUMNS
    console = standard_output()
    try:
        while True:
            view = drift_view(_reports(url, model, version), shown, console.width)
            if watch:
                console.clear()
            console.print(view)
            if not watch:
                return
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def _reports(url: str, model: str | None, version: str | None) -> list[dict[str, Any]]:
    names = [model] if model is not None else get(url, "/v2/models", timeout=10)["models"]
    query = f"?version={quote(version, safe='')}" if version is not None else ""
    return [get(url, f"/v1/models/{quote(name, safe='')}/drift{query}") for name in names]
