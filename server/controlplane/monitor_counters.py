"""Counts of features as counters, and the reference's as gauges: all that a fleet's verdict takes.

Decides what Prometheus is given so that it can reach the verdict of `statistics/combine.py` itself,
on the sum of all replicas: a sum is worth more than an average of verdicts. Every series bears the
beginning of its profile's hash, because only counts made with one profile add up.

A score may be negative and a counter may not fall, so `SCORE_SHIFT` is added to the score of every
row, and taken off again when the mean is known. A version whose reference has hours gets no
`alpha`, and so no verdict there: its gateway judges it alone. Words of categories and values are
never labels.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from server.controlplane.page import Series
from server.monitoring.counting import Counts
from server.monitoring.drift import Judge
from server.monitoring.observer import Observer
from server.monitoring.profile import CategoryProfile, NumberProfile
from server.statistics.smooth_test import COMPONENTS

SCORE_SHIFT = 1024.0
"""Scores of bins with a millionth of the reference are smaller, and no others lead to a verdict."""

PROFILE_DIGITS = 12
"""Of the hash of a profile, in labels."""

RATE_LABELS = {
    "missing": "missing",
    "infinite": "infinite",
    "below the range": "below",
    "above the range": "above",
    "never seen": "novel",
    "a fraction": "fraction",
    "a number": "number",
}
"""Values of the label `rate`, by the names of reports."""

_PROFILE = ("model", "version", "profile")
_FEATURE = (*_PROFILE, "feature")
_SCORE = (*_FEATURE, "component")
_RATE = (*_FEATURE, "rate", "rule")
_CATEGORY = (*_FEATURE, "category")
_BIN = (*_FEATURE, "gt", "le")

Labels = tuple[str, ...]


class CounterFamilies:
    """The families of all versions that were added."""

    def __init__(self, *, with_bins: bool) -> None:
        """Begin without versions; bins of numbers cost 40 series a feature."""
        self._with_bins = with_bins
        self._counters = {
            name: Series(f"tidegate_monitor_{name}", text, "counter", labels)
            for name, text, labels in (
                ("rows", "Rows of a feature that were looked at", _FEATURE),
                ("present_rows", "Those with a finite number or a word", _FEATURE),
                ("score", "Summed scores of present rows, 1024 added to each", _SCORE),
                ("unusual_rows", "Rows with an unusual value, by what it is", _RATE),
                ("category_rows", "Rows by category, in the profile's order", _CATEGORY),
                ("bin_rows", "Present rows below an edge of the profile's bins", _BIN),
            )
        }
        self._gauges = {
            name: Series(f"tidegate_monitor_{name}", text, "gauge", labels)
            for name, text, labels in (
                ("reference_rows", "Rows of the reference", _FEATURE),
                ("reference_present_rows", "Those with a finite number or a word", _FEATURE),
                ("reference_unusual_rows", "Those with an unusual value", _RATE),
                ("reference_category_rows", "Those of a category", _CATEGORY),
                ("reference_bin_rows", "Those below an edge of the profile's bins", _BIN),
                ("reference_median_share", "Share of those present in the median bin", _FEATURE),
                (
                    "score_inflation",
                    "Variance of mean scores over that of independent rows",
                    _SCORE,
                ),
                ("score_skewness", "Third moment of a row's score, inflated alike", _SCORE),
                ("rate_inflation", "The same factor of variance, of a rate", _RATE),
                ("category_inflation", "The same factor of variance, of categories", _FEATURE),
                ("alpha", "How improbable a change must be to raise an alert", _PROFILE),
            )
        }

    def all(self) -> Iterator[Metric]:
        """Yield all families; those of bins only if they are wanted."""
        for name, family in {**self._counters, **self._gauges}.items():
            if self._with_bins or name not in _OF_BINS:
                yield family

    def add(self, version: tuple[str, str], observer: Observer, places: Iterable[int]) -> None:
        """Add the features at some places of a version's profile."""
        judge, totals = observer.judge, observer.totals
        labels = (*version, judge.profile.hash[:PROFILE_DIGITS])
        if judge.profile.hours is None:  # Sums over hours cannot be held to each one's reference.
            self._gauges["alpha"].add_metric(labels, judge.alpha)
        sums, _ = judge.screen.score_sums(totals)
        of_number = {place: at for at, place in enumerate(judge.screen.number_places)}
        for place in places:
            profile = judge.profile.columns[place]
            feature = (*labels, profile.column.name)
            self._add_rates(feature, judge, place, totals)
            if isinstance(profile, NumberProfile):
                self._add_scores(feature, judge, place, sums[of_number[place]].tolist(), totals)
            else:
                self._add_categories(feature, profile, totals[judge.layout.slices[place]].tolist())

    def _add_rates(self, feature: Labels, judge: Judge, place: int, totals: Counts) -> None:
        self._counters["rows"].add_metric(feature, judge.rows(place, totals))
        self._gauges["reference_rows"].add_metric(feature, judge.profile.columns[place].counts.rows)
        for plan in judge.plans(place):
            labels = (*feature, RATE_LABELS[plan.name], plan.rule.value)
            rate = plan.rate(totals)
            self._counters["unusual_rows"].add_metric(labels, rate.live_count)
            self._gauges["reference_unusual_rows"].add_metric(labels, rate.reference_count)
            self._gauges["rate_inflation"].add_metric(labels, max(1.0, rate.inflation))

    def _add_scores(
        self, feature: Labels, judge: Judge, place: int, sums: Sequence[float], totals: Counts
    ) -> None:
        basis = judge.bases[place]
        assert basis is not None, "a numeric column has a basis"
        live = totals[judge.layout.slices[place]][: len(basis.reference)]
        present = int(live.sum())
        self._counters["present_rows"].add_metric(feature, present)
        self._gauges["reference_present_rows"].add_metric(feature, basis.rows)
        skewness = basis.skewness * basis.inflation**0.5
        for component, total, factor, third in zip(
            COMPONENTS, sums, basis.inflation.tolist(), skewness.tolist(), strict=False
        ):
            labels = (*feature, component)
            self._counters["score"].add_metric(labels, total + SCORE_SHIFT * present)
            self._gauges["score_inflation"].add_metric(labels, factor)
            self._gauges["score_skewness"].add_metric(labels, third)
        if self._with_bins:
            self._gauges["reference_median_share"].add_metric(feature, basis.median_share)
            profile = judge.profile.columns[place]
            assert isinstance(profile, NumberProfile)
            bounds = ["-Inf", *map(_bound, profile.bins.edges), "+Inf"]
            for edges, now, before in zip(
                pairwise(bounds),
                live.cumsum().tolist(),
                basis.reference.cumsum().tolist(),
                strict=True,
            ):
                self._counters["bin_rows"].add_metric((*feature, *edges), now)
                self._gauges["reference_bin_rows"].add_metric((*feature, *edges), before)

    def _add_categories(
        self, feature: Labels, profile: CategoryProfile, live: Sequence[int]
    ) -> None:
        *known, _, missing, rows = live
        counts = profile.counts
        self._counters["present_rows"].add_metric(feature, rows - missing)
        self._gauges["reference_present_rows"].add_metric(feature, counts.rows - counts.missing)
        self._gauges["category_inflation"].add_metric(feature, max(1.0, profile.inflation))
        reference = [*counts.kept.tolist(), counts.other]
        for number, (now, before) in enumerate(zip(known, reference, strict=True)):
            self._counters["category_rows"].add_metric((*feature, f"{number:02}"), now)
            self._gauges["reference_category_rows"].add_metric((*feature, f"{number:02}"), before)


_OF_BINS = ("bin_rows", "reference_bin_rows", "reference_median_share")


def _bound(value: float) -> str:
    """Write an edge as Prometheus does."""
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]
