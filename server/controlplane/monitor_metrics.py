"""Metrics of monitoring: counts of features that add up over replicas, and the state of alerts.

Decides names, labels and which features have series of their own. A model may have thousands of
features, and a series costs its collector for months: so each version exports its most important
ones, as the profile ranks them, and says how many it left out and how far the worst of these has
moved. The more versions there are, the fewer each exports: a page of 200 models with 30 features
each would have 27 MB. Words of categories and values are never labels.

What is counted of features, for Prometheus to judge, is in `monitor_counters.py`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.monitor_counters import CounterFamilies
from server.controlplane.watched import Watched
from server.monitoring.columns import Side
from server.monitoring.drift import WHOLE
from server.monitoring.observer import Observer
from server.monitoring.rate_plans import Rule
from server.statistics.sequential import Alert

MAX_FEATURES = 64
"""Features of a version that have series of their own."""
MAX_ALL_FEATURES = 2000
"""Of all versions together: where there are many, each has fewer."""
MIN_FEATURES = 8
"""But so many in any case."""

FIGURES = ("accuracy", "precision", "recall", "specificity", "f1", "roc_auc")
"""Of estimated performance; of more than two classes only the accuracy is known."""

_VERSION = ("model", "version")
_FEATURE = (*_VERSION, "feature")
_RAISED = (Alert.PENDING, Alert.FIRING)


@dataclass(frozen=True, slots=True)
class MonitorSources:
    """Where the numbers come from."""

    watched: Iterable[Watched]
    unwatched_rows: int
    alarms: Counter[tuple[str, str, str]]
    with_bins: bool


def collect(sources: MonitorSources) -> list[Metric]:
    """Return all families of monitoring as they are now."""
    watched = sorted(sources.watched, key=lambda one: (one.model, one.version))
    observed = [
        (one.model, one.version, one.observer) for one in watched if one.observer is not None
    ]
    most = features_of_each(len(observed))
    counts = CounterFamilies(with_bins=sources.with_bins)
    effect = GaugeMetricFamily(
        "tidegate_monitor_effect",
        "How far a feature had moved when last judged, in standard deviations",
        labels=_FEATURE,
    )
    for model, version, observer in observed:
        places = exported(observer, most)
        counts.add((model, version), observer, places)
        for place in places:
            name = observer.profile.columns[place].column.name
            effect.add_metric((model, version, name), float(observer.effects[place]))
    unwatched = CounterMetricFamily(
        "tidegate_monitor_unwatched_rows",
        "Rows that came while their version, or its files, were not watched",
        value=sources.unwatched_rows,
    )
    alarms = CounterMetricFamily(
        "tidegate_monitor_alarms", "Alerts that began to fire", labels=(*_VERSION, "rule")
    )
    for model, version, _ in observed:
        for rule in Rule:
            count = sources.alarms[model, version, rule.value]
            alarms.add_metric((model, version, rule.value), count)
    return [
        *counts.all(),
        effect,
        *_versions(watched, most),
        *_alerts(observed),
        *_performance(observed),
        alarms,
        unwatched,
    ]


def features_of_each(versions: int) -> int:
    """Return how many features of each of so many versions have series."""
    return min(MAX_FEATURES, max(MIN_FEATURES, MAX_ALL_FEATURES // max(1, versions)))


def exported(observer: Observer, most: int) -> list[int]:
    """Return the places of features that have series, in order: the most important, `most` at most.

    What the model answers comes first: it matters most, and has no importance of its own.
    """
    columns = observer.profile.columns

    def rank(place: int) -> tuple[bool, float]:
        one = columns[place]
        return one.column.side is not Side.OUTPUT, -(one.importance or 0.0)

    return sorted(sorted(range(len(columns)), key=rank)[:most])


def _versions(watched: Iterable[Watched], most: int) -> Iterator[Metric]:
    """Yield the families with a series for each version."""
    learning = GaugeMetricFamily(
        "tidegate_monitor_learning",
        "1 while a version without a profile learns what is usual",
        labels=_VERSION,
    )
    own = GaugeMetricFamily(
        "tidegate_monitor_self_reference",
        "1 for a version whose reference was learned from its own first rows",
        labels=_VERSION,
    )
    held = GaugeMetricFamily(
        "tidegate_monitor_held_bytes", "Memory of a version's counts", labels=_VERSION
    )
    omitted = GaugeMetricFamily(
        "tidegate_monitor_omitted_features",
        "Features of a version without series of their own",
        labels=_VERSION,
    )
    worst = GaugeMetricFamily(
        "tidegate_monitor_omitted_effect",
        "How far the one of these that has moved most had moved when last judged",
        labels=_VERSION,
    )
    for one in watched:
        labels = (one.model, one.version)
        learning.add_metric(labels, float(one.observer is None))
        if one.observer is None:
            continue
        own.add_metric(labels, float(one.observer.profile.is_self_reference))
        held.add_metric(labels, one.observer.held_bytes)
        kept = set(exported(one.observer, most))
        left = [at for at in range(len(one.observer.effects)) if at not in kept]
        omitted.add_metric(labels, len(left))
        worst.add_metric(labels, float(one.observer.effects[left].max(initial=0.0)))
    yield from (learning, own, held, omitted, worst)


def _performance(observed: Iterable[tuple[str, str, Observer]]) -> Iterator[Metric]:
    """Yield what performance is estimated to be, and what it was on the reference's rows."""
    live = GaugeMetricFamily(
        "tidegate_monitor_estimated_performance",
        "Performance as the scores of the last rows let expect it, when last judged",
        labels=(*_VERSION, "figure"),
    )
    before = GaugeMetricFamily(
        "tidegate_monitor_reference_performance",
        "The same of the reference's rows",
        labels=(*_VERSION, "figure"),
    )
    for model, version, observer in observed:
        if observer.performance is not None:
            for figure in FIGURES:
                for family, side in (
                    (live, observer.performance.live),
                    (before, observer.performance.reference),
                ):
                    value = getattr(side, figure)
                    if value is not None:
                        family.add_metric((model, version, figure), value)
    yield from (live, before)


def _alerts(observed: Iterable[tuple[str, str, Observer]]) -> Iterator[Metric]:
    """Yield how many alerts there are, all of them, and which ones, up to the cap."""
    counts = GaugeMetricFamily(
        "tidegate_monitor_alerts",
        "Alerts that are pending or firing",
        labels=(*_VERSION, "rule", "state"),
    )
    each = GaugeMetricFamily(
        "tidegate_monitor_alert",
        "1 for an alert that is pending or firing; feature is empty if it is about all",
        labels=(*_FEATURE, "rule", "state"),
    )
    for model, version, observer in observed:
        raised = {key: one.state.alert for key, one in observer.alerts.items() if one.is_raised}
        tally = Counter((rule, state) for (rule, _), state in raised.items())
        for rule in Rule:
            for state in _RAISED:
                counts.add_metric((model, version, rule.value, state.value), tally[rule, state])
        for (rule, place), state in sorted(raised.items())[:MAX_FEATURES]:
            column = observer.profile.columns[place].column.name if place != WHOLE else ""
            each.add_metric((model, version, column, rule.value, state.value), 1.0)
    yield from (counts, each)
