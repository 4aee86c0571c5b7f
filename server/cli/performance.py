"""`tidegate performance`: how well a model does by the labels that have come.

Decides what the command asks. What it prints is decided in `performance_table.py`.
"""

import json
from urllib.parse import quote

import typer

from server.cli.client import DEFAULT_URL, default_url, get
from server.cli.plain import standard_output


def performance(
    model: str = typer.Argument(help="A model."),
    hours: bool = typer.Option(False, "--hours", help="Show the last hours of predictions too."),
    url: str = typer.Option(
        default_url,
        "--url",
        help=f"Address of the control port [TIDEGATE_URL; default {DEFAULT_URL}].",
        show_default=False,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print JSON for programs instead of tables."
    ),
) -> None:
    """Show accuracy by true labels, beside what is estimated without them.

    Example: tidegate performance breast-cancer
    """
    report = get(url, f"/v1/models/{quote(model, safe='')}/performance")
    if as_json:
        typer.echo(json.dumps(report, indent=2))
        return
    from server.cli.performance_table import performance_view

    standard_output().print(performance_view(report, with_hours=hours))
