"""Metrics of monitoring: counts of features that add up over replicas, and the state of alerts.

Decides names, labels and which features have series of their own. A model may have thousands of
features, and a series costs its collector for months: so each version exports its most important
ones, as the profile ranks them, and says how many it left out and how far the worst of these has
moved. Words of categories and values are never labels.

Scores are counters (`Screen.exported_sums`), so that Prometheus can add up replicas and judge the
sum, which is worth more than an average of verdicts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.watched import Watched
from server.monitoring.drift import WHOLE
from server.monitoring.observer import Observer
from server.monitoring.profile import CategoryProfile, NumberProfile
from server.monitoring.rate_plans import Rule
from server.statistics.sequential import Alert
from server.statistics.smooth_test import COMPONENTS

MAX_FEATURES = 64
"""Features of a version that have series of their own."""

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
    families = _Features(with_bins=sources.with_bins)
    for model, version, observer in observed:
        families.add((model, version), observer)
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
    return [*families.all(), *_versions(watched), *_alerts(observed), alarms, unwatched]


def exported(observer: Observer) -> list[int]:
    """Return the places of the features that have series: the most important, in their order."""
    columns = observer.profile.columns
    order = sorted(range(len(columns)), key=lambda place: -(columns[place].importance or 0.0))
    return sorted(order[:MAX_FEATURES])


class _Features:
    """The families with a series for each feature."""

    def __init__(self, *, with_bins: bool) -> None:
        self._rows = _counter("rows", "Rows of a feature that are in a bin or a known category")
        self._scores = CounterMetricFamily(
            "tidegate_monitor_score",
            "Summed scores of a feature's rows, 16 added to each so that the sum only grows",
            labels=(*_FEATURE, "component"),
        )
        self._missing = _counter("missing", "Rows in which a feature is missing")
        self._outside = _counter(
            "outside", "Rows in which a feature is infinite or beyond the reference's range"
        )
        self._novel = _counter("novel", "Rows with a category that the reference never had")
        self._reference = _gauge(
            "reference_rows", "Rows of the reference that are in a bin or a known category"
        )
        self._effect = _gauge(
            "effect", "How far a feature had moved when last judged, in standard deviations"
        )
        self._bins = CounterMetricFamily(
            "tidegate_monitor_bin",
            "Rows of a feature by bin, or by category in the profile's order",
            labels=(*_FEATURE, "bin"),
        )
        self._shares = GaugeMetricFamily(
            "tidegate_monitor_bin_reference_ratio",
            "Share of the reference's rows in a bin or category",
            labels=(*_FEATURE, "bin"),
        )
        self._with_bins = with_bins

    def all(self) -> Iterator[Metric]:
        yield from (self._rows, self._scores, self._missing, self._outside, self._novel)
        yield from (self._reference, self._effect)
        if self._with_bins:
            yield from (self._bins, self._shares)

    def add(self, version: tuple[str, str], observer: Observer) -> None:
        screen, totals = observer.judge.screen, observer.totals
        sums = dict(zip(screen.number_places, screen.exported_sums(totals), strict=True))
        for place in exported(observer):
            profile = observer.profile.columns[place]
            labels = (*version, profile.column.name)
            self._effect.add_metric(labels, float(observer.effects[place]))
            if isinstance(profile, NumberProfile):
                live = observer.judge.layout.number(totals, place)
                infinite = live.negative_infinities + live.positive_infinities
                self._outside.add_metric(labels, live.below + live.above + infinite)
                for component, value in zip(COMPONENTS, sums[place].tolist(), strict=False):
                    self._scores.add_metric((*labels, component), value)
                reference, bins = profile.counts.bins.tolist(), live.bins.tolist()
                self._missing.add_metric(labels, live.missing)
            else:
                words = observer.judge.layout.category(totals, place)
                self._novel.add_metric(labels, words.novel)
                self._missing.add_metric(labels, words.missing)
                reference, bins = _known(profile), [*words.kept.tolist(), words.other]
            self._rows.add_metric(labels, sum(bins))
            self._reference.add_metric(labels, sum(reference))
            if self._with_bins:
                self._add_bins(labels, reference, bins)

    def _add_bins(self, labels: tuple[str, ...], reference: list[int], live: list[int]) -> None:
        total = max(1, sum(reference))
        for number, (before, now) in enumerate(zip(reference, live, strict=True)):
            self._bins.add_metric((*labels, f"{number:02}"), now)
            self._shares.add_metric((*labels, f"{number:02}"), before / total)


def _known(profile: CategoryProfile) -> list[int]:
    return [*profile.counts.kept.tolist(), profile.counts.other]


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"tidegate_monitor_{name}", text, labels=_FEATURE)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"tidegate_monitor_{name}", text, labels=_FEATURE)


def _versions(watched: Iterable[Watched]) -> Iterator[Metric]:
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
        kept = set(exported(one.observer))
        left = [at for at in range(len(one.observer.effects)) if at not in kept]
        omitted.add_metric(labels, len(left))
        worst.add_metric(labels, float(one.observer.effects[left].max(initial=0.0)))
    yield from (learning, own, held, omitted, worst)


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
