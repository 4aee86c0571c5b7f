"""Releases in a terminal: how one stands, what a call has changed, what there was before.

Decides words, layout and colours only. Everything fits 80 characters.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from server.cli.plain import line

_STYLES = {
    "live": "bold green",
    "canary": "cyan",
    "shadow": "cyan",
    "failed": "red",
    "held": "yellow",
}
_VERDICTS = {"pass": "green", "fail": "bold red"}
_DIGEST_CHARACTERS = 12


def status_view(document: dict[str, Any]) -> RenderableType:
    """Return how a release stands."""
    mode = document["mode"] or "unknown"
    parts: list[RenderableType] = [
        f"[bold]{line(document['model'])}[/]  generation {document['generation']}, "
        f"release = {line(mode)}"
    ]
    if document["held"]:
        parts.append(f"[yellow]held[/]: {line(document['held'])}")
    parts += ["", _versions(document["versions"])]
    gates = list(_gates(document.get("gates") or {}))
    if gates:
        parts += ["", *gates]
    parts.append("")
    if document["last_change"] is not None:
        parts.append(_last_change(document["last_change"]))
    parts.append(_workers(document))
    if document["unwritten_changes"]:
        parts.append(_unwritten(document["unwritten_changes"]))
    return Group(*parts)


def change_view(answer: dict[str, Any]) -> RenderableType:
    """Return what a call has changed, or would change."""
    before, after = answer["before"], answer["after"]
    if answer.get("dry_run"):
        head = f"[yellow]nothing is changed[/]; {line(answer['action'])} would lead to"
    else:
        head = f"[green]done[/]: {line(answer['action'])}"
    parts = [f"{head}  {line(answer['model'])}, generation {answer['generation']}"]
    for name, words in _parts(before, after):
        parts.append(f"  {name:9} {words}")
    if answer.get("repeated"):
        parts.append("  it was made by an earlier call with the same key")
    if answer.get("durable") is False:
        parts.append("  [yellow]not in the store yet[/]: it holds, and is written when that works")
    if answer.get("acknowledged") is False:
        behind = (
            ", ".join(str(one["worker"]) for one in answer["workers_behind"]) or "there is none"
        )
        parts.append(f"  [red]not served yet by these workers[/]: {behind}")
    return Group(*parts)


def history_view(document: dict[str, Any]) -> RenderableType:
    """Return the changes of a release, newest first, and whether the audit is sound."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("GEN", "WHEN (UTC)", "WHO", "WHAT", "LIVE", "WHY"):
        table.add_column(column, overflow="fold")
    for entry in document["entries"]:
        table.add_row(
            str(entry["to_generation"]),
            _time(entry["at_seconds"]),
            line(entry["actor"]),
            line(entry["action"]),
            line(_moved(_live(entry["before"]), _live(entry["after"]))),
            line(entry["reason"]),
        )
    parts: list[RenderableType] = [table]
    if document["unwritten_changes"]:
        parts.append(_unwritten(document["unwritten_changes"]))
    if "is_sound" in document:
        problem = document["problem"]
        parts.append(
            "[green]the audit is sound[/]"
            if problem is None
            else f"[bold red]the audit is not sound[/]: {line(problem['what'])}"
        )
        begins = document.get("begins")
        if begins is not None and begins["generation"]:
            parts.append(
                f"[yellow]it begins at generation {begins['generation']}[/], "
                f"{_time(begins['at_seconds'])} UTC: what was before is not in this store"
            )
    return Group(*parts)


def _versions(versions: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("VERSION", "STATE", "DIGEST", "DETAIL"):
        table.add_column(column, overflow="fold")
    for one in versions:
        state = line(one["state"])
        details = [one["reason"], *(f"incompatible: {words}" for words in one["incompatible"])]
        table.add_row(
            line(one["version"]),
            f"[{_STYLES[one['state']]}]{state}[/]" if one["state"] in _STYLES else state,
            line(one["digest"][:_DIGEST_CHARACTERS]),
            "\n".join(line(words) for words in details if words),
        )
    return table


def _gates(gates: dict[str, Any]) -> Iterator[RenderableType]:
    """Yield a block for each version that gates judge, and what is waited for."""
    judged = [("shadow", one) for one in gates.get("shadows", ())]
    judged += [(part, gates[part]) for part in ("canary", "live") if gates.get(part)]
    for part, one in judged:
        yield f"gates of version {line(str(one['version']))}, {part}: {_verdict(one['verdict'])}"
        for gate in one["gates"]:
            figures = gate["words"].partition("; ")[2]  # The gate and its verdict stand before.
            yield f"  {_verdict(gate['verdict'], 12)} {gate['gate']:12} {line(figures)}"
    if gates.get("waits_for"):
        yield f"[yellow]in the way[/]: {line(gates['waits_for'])}"


def _verdict(verdict: str, width: int = 0) -> str:
    words = line(verdict.replace("_", " ").ljust(width))
    return f"[{_VERDICTS[verdict]}]{words}[/]" if verdict in _VERDICTS else words


def _last_change(change: dict[str, Any]) -> str:
    why = f": {line(change['reason'])}" if change["reason"] else ""
    when = _time(change["at_seconds"])
    return f"last change: {line(change['action'])} by {line(change['actor'])}, {when} UTC{why}"


def _workers(document: dict[str, Any]) -> str:
    """Say by which generation the workers answer."""
    workers, generation = document["workers"], document["generation"]
    behind = [one for one in workers if one["generation"] != generation]
    if not workers:
        return "workers: none is there"
    if not behind:
        return f"workers: all {len(workers)} answer by generation {generation}"
    words = ", ".join(
        f"{one['worker']} by {'none' if one['generation'] is None else one['generation']}"
        for one in behind
    )
    return f"[red]workers that answer by another generation[/]: {words}"


def _parts(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and words of each part, those that have changed with what they were."""
    for name, part in (
        ("live", _live),
        ("previous", lambda route: route["previous"] or ""),
        ("canary", _canary),
        ("shadows", _shadows),
        ("held", lambda route: route["held"]),
    ):
        was, now = part(before), part(after)
        if was or now:
            yield name, line(_moved(was, now))


def _moved(was: str, now: str) -> str:
    return (now or "none") if was == now else f"{was or 'none'} -> {now or 'none'}"


def _live(route: Any) -> str:
    # What somebody has changed in the audit may be no route at all.
    return str(route["live"] or "") if isinstance(route, dict) and "live" in route else "?"


def _canary(route: dict[str, Any]) -> str:
    canary = route["canary"]
    if canary is None:
        return ""
    return f"{canary['version']} ({canary['steps'][canary['step']] / 100:g} %)"


def _shadows(route: dict[str, Any]) -> str:
    return ", ".join(f"{one['version']} ({one['sample_bp'] / 100:g} %)" for one in route["shadows"])


def _unwritten(count: int) -> str:
    return f"[yellow]not in the store yet[/]: {count} change{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
