"""The first page: a row for each model, and what needs attention. Pure.

Decides what a model's state is called and which of its troubles are told first. What is not known
yet, because control has just begun, is said to be so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from server.console import candidates, drawing, words
from server.console.candidates import Progress
from server.console.lights import Light, Watch, light
from server.console.traffic import NOW_SLOTS, Figures, Traffic, figures, rates, together
from server.release.route import ReleaseRoute

SPARK_WIDTH, SPARK_HEIGHT, SPARK_POINTS = 96.0, 24.0, 30


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What control knows of one model."""

    name: str
    index: Sequence[Mapping[str, Any]]
    """Its rows of the repository's index."""
    route: ReleaseRoute
    traffic: Sequence[Traffic]
    """Of each version that was asked for something."""
    watch: Watch
    gates: Mapping[str, Any] | None
    """What the release API says of its gates."""


@dataclass(frozen=True, slots=True)
class OverviewFacts:
    """What control knows."""

    models: Sequence[ModelFacts]
    silence: Traffic
    """The steps there were, without a request."""
    unknown: Sequence[str]
    """What control does not know yet."""
    broken: Sequence[Mapping[str, Any]] = ()
    """Rows of the index that belong to no model: folders that cannot be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model."""

    name: str
    href: str
    """Of its page; empty if it has none."""
    state: str
    """`ready`, `loading`, `unavailable` or `idle`."""
    state_words: str
    live: str
    figures: Figures
    spark: str
    light: Light
    candidates: Sequence[Progress]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that needs attention."""

    kind: str
    """`bad` or `warn`."""
    model: str
    href: str
    words: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The page."""

    rows: Sequence[Row]
    total: Figures
    ready: int
    firing: int
    pending: int
    candidates: int
    notices: Sequence[Notice]
    unknown: Sequence[str] = field(default=())


def model_href(name: str, page: str = "") -> str:
    """Return the address of a page of a model, whatever its name has in it."""
    return f"/models/{quote(name, safe='')}" + (f"/{page}" if page else "")


def view(facts: OverviewFacts) -> Overview:
    """Return the page."""
    rows = [_row(one, facts.silence) for one in facts.models]
    rows += [_broken(one) for one in facts.broken]
    everything = together([one for model in facts.models for one in model.traffic])
    return Overview(
        rows,
        figures(_now(everything or facts.silence)),
        sum(row.state == "ready" for row in rows),
        sum(row.light.firing for row in rows),
        sum(row.light.pending for row in rows),
        sum(len(row.candidates) for row in rows),
        [notice for row in rows for notice in _notices(row)],
        facts.unknown,
    )


def _now(traffic: Traffic) -> Traffic:
    return traffic.last(NOW_SLOTS)


def _row(facts: ModelFacts, silence: Traffic) -> Row:
    traffic = together(facts.traffic) or silence
    state, state_words = _state(facts)
    return Row(
        facts.name,
        model_href(facts.name),
        state,
        state_words,
        facts.route.live or words.NOT_KNOWN,
        figures(_now(traffic)),
        drawing.line(rates(traffic, SPARK_POINTS), SPARK_WIDTH, SPARK_HEIGHT),
        light(facts.watch),
        candidates.progress(facts.gates, candidates.weights(facts.route)),
        [
            f"version {one['version']}: {one['reason']}" if one["version"] else str(one["reason"])
            for one in facts.index
            if one["state"] == "UNAVAILABLE" and "fix" in one
        ],
    )


def _state(facts: ModelFacts) -> tuple[str, str]:
    if any(one.get("live") for one in facts.index):
        return "ready", "answers"
    if any(one["state"] == "LOADING" for one in facts.index):
        return "loading", "is being loaded"
    reason = next((str(one["reason"]) for one in facts.index if one["reason"]), "has no version")
    return "unavailable", reason


def _broken(row: Mapping[str, Any]) -> Row:
    """Return the row of a folder that is no model, and so has no page."""
    name, reason, dash = str(row["name"]), str(row["reason"]), words.NOT_KNOWN
    state = Light("unknown", "it is not watched")
    return Row(name, "", "unavailable", reason, dash, Figures(), "", state, (), [reason])


def _notices(row: Row) -> list[Notice]:
    found = []
    if row.state == "unavailable":
        found.append(Notice("bad", row.name, row.href, row.state_words))
    found += [
        Notice("warn", row.name, row.href, problem)
        for problem in row.problems
        if problem != row.state_words
    ]
    if row.light.kind in ("firing", "pending"):
        kind = "bad" if row.light.kind == "firing" else "warn"
        found.append(Notice(kind, row.name, f"{row.href}/drift", row.light.words))
    found += [
        Notice("warn", row.name, f"{row.href}/release", f"{one.part} {one.version}: {one.words}")
        for one in row.candidates
        if one.verdict == "fail"
    ]
    return found
