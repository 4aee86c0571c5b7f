"""The drift page: which features have moved, which way, since when, and what it does to answers.

Decides how many features are told at once, and which one is shown at large. What has moved is
decided in `server/monitoring/`; this page adds no judgement of its own. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from server.console import histograms, words
from server.console.heat_map import HeatMap, heat_map
from server.console.histograms import Category, Drawn
from server.monitoring.history import History
from server.monitoring.report import LISTED_Q

SHOWN_FEATURES = 15
_ESTIMATED = ("accuracy", "precision", "recall", "f1", "roc_auc")
_NAMES = {"roc_auc": "ROC AUC", "f1": "F1", "mae": "MAE", "rmse": "RMSE", "r2": "R²"}


@dataclass(frozen=True, slots=True)
class DriftFacts:
    """What control knows of one version's rows."""

    model: str
    version: Mapping[str, Any] | None
    """What the drift report tells of the version; None if it is not watched."""
    others: Sequence[str]
    """Versions that are watched as well."""
    history: History | None
    columns: Sequence[str]
    """Names of all columns, in the history's order."""
    performance: Mapping[str, Any] | None
    """What the performance report tells of the version; None without labels."""
    state: str
    """`watching`, `learning`, `unwatched` or `off`."""
    needed_rows: int
    """From which a version without a profile is watched."""
    unknown: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the reader has chosen."""

    feature: str = ""
    span: str = "recent"
    """Of the heat map: `recent` or `day`."""
    every: bool = False
    """Whether all features are listed."""

    def href(self, version: str, **other: Any) -> str:
        """Return the query of this page with something chosen otherwise."""
        chosen = {"version": version, "feature": self.feature, "span": self.span}
        chosen |= {"all": "1" if self.every else ""} | other
        return "?" + "&".join(f"{name}={quote(str(one))}" for name, one in chosen.items() if one)


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert as the page tells it."""

    rule: str
    state: str
    words: str
    since: float


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature or output in the ranking."""

    name: str
    href: str
    side: str
    kind: str
    alarms: Sequence[Alarm]
    words: str
    effect: float | None
    """None while there are too few rows."""
    importance: float | None
    mini: Drawn
    missing: float | None
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Detail:
    """One feature at large."""

    name: str
    words: str
    drawn: Drawn | None
    categories: Sequence[Category]
    measures: Sequence[tuple[str, str]]
    rates: Sequence[tuple[str, str, str]]
    """Name, reference and live."""
    novel: Sequence[tuple[str, int]]
    window: str


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of performance on both sides."""

    name: str
    reference: str
    live: str
    realised: str


@dataclass(frozen=True, slots=True)
class Performance:
    """How well the version does."""

    rows: Sequence[FigureRow]
    assumption: str
    labels: str
    """How many answers have labels."""


@dataclass(frozen=True, slots=True)
class DriftPage:
    """The page."""

    state: str
    state_words: str
    version: str
    is_live: bool
    others: Sequence[tuple[str, str]]
    """Version and address."""
    reference: str
    budget: str
    windows: Sequence[Mapping[str, Any]]
    alarms: Sequence[Alarm]
    """Those about all columns."""
    firing: int
    features: Sequence[Feature]
    left: int
    """Features that are not listed."""
    detail: Detail | None
    heat: HeatMap | None
    spans: Sequence[tuple[str, str, bool]]
    """Of the heat map: words, address, and whether it is chosen."""
    all_href: str
    performance: Performance | None
    unknown: Sequence[str]


def view(facts: DriftFacts, asked: Asked) -> DriftPage:
    """Return the page."""
    told = facts.version
    version = str(told["version"]) if told is not None else ""
    columns: Sequence[Mapping[str, Any]] = told["columns"] if told is not None else ()
    listed = columns if asked.every else columns[:SHOWN_FEATURES]
    chosen = next((one for one in columns if one["name"] == asked.feature), None)
    chosen = chosen or (columns[0] if columns else None)
    alarms = [_alarm(one) for one in told["alerts"]] if told is not None else []
    return DriftPage(
        facts.state,
        _state_words(facts),
        version,
        bool(told and told["is_live"]),
        [(one, asked.href(one, feature="")) for one in facts.others],
        _reference(told) if told is not None else "",
        _budget(told) if told is not None else "",
        [one for one in told["windows"] if one["rows"]] if told is not None else (),
        alarms,
        sum(one.state == "firing" for one in alarms)
        + sum(alert["state"] == "firing" for one in columns for alert in one["alerts"]),
        [_feature(one, version, asked, is_chosen=one is chosen) for one in listed],
        len(columns) - len(listed),
        _detail(chosen) if chosen is not None else None,
        heat_map(facts.history, facts.columns, [str(one["name"]) for one in listed])
        if facts.history is not None
        else None,
        [
            (name, asked.href(version, span=span), asked.span == span)
            for span, name in (("recent", "last windows"), ("day", "last day, by hour"))
        ],
        asked.href(version, all="1"),
        _performance(told, facts.performance) if told is not None else None,
        facts.unknown,
    )


def _state_words(facts: DriftFacts) -> str:
    match facts.state:
        case "off":
            return "Monitoring is switched off (monitor = off)."
        case "unwatched":
            return "No version of this model is watched yet: it is watched from when it is loaded."
        case "learning" if facts.version is not None:
            learned = words.count(facts.version["learned_rows"])
            return (
                f"There is no reference profile beside this version. It learns what is usual from "
                f"its first rows: {learned} of {facts.needed_rows:,} so far."
            )
    return ""


def _reference(told: Mapping[str, Any]) -> str:
    reference = told.get("reference")
    if reference is None:
        return ""
    kind = "its own first rows" if reference["is_self_reference"] else reference["name"]
    hours = f", by hour of the {reference['cycle']}" if reference["cycle"] else ""
    return f"{reference['rows']:,} rows of {kind}{hours}"


def _budget(told: Mapping[str, Any]) -> str:
    budget = told.get("budget")
    if budget is None:
        return ""
    alarms = budget["false_alarms_per_month"]
    return f"{alarms:g} false {'alarm' if alarms == 1 else 'alarms'} a month, all features together"


def _alarm(alert: Mapping[str, Any]) -> Alarm:
    since = alert["onset_seconds"] or alert["since_seconds"]
    return Alarm(alert["rule"], alert["state"], alert.get("words", ""), since)


def _feature(told: Mapping[str, Any], version: str, asked: Asked, *, is_chosen: bool) -> Feature:
    verdict = told["verdict"]
    return Feature(
        told["name"],
        asked.href(version, feature=told["name"]),
        told["side"],
        told["kind"],
        [_alarm(one) for one in told["alerts"]],
        _moved(told),
        verdict["effect"] if verdict["has_enough_rows"] else None,
        told["importance"],
        histograms.mini(told),
        next((rate["live"] for rate in told["rates"] if rate["name"] == "missing"), None),
        is_chosen,
    )


def _moved(told: Mapping[str, Any]) -> str:
    """Say what is different about a column, as far as it is certain."""
    verdict = told["verdict"]
    if not verdict["has_enough_rows"]:
        return "too few rows yet"
    if verdict["q"] <= LISTED_Q and verdict["words"]:
        return str(verdict["words"])
    return "as in the reference"


def _detail(told: Mapping[str, Any]) -> Detail:
    measures = told["measures"]
    names = (
        ("psi", "PSI"),
        ("psi_floor", "PSI by chance alone"),
        ("jensen_shannon", "Jensen-Shannon"),
        ("hellinger", "Hellinger"),
        ("kolmogorov", "Kolmogorov-Smirnov"),
        ("wasserstein", "Wasserstein"),
    )
    verdict = told["verdict"]
    certain = [
        (
            "Effect",
            words.figure(verdict["effect"]) if verdict["has_enough_rows"] else "too few rows",
        ),
        ("p", words.probability(verdict["p"])),
        ("False discovery rate (q)", words.probability(verdict["q"])),
        ("Importance", words.figure(told["importance"])),
    ]
    size = told.get("range", {}).get("size", "")
    alerts = [str(one["words"]) for one in told["alerts"] if one.get("words")]
    said = alerts or [_moved(told)]
    return Detail(
        told["name"],
        "; ".join(dict.fromkeys([*said, *([f"largest value {size}"] if size else [])])),
        histograms.large(told),
        histograms.categories(told),
        certain + [(name, words.figure(measures[key])) for key, name in names if key in measures],
        [
            (rate["name"], words.share(rate["reference"]), words.share(rate["live"]))
            for rate in told["rates"]
        ],
        [(one["word"], one["rows"]) for one in told.get("novel", ())],
        f"{words.several(measures['rows'], 'row')}",
    )


def _performance(told: Mapping[str, Any], report: Mapping[str, Any] | None) -> Performance | None:
    estimated = told["performance"]
    role = next((one for one in report["roles"] if one["role"] == "live"), None) if report else None
    realised = role["figures"] if role is not None else {}
    expected = (estimated or {}).get("reference", {})
    names = [name for name in _ESTIMATED if expected.get(name) is not None]
    names += [name for name, one in realised.items() if one is not None and name not in names]
    if not names:
        return None
    rows = [
        FigureRow(
            _NAMES.get(name, name.replace("_", " ")),
            words.figure(expected.get(name)),
            words.figure((estimated or {}).get("live", {}).get(name)),
            words.figure(realised.get(name)),
        )
        for name in names
    ]
    labels = "no answer has a label yet"
    if role is not None and role["labelled"]:
        labels = f"{role['labelled']:,} of {role['predicted']:,} answers have labels"
    return Performance(rows, estimated["assumption"] if estimated else "", labels)
