"""The performance report in a terminal: a table of versions and segments, and one of hours.

Decides words, layout and which figures are shown: of two classes accuracy, F1 and AUC, of more
accuracy and macro F1, of numbers the errors.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from server.cli.plain import plain

Json = Mapping[str, Any]

FIGURES = {
    "binary": ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "calibration_error"),
    "multiclass": ("accuracy", "macro_f1", "top_5_accuracy", "log_loss"),
    "regression": ("mean_error", "mae", "rmse", "r2"),
}
SHOWN_HOURS = 24
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def performance_view(report: Json, *, with_hours: bool) -> RenderableType:
    """Return the report of a model."""
    parts: list[RenderableType] = []
    for version in report["versions"]:
        for role in version["roles"]:
            parts += _role(report["model"], version, role, with_hours=with_hours)
    parts += [f"[yellow]{plain(words)}[/]" for words in report["warnings"]]
    parts += [_pair(pair) for pair in report["pairs"]]
    return Group(*parts) if parts else f"nothing is kept of {plain(report['model'])} yet"


def _role(model: str, version: Json, role: Json, *, with_hours: bool) -> list[RenderableType]:
    coverage = role["coverage"] or 0.0
    delay = _duration(role["label_delay_seconds"]["median"])
    title = (
        f"[bold]{plain(model)}[/] version {plain(version['version'])}, {role['role']}: "
        f"{role['labelled']:,} of {role['predicted']:,} rows have labels ({coverage:.0%})"
    )
    if role["labelled"]:
        title += f", half of them within {delay}"
    if role["acted_on"]["labelled"]:
        title += f"; {role['acted_on']['labelled']:,} were acted on, and are not in the figures"
    parts: list[RenderableType] = [title, _figures(version, role)]
    if version["estimated"] and role["role"] == "live":
        parts.append(f"[dim]the estimate assumes: {plain(version['estimated']['assumption'])}[/]")
    if with_hours:
        parts.append(_hours(role))
    return [*parts, ""]


def _figures(version: Json, role: Json) -> Table:
    names = FIGURES[role["task"]]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rows")
    table.add_column("labels", justify="right")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")

    def add(words: str, labelled: int | None, figures: Json) -> None:
        count = "" if labelled is None else f"{labelled:,}"
        table.add_row(words, count, *(_number(figures.get(name)) for name in names))

    add("by labels", role["labelled"], role["figures"])
    if version["estimated"] and role["role"] == "live":
        add("estimated", None, version["estimated"]["live"])
        add("reference", None, version["estimated"]["reference"])
    if role["acted_on"]["labelled"]:
        add("acted on", role["acted_on"]["labelled"], role["acted_on"]["figures"])
    for segment in role["segments"]:
        add(plain(segment["segment"]), segment["labelled"], segment["figures"])
    return table


def _hours(role: Json) -> Table:
    names = FIGURES[role["task"]][:2]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("hour (UTC)", "rows", "coverage", *names):
        table.add_column(name.replace("_", " "), justify="right")
    for cohort in role["cohorts"][-SHOWN_HOURS:]:
        moment = datetime.fromtimestamp(cohort["start_seconds"], UTC)
        table.add_row(
            moment.strftime("%Y-%m-%d %H:%M"),
            f"{cohort['predicted']:,}",
            f"{cohort['coverage']:.0%}" + ("" if cohort["is_mature"] else ", not yet all"),
            *(_number(cohort["figures"][name]) for name in names),
        )
    return table


def _pair(pair: Json) -> str:
    names = ("both_right", "live_only_right", "candidate_only_right", "neither_right")
    told = ", ".join(f"{pair[name]:,} {name.replace('_', ' ')}" for name in names)
    return f"{plain(pair['live'])} beside {plain(pair['candidate'])}, on the same rows: {told}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "more than a week"
    unit, word = next((unit, word) for unit, word in _UNITS if seconds >= unit)
    return f"{seconds / unit:g} {word}"
