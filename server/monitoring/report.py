"""The drift report of one version, as JSON: what has moved, which way, since when, how certain.

Decides what is told and in which order. A column's verdict is that of the window in which it is
strangest; its false discovery rate (Benjamini and Hochberg) counts all columns and all windows, so
that a list cut at 0.05 is wrong in one entry of twenty. Columns with alerts come first, then by how
far they have moved times how much they matter to what the model answers.

The measures (PSI and others) are of one and the same window for all columns, and are there to be
looked at: none of them decides. Every number is finite, or null.

Knows counts of windows and alerts; told the time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.monitoring.alerts import Alerts, DriftAlert
from server.monitoring.drift import WHOLE, Judge, View
from server.monitoring.performance import ASSUMPTION, Performance
from server.monitoring.profile import CategoryProfile, NumberProfile
from server.monitoring.rate_plans import Rule
from server.monitoring.scale import size_words
from server.statistics import distance
from server.statistics.budget import benjamini_hochberg
from server.statistics.combine import Verdict

Json = dict[str, Any]

MEASURED_WINDOW = 2
"""Position of the window that measures are of: neither a moment nor a day."""

PLAINEST = (
    *(Rule.REALISED, Rule.PERFORMANCE, Rule.VOLUME, Rule.SCALE, Rule.TYPE, Rule.NOVEL),
    *(Rule.MISSING, Rule.RANGE, Rule.DRIFT, Rule.MULTIVARIATE),
)
"""Rules in the order in which they are told: what names a cause comes first."""

LISTED_Q = 0.05
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that a report is made of; nothing of it changes any more."""

    judge: Judge
    views: Sequence[View]
    alerts: Alerts
    extremes: tuple[NDArray[np.float64], NDArray[np.float64]]
    """Smallest and largest value of each column lately."""
    novel_words: Mapping[int, Counter[str]]
    window_names: Sequence[str]
    """Names of windows by position, and of the cumulative sums after them."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The verdict on a column, and of which window it is."""

    view: View
    verdict: Verdict
    rows: int
    is_enough: bool


def report_columns(snapshot: Snapshot) -> list[Json]:
    """Return what there is to tell of each column, the most important first."""
    judge = snapshot.judge
    found = [_strangest(snapshot, place) for place in range(len(judge.profile.columns))]
    worth = [
        min(1.0, one.verdict.p * len(snapshot.views)) if one.is_enough else 1.0 for one in found
    ]
    rates = benjamini_hochberg(worth).tolist()
    columns = [
        _column(snapshot, place, one, q)
        for place, (one, q) in enumerate(zip(found, rates, strict=True))
    ]
    known = [one.importance for one in judge.profile.columns if one.importance is not None]
    usual = fmean(known) if known else 1.0

    def order(place: int) -> tuple[bool, bool, float]:
        importance = judge.profile.columns[place].importance
        weight = found[place].verdict.effect * (usual if importance is None else importance)
        return bool(columns[place]["alerts"]), rates[place] <= LISTED_Q, weight

    return [columns[place] for place in sorted(range(len(columns)), key=order, reverse=True)]


def performance(snapshot: Snapshot) -> Json | None:
    """Return estimated performance in the measured window beside the reference's; None without."""
    rows = snapshot.judge.layout.rows
    view = snapshot.views[MEASURED_WINDOW]
    if rows(view.counts) < snapshot.judge.rule.min_rows:
        view = max(snapshot.views, key=lambda one: rows(one.counts))
    change = snapshot.judge.performance(view.counts)
    if change is None:
        return None
    return {
        "window": view.name,
        "assumption": ASSUMPTION,
        "p": _short(change.p),
        "covered": _short(change.covered),
        "reference": _figures(change.reference),
        "live": _figures(change.live),
    }


def _figures(found: Performance) -> Json:
    return {name: None if value is None else _short(value) for name, value in asdict(found).items()}


def whole_alerts(snapshot: Snapshot) -> list[Json]:
    """Return the alerts that are about all columns."""
    return _alerts(snapshot, WHOLE)


def describe_windows(snapshot: Snapshot) -> list[Json]:
    """Return the windows that were judged."""
    return [
        {
            "name": view.name,
            "rows": snapshot.judge.layout.rows(view.counts),
            "start_seconds": view.start,
            "end_seconds": view.end,
            **_held_to(snapshot, view),
        }
        for view in snapshot.views
    ]


def _held_to(snapshot: Snapshot, view: View) -> Json:
    """Name the hours of the reference that a window is held to, and what their rows are worth."""
    if snapshot.judge.profile.hours is None:
        return {}
    hours, rows = snapshot.judge.references.hours(view.counts)
    return {"reference_hours": hours, "reference_rows": round(rows)}


def alert_json(rule: Rule, alert: DriftAlert, window_names: Sequence[str]) -> Json:
    """Return an alert that is pending or firing."""
    told: Json = {
        "rule": rule.value,
        "state": alert.state.alert.value,
        "since_seconds": alert.state.since_seconds,
        "raised_seconds": alert.state.raised_seconds,
        "onset_seconds": alert.onset_seconds,
    }
    reading = alert.reading
    if reading is not None:
        told |= {
            "words": reading.words,
            "window": window_names[reading.window],
            "rows": reading.rows,
            "p": _short(reading.p),
        }
    return told


def _strangest(snapshot: Snapshot, place: int) -> _Found:
    judge = snapshot.judge
    seen = [(judge.rows(place, view.counts), view) for view in snapshot.views]
    enough = [(rows, view) for rows, view in seen if rows >= judge.rule.min_rows]
    if not enough:
        rows, view = max(seen, key=lambda one: one[0])
        return _Found(view, judge.verdict(place, view.counts), rows, is_enough=False)
    verdicts = [
        _Found(view, judge.verdict(place, view.counts), rows, is_enough=True)
        for rows, view in enough
    ]
    return min(verdicts, key=lambda one: one.verdict.p)


def _column(snapshot: Snapshot, place: int, found: _Found, q: float) -> Json:
    judge = snapshot.judge
    profile = judge.profile.columns[place]
    column = profile.column
    measured = _measured(snapshot, place)
    reference = judge.references.of(measured.counts)
    told: Json = {
        "name": column.name,
        "kind": column.kind.value,
        "side": column.side.value,
        "tensor": column.tensor,
        "importance": profile.importance,
        "alerts": _alerts(snapshot, place),
        "verdict": {
            "window": found.view.name,
            "rows": found.rows,
            "has_enough_rows": found.is_enough,
            "p": _short(found.verdict.p),
            "q": _short(q),
            "effect": _short(found.verdict.effect),
            "words": found.verdict.words,
            "reference_hours": judge.references.hours(found.view.counts)[0],
        },
        "rates": [
            {
                "name": plan.name,
                "reference": _share(rate.reference_count, rate.reference_rows),
                "live": _share(rate.live_count, rate.live_rows),
            }
            for plan in reference.plans(place)
            for rate in [plan.rate(measured.counts)]
        ],
    }
    held = reference.column(place)
    if isinstance(held, NumberProfile):
        told |= _of_numbers(snapshot, place, held, measured)
    else:
        told |= _of_words(snapshot, place, held, measured)
    return told


def _measured(snapshot: Snapshot, place: int) -> View:
    """Return the window that measures are of; the longest one with rows if that one has too few."""
    judge, view = snapshot.judge, snapshot.views[MEASURED_WINDOW]
    if judge.rows(place, view.counts) >= judge.rule.min_rows:
        return view
    return max(snapshot.views, key=lambda one: judge.rows(place, one.counts))


def _of_numbers(snapshot: Snapshot, place: int, profile: NumberProfile, view: View) -> Json:
    live = snapshot.judge.layout.number(view.counts, place)
    reference = profile.counts.bins
    places = distance.representatives(
        np.asarray(profile.bins.edges, np.float64), profile.bins.low, profile.bins.high
    )
    low, high = (float(side[place]) for side in snapshot.extremes)
    return {
        "measures": {
            **_measures(reference, live.bins, view),
            "kolmogorov": _short(distance.kolmogorov(reference, live.bins)),
            "wasserstein": _short(distance.wasserstein(reference, live.bins, places)),
        },
        "histogram": {
            "edges": list(profile.bins.edges),
            "reference": _shares(reference),
            "live": _shares(live.bins),
        },
        "range": {
            "reference": [profile.minimum, profile.maximum],
            "live": [low if isfinite(low) else None, high if isfinite(high) else None],
            "size": size_words((profile.minimum or 0.0, profile.maximum or 0.0), (low, high)),
        },
    }


def _of_words(snapshot: Snapshot, place: int, profile: CategoryProfile, view: View) -> Json:
    where = snapshot.judge.layout.slices[place]
    live = view.counts[where.start : where.stop - 3]
    reference = profile.counts.to_array()[:-3]
    novel = snapshot.novel_words.get(place, Counter())
    return {
        "measures": _measures(reference, live, view),
        "histogram": {
            "categories": [*profile.categories.kept, None],
            "reference": _shares(reference),
            "live": _shares(live),
        },
        "novel": [{"word": word, "rows": rows} for word, rows in novel.most_common()],
    }


def _measures(reference: NDArray[np.int64], live: NDArray[np.int64], view: View) -> dict[str, Any]:
    rows = int(live.sum())
    return {
        "window": view.name,
        "rows": rows,
        "psi": _short(distance.psi(reference, live)),
        "psi_floor": _short(distance.psi_floor(len(reference), int(reference.sum()), rows))
        if rows
        else None,
        "jensen_shannon": _short(distance.jensen_shannon(reference, live)),
        "hellinger": _short(distance.hellinger(reference, live)),
    }


def _alerts(snapshot: Snapshot, place: int) -> list[Json]:
    raised = {
        rule: alert
        for (rule, of), alert in snapshot.alerts.items()
        if of == place and alert.is_raised
    }
    return [
        alert_json(rule, raised[rule], snapshot.window_names) for rule in PLAINEST if rule in raised
    ]


def _share(count: int, rows: int) -> float | None:
    return _short(count / rows) if rows else None


def _shares(counts: NDArray[np.int64]) -> list[float]:
    total = max(1, int(counts.sum()))
    return [round(count / total, _DIGITS) for count in counts.tolist()]


def _short(value: float) -> float | None:
    """Return a number with few digits; None for one that is not finite."""
    return float(f"{value:.{_DIGITS}g}") if isfinite(value) else None
