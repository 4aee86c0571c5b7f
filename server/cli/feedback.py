"""`tidegate feedback push`: send true labels from a file to a running gateway.

Decides how a file is read: a table with a line of names, or JSON; and how values of a table become
labels: what looks like a number is one, true and false are truths, the rest is text.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from server.cli.client import DEFAULT_URL, default_url, fail, post
from server.cli.plain import visible

AT_ONCE = 5_000
"""Labels in one call: half of what a call may have, so that it is short in any case."""
SHOWN_REJECTED = 10

_WHOLE = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")

feedback_app = typer.Typer(help="True labels of predictions.", no_args_is_help=True)


@feedback_app.callback()
def _group() -> None:
    """Keep `push` a command of its own, though it is the only one."""


@feedback_app.command("push")
def push(
    file: Path = typer.Argument(
        help="A .csv with columns prediction_id and label, or .json or .jsonl with such objects; "
        "row, ts, acted_on and model may be there."
    ),
    text: bool = typer.Option(
        False, "--text", help="Take labels of a .csv as text, also those that look like numbers."
    ),
    url: str = typer.Option(
        default_url,
        "--url",
        help=f"Address of the control port [TIDEGATE_URL; default {DEFAULT_URL}].",
        show_default=False,
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON for programs."),
) -> None:
    """Send labels, and say what became of them; what was sent before is a duplicate then.

    Example: tidegate feedback push labels.csv
    """
    counts: Counter[str] = Counter()
    rejected: list[dict[str, Any]] = []
    places = _read(file, as_text=text)
    while some := list(islice(places, AT_ONCE)):
        answer = post(url, "/v1/feedback", {"items": [item for _, item in some]})
        for (place, _), result in zip(some, answer["results"], strict=True):
            counts[result["result"]] += 1
            if result["result"] == "rejected":
                rejected.append({"place": place, "reason": result["reason"]})
    if as_json:
        typer.echo(json.dumps({"counts": counts, "rejected": rejected}, indent=2))
    else:
        told = ", ".join(f"{number:,} {result}" for result, number in sorted(counts.items()))
        typer.echo(told or "no labels")
        for one in rejected[:SHOWN_REJECTED]:
            typer.echo(f"  {one['place']}: {visible(one['reason'])}", err=True)
        if len(rejected) > SHOWN_REJECTED:
            typer.echo(f"  and {len(rejected) - SHOWN_REJECTED:,} more", err=True)
    if rejected:
        raise typer.Exit(1)


def _read(file: Path, *, as_text: bool) -> Iterator[tuple[str, Any]]:
    """Yield items, each with where it is in the file."""
    readers = {".csv": _csv_items, ".json": _json_items, ".jsonl": _line_items}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        fail(f"{file.name} is not .csv, .json or .jsonl", "name the file by what it holds")
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            yield from reader(opened, as_text)
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        fail(f"{file} cannot be read: {reason}", "see docs/feedback.md for what it may hold")


def _csv_items(opened: Any, as_text: bool) -> Iterator[tuple[str, Any]]:
    reader = csv.DictReader(opened)
    missing = {"prediction_id", "label"} - set(reader.fieldnames or ())
    if missing:
        raise ValueError(f"the first line has no column {min(missing)}")
    for values in reader:
        item: dict[str, Any] = {}
        for name, value in values.items():
            if value in (None, "") or name is None:
                continue
            is_text = name in ("prediction_id", "model") or (name == "label" and as_text)
            item[name] = value if is_text else _value(value)
        yield f"line {reader.line_num}", item


def _json_items(opened: Any, _: bool) -> Iterator[tuple[str, Any]]:
    value = json.load(opened)
    items = value.get("items") if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise ValueError("it is no list of labels")
    for number, item in enumerate(items, 1):
        yield f"item {number}", item


def _line_items(opened: Any, _: bool) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(opened, 1):
        if line.strip():
            yield f"line {number}", json.loads(line)


def _value(text: str) -> Any:
    """Return what a cell of a table says; words that Python reads as numbers too are text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
