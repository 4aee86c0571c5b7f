"""The page of a model's release: what has which part, the evidence, and what was done. Pure.

Decides how a gate is drawn: its interval, its budget, and how much of what it needs it has seen.
Knows the release API's documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.console import words
from server.console.actions import Form, forms
from server.console.candidates import gate_share

WIDTH, PAD = 240.0, 8.0
SHOWN_SAMPLES = 12
SHOWN_VALUES = 60
"""Characters of a sample's value."""

_GATES = {
    "disagreement": "answers that differ",
    "errors": "failed runs",
    "faults": "crashes and hangs",
    "slow": "slower than live",
    "scores": "distance of scores",
    "accuracy": "who is right, by labels",
    "nearness": "who is nearer, by labels",
    "canary_errors": "errors, against live",
    "canary_slow": "slow requests, against live",
    "canary_faults": "workers lost",
    "sample_ratio": "share as its weight says",
    "live_errors": "errors since promoted",
}


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a gate's figure may lie, drawn on a line."""

    low: float
    high: float
    seen: float
    limit: float
    limit_words: str


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate."""

    name: str
    words: str
    """What it is about."""
    verdict: str
    figures: str
    reason: str
    needed: str
    percent: int | None
    """Of what it needs, how much was seen; None if that cannot be forecast."""
    is_required: bool
    drawn: Interval | None


@dataclass(frozen=True, slots=True)
class Judged:
    """The gates of one version."""

    part: str
    version: str
    verdict: str
    gates: Sequence[Gate]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row that a candidate answered differently."""

    version: str
    kind: str
    at_seconds: float
    prediction: str
    inputs: Sequence[tuple[str, str]]
    live: Sequence[tuple[str, str]]
    candidate: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One change."""

    generation: int
    at_seconds: float
    actor: str
    action: str
    moved: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """What control knows of one release."""

    release: Mapping[str, Any]
    samples: Sequence[Mapping[str, Any]]
    """Disagreements by shadow, as the API tells them."""
    history: Sequence[Mapping[str, Any]] | None
    """None if the store does not say now."""
    unknown: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ReleasePage:
    """The page."""

    generation: int
    live: str
    previous: str
    canary: str
    shadows: str
    mode: str
    held: str
    waits_for: str
    versions: Sequence[Mapping[str, Any]]
    workers: str
    behind: bool
    unwritten: int
    judged: Sequence[Judged]
    samples: Sequence[Sample]
    more_samples: int
    history: Sequence[HistoryRow] | None
    forms: Sequence[Form]
    unknown: Sequence[str]


def view(facts: ReleaseFacts) -> ReleasePage:
    """Return the page."""
    release, gates = facts.release, facts.release.get("gates") or {}
    judged = [("shadow", one) for one in gates.get("shadows", ())]
    judged += [(part, gates[part]) for part in ("canary", "live") if gates.get(part)]
    samples = [_sample(one["version"], row) for one in facts.samples for row in one["mismatches"]]
    samples.sort(key=lambda one: -one.at_seconds)
    workers, behind = _workers(release)
    return ReleasePage(
        release["generation"],
        release["live"] or words.NOT_KNOWN,
        release["previous"] or "none",
        _canary(release["canary"]),
        ", ".join(
            f"{one['version']} (sees {words.weight(one['sample_bp'])})"
            for one in release["shadows"]
        )
        or "none",
        release["mode"] or "not known yet",
        release["held"],
        gates.get("waits_for", ""),
        release["versions"],
        workers,
        behind,
        release["unwritten_changes"],
        [_judged(part, one) for part, one in judged],
        samples[:SHOWN_SAMPLES],
        max(0, len(samples) - SHOWN_SAMPLES),
        None if facts.history is None else [_change(one) for one in facts.history],
        forms(release),
        facts.unknown,
    )


def _canary(canary: Mapping[str, Any] | None) -> str:
    if canary is None:
        return "none"
    weight = words.weight(canary["steps"][canary["step"]])
    steps = f"step {canary['step'] + 1} of {len(canary['steps'])}"
    approved = ""
    if canary["needs_approval"]:
        by = canary["approved_by"]
        approved = f", approved by {by}" if by else ", waits for approval"
    return f"{canary['version']} (answers {weight}, {steps}{approved})"


def _workers(release: Mapping[str, Any]) -> tuple[str, bool]:
    workers, generation = release["workers"], release["generation"]
    behind = [one for one in workers if one["generation"] != generation]
    if not workers:
        return "no worker is connected", True
    if not behind:
        return f"all {len(workers)} answer by generation {generation}", False
    told = ", ".join(
        f"{one['worker']} by {'none' if one['generation'] is None else one['generation']}"
        for one in behind
    )
    return f"not by this generation yet: {told}", True


def _judged(part: str, told: Mapping[str, Any]) -> Judged:
    return Judged(
        part, str(told["version"]), told["verdict"], [_gate(one) for one in told["gates"]]
    )


def _gate(told: Mapping[str, Any]) -> Gate:
    share = gate_share(told)
    seen = f"{told['events']:,} of {told['total']:,} {told['unit']}"
    figures = seen
    if told["observed"] is not None:
        figures = f"{words.figure(told['observed'])}, limit {told['limit']:g}; {seen}"
    elif told["verdict"] == "no_data":
        figures = "nothing seen yet"
    more = told["more"]
    return Gate(
        told["gate"],
        _GATES.get(told["gate"], ""),
        told["verdict"],
        figures,
        told["reason"],
        f"about {more:,} more {told['unit']} needed" if more is not None else "",
        None if share is None else round(100.0 * share),
        told["is_required"],
        _drawn(told),
    )


def _drawn(told: Mapping[str, Any]) -> Interval | None:
    if told["observed"] is None or told["limit"] <= 0.0:
        return None
    seen, limit = float(told["observed"]), float(told["limit"])
    low = told["low"] if told["low"] is not None else 0.0
    high = told["high"] if told["high"] is not None else max(seen, 2.0 * limit)
    # An interval that reaches far beyond all that matters is cut at the edge of the line.
    top = max(2.0 * limit, 1.15 * seen, min(1.1 * high, 4.0 * limit))

    def place(value: float) -> float:
        share = min(max(value / top, 0.0), 1.0)
        return round(PAD + share * (WIDTH - 2.0 * PAD), 1)

    return Interval(place(low), place(high), place(seen), place(limit), f"limit {limit:g}")


def _sample(version: str, told: Mapping[str, Any]) -> Sample:
    return Sample(
        version,
        told["kind"].replace("_", " "),
        told["at_seconds"],
        told["prediction_id"],
        _values(told["inputs"]),
        _values(told["live"]),
        _values(told["candidate"]),
    )


def _values(tensors: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of a row; features by their own names."""
    found: list[tuple[str, str]] = []
    for name, values in tensors.items():
        if isinstance(values, dict):
            found += [(str(feature), _cut(str(value))) for feature, value in values.items()]
        elif isinstance(values, list):
            found.append((name, _cut(", ".join(str(one) for one in values))))
        else:
            found.append((name, _cut(str(values))))
    return found


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_VALUES else text[: SHOWN_VALUES - 1] + "…"


def _change(entry: Mapping[str, Any]) -> HistoryRow:
    before, after = _live(entry["before"]), _live(entry["after"])
    return HistoryRow(
        entry["to_generation"],
        entry["at_seconds"],
        entry["actor"],
        entry["action"].replace("_", " "),
        after if before == after else f"{before} → {after}",
        entry["reason"],
    )


def _live(route: Any) -> str:
    # What somebody has changed in the audit may be no route at all.
    return str(route["live"] or "none") if isinstance(route, dict) and "live" in route else "?"
