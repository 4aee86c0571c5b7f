"""The drift report in a terminal: a table of features, with their histograms as sparklines.

Decides words, layout and colours only.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from server.cli.plain import plain

BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_CHARACTERS = 12
LISTED_Q = 0.05

_NAME_CHARACTERS = 24
"""Of a feature's name in one line; a longer one is folded."""
_LEAST_WIDTHS = {"PSI": 130, "NOISE": 130, "MISSING": 130, "REFERENCE": 106, "LIVE": 106}
"""Characters that a terminal has at least if it shows these columns: else WHAT has no room."""

_STYLES = {"firing": "bold red", "pending": "yellow"}


def drift_view(reports: Sequence[dict[str, Any]], shown: int | None, width: int) -> RenderableType:
    """Return the reports of some models; of each version at most `shown` features.

    A terminal of less than 130 characters in `width` has fewer columns.
    """
    parts: list[RenderableType] = []
    for report in reports:
        if not report["versions"]:
            parts.append(f"[bold]{plain(report['model'])}[/]  no version of it is watched\n")
        for version in report["versions"]:
            parts += _version(report["model"], version, shown, width)
    return Group(*parts) if parts else "no model is served"


def _version(
    model: str, version: dict[str, Any], shown: int | None, width: int
) -> list[RenderableType]:
    live = ", live" if version["is_live"] else ""
    title = f"[bold]{plain(model)}[/] version {plain(version['version'])}{live}: "
    if version["state"] == "learning":
        learned = version["learned_rows"]
        return [f"{title}learning what is usual, {learned:,} rows so far\n"]
    reference = version["reference"]
    kind = "its own first rows" if reference["is_self_reference"] else plain(reference["name"])
    day = version["windows"][-1]["rows"]
    if not day:
        return [f"{title}no rows in a day\n"]
    parts: list[RenderableType] = [
        f"{title}{day:,} rows in a day, held to {reference['rows']:,} of {kind}{_hours(version)}"
    ]
    for half in reference["halves_differ"]:
        words = plain(f"{half['column']}: {half['words']}")
        parts.append(f"[yellow]the reference does not agree with itself[/]  {words}")
    parts += [_alert_line(alert) for alert in version["alerts"]]
    if version["performance"]:
        parts.append(_performance(version["performance"]))
    columns = version["columns"] if shown is None else version["columns"][:shown]
    parts.append(_table(columns, width))
    left = len(version["columns"]) - len(columns)
    parts.append(f"{left} more with --all\n" if left else "")
    return parts


def _hours(version: dict[str, Any]) -> str:
    """Say which hours of the reference the last sub-window was held to, if it has hours."""
    if version["reference"]["cycle"] is None:
        return ""
    hours = version["windows"][0]["reference_hours"]
    return f", now to {', '.join(hours)} (UTC)" if hours else ", by hour"


def _performance(found: dict[str, Any]) -> str:
    """Return estimates beside those of the reference, and what they assume."""
    names = ("accuracy", "f1", "roc_auc")
    figures = [
        f"{name} {found['live'][name]:.3f} ({found['reference'][name]:.3f})"
        for name in names
        if found["live"][name] is not None and found["reference"][name] is not None
    ]
    if not figures:
        return "[dim]performance cannot be estimated yet[/]"
    told = f"estimated {', '.join(figures)}, in parentheses the reference's"
    return f"{told}\n[dim]assumes: {plain(found['assumption'])}[/]"


def _alert_line(alert: dict[str, Any]) -> str:
    style, words = _STYLES[alert["state"]], plain(alert.get("words", ""))
    return f"[{style}]{alert['rule']} {alert['state']}[/]  {words}{_since(alert)}"


def _table(columns: Sequence[dict[str, Any]], width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("FEATURE", overflow="fold", max_width=_NAME_CHARACTERS)
    table.add_column("ALERT", no_wrap=True)
    table.add_column("WHAT", overflow="fold", min_width=30)
    table.add_column("EFFECT", justify="right")
    details = [name for name, least in _LEAST_WIDTHS.items() if width >= least]
    for name in details:
        is_drawn = name in ("REFERENCE", "LIVE")
        table.add_column(name, justify="left" if is_drawn else "right", no_wrap=True)
    for column in columns:
        cells = _details(column)
        table.add_row(
            plain(column["name"]),
            "\n".join(_alert(alert) for alert in column["alerts"]),
            _words(column),
            f"{column['verdict']['effect']:.2f}",
            *(cells[name] for name in details),
        )
    return table


def _details(column: dict[str, Any]) -> dict[str, str]:
    """Return the cells that only a wide terminal shows, by column of the table."""
    measures = column["measures"]
    reference, live = (joined(column["histogram"][side]) for side in ("reference", "live"))
    highest = max([*reference, *live], default=0.0)
    return {
        "PSI": f"{measures['psi']:.3f}",
        "NOISE": "" if measures["psi_floor"] is None else f"{measures['psi_floor']:.3f}",
        "MISSING": _percent(column["rates"]),
        "REFERENCE": sparkline(reference, highest),
        "LIVE": sparkline(live, highest),
    }


def _alert(alert: dict[str, Any]) -> str:
    return f"[{_STYLES[alert['state']]}]{alert['rule']} {alert['state']}[/]"


def _words(column: dict[str, Any]) -> str:
    """Return what is different about a column, as far as it is certain."""
    alerts = column["alerts"]
    told = [plain(alert.get("words", "")) for alert in alerts]
    if alerts:
        told.append(_since(min(alerts, key=_began)).strip())
    verdict = column["verdict"]
    if not verdict["has_enough_rows"]:
        told.append("[dim]too few rows[/]")
    elif not told and verdict["q"] <= LISTED_Q:
        told.append(plain(verdict["words"]))
    size = column.get("range", {}).get("size", "")
    if size and alerts:
        told.insert(1, f"largest value {size}")
    novel = [plain(one["word"]) or "''" for one in column.get("novel", ())]
    if novel and alerts:
        told.append(f"new: {', '.join(novel[:3])}{', …' if len(novel) > 3 else ''}")
    return "\n".join(told)


def _began(alert: dict[str, Any]) -> float:
    """Return when the change began, as far as it is known."""
    began: float = alert["onset_seconds"] or alert["since_seconds"]
    return began


def _since(alert: dict[str, Any]) -> str:
    """Return since when a change is there, in local time."""
    return f" since {datetime.fromtimestamp(_began(alert), UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _percent(rates: Sequence[dict[str, Any]]) -> str:
    live = next((rate["live"] for rate in rates if rate["name"] == "missing"), None)
    return "" if live is None else f"{100.0 * live:.1f}%"


def joined(shares: Sequence[float]) -> list[float]:
    """Return shares of neighbours together, so that a line has SPARK_CHARACTERS at most."""
    size = -(-len(shares) // SPARK_CHARACTERS)
    return [sum(shares[at : at + size]) for at in range(0, len(shares), size or 1)]


def sparkline(shares: Sequence[float], highest: float) -> str:
    """Return shares as a line of blocks, the highest block for `highest`."""
    if highest <= 0.0:
        return " " * len(shares)
    steps = [share / highest * (len(BLOCKS) - 1) for share in shares]
    return "".join(BLOCKS[round(min(step, len(BLOCKS) - 1.0))] for step in steps)
