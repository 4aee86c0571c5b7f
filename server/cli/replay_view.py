"""What a replay has shown, in a terminal.

Decides words, layout and colours only. Everything but samples fits 80 characters.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from server.cli.drift_table import sparkline
from server.cli.plain import plain
from server.release.evidence import AGREEING, Kind, usual_difference

SHOWN_SAMPLES = 2
"""Of each kind, the worst first."""
_KINDS = [kind.value for kind in Kind]
_BARS = 40
_MOST = 0.9
_VERDICTS = {"pass": "green", "fail": "bold red"}


def replay_view(document: Mapping[str, Any]) -> RenderableType:
    """Return what a replay has shown."""
    evidence, against = document["evidence"], document["against"]
    pairs = sum(evidence["pairs"].values())
    parts: list[RenderableType] = [
        f"[bold]{plain(document['model'])}[/]  version {plain(document['version'])} on "
        f"{document['rows']:,} of {document['captured_rows']:,} rows that version "
        f"{plain(against['version'])} answered",
        f"{pairs:,} requests; of each one row, drawn at random, is a pair",
    ]
    if document["left_out"]:
        names = ", ".join(name for name in document["left_out"])
        parts.append(f"[yellow]left out of the rows[/]: {plain(names)}")
    parts += ["", _kinds(evidence), *_segments(evidence), *_scores(evidence), *_speed(evidence)]
    parts += ["", f"gates: {_verdict(document['verdict'])}"]
    parts += [
        f"  {_verdict(gate['verdict'], 12)} {plain(gate['words'])}" for gate in document["gates"]
    ]
    parts += _samples(document["samples"])
    return Group(*parts)


def _kinds(evidence: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("ANSWERS")
    for column in ("PAIRS", "SHARE", "ROWS", "LIVE AGAIN"):
        table.add_column(column, justify="right")
    pairs = sum(evidence["pairs"].values())
    for kind in Kind:
        counts = [evidence[name].get(kind, 0) for name in ("pairs", "rows", "noise")]
        if any(counts):
            name = kind.value.replace("_", " ")
            share = f"{100 * counts[0] / pairs:.2f} %" if pairs else ""
            table.add_row(
                name if kind in AGREEING else f"[yellow]{name}[/]",
                f"{counts[0]:,}",
                share,
                f"{counts[1]:,}",
                f"{counts[2]:,}",
            )
    return table


def _segments(evidence: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many pairs of each segment differ."""
    if evidence["segments"]:
        yield ""
    for name, counts in sorted(evidence["segments"].items()):
        total = sum(counts.values())
        differing = sum(count for kind, count in counts.items() if kind not in AGREEING)
        yield f"{plain(name)}: {differing:,} of {total:,} pairs differ"


def _scores(evidence: Mapping[str, Any]) -> Iterator[str]:
    """Yield the distributions of both versions' scores."""
    if not any(evidence["live_scores"]):
        return
    yield ""
    yield f"scores from {evidence['score_low']:.4g} to {evidence['score_high']:.4g}"
    joined = {name: _joined(evidence[f"{name}_scores"]) for name in ("live", "candidate")}
    highest = max(max(counts) for counts in joined.values())
    for name, counts in joined.items():
        yield f"  {name:10} {sparkline(counts, highest)}"
    usual = usual_difference(evidence["score_differences"], _MOST)
    if usual is not None:
        yield f"nine tenths are at most {usual:g} apart"


def _joined(counts: list[int]) -> list[float]:
    """Return counts of fewer, larger bins."""
    size = -(-len(counts) // _BARS)
    return [float(sum(counts[at : at + size])) for at in range(0, len(counts), size)]


def _speed(evidence: Mapping[str, Any]) -> Iterator[str]:
    rows = evidence["timed_rows"]
    if rows:
        live, candidate = (
            1e6 * evidence[f"{name}_cpu_seconds"] / rows for name in ("live", "candidate")
        )
        yield ""
        yield f"processor time a row: {candidate:.1f} µs, the live version {live:.1f} µs"


def _verdict(verdict: str, width: int = 0) -> str:
    words = plain(verdict.replace("_", " ").ljust(width))
    return f"[{_VERDICTS[verdict]}]{words}[/]" if verdict in _VERDICTS else words


def _samples(samples: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a few rows of each kind that were answered differently."""
    shown: dict[str, int] = {}
    for sample in sorted(samples, key=lambda one: _KINDS.index(one["kind"]), reverse=True):
        kind = sample["kind"]
        shown[kind] = shown.get(kind, 0) + 1
        if shown[kind] > SHOWN_SAMPLES:
            continue
        yield ""
        head = f"{kind.replace('_', ' ')}  {sample['prediction_id']} row {sample['row']}"
        yield f"[yellow]{plain(head)}[/]"
        for name in ("inputs", "live", "candidate"):
            values = json.dumps(sample[name], ensure_ascii=False)
            yield f"  {name:10} {plain(values)}"
