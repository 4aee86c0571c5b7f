"""Metrics of shadows, written from the feed's state at the moment of a scrape.

Decides names, labels and help texts. Labels come from models in the repository and from closed
sets.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from server.controlplane.shadow_feed import FINDINGS, REASONS, ShadowFeed
from server.release.evidence import DIFFERENCE_BOUNDS, Kind, ShadowEvidence

_VERSION = ("model", "version")

_Counts = Callable[[ShadowEvidence], Mapping[str, float]]

_COUNTS: tuple[tuple[str, str, str, Sequence[str], _Counts], ...] = (
    (
        "dropped_batches",
        "Drawn batches that were not compared, by reason",
        "reason",
        REASONS,
        lambda seen: seen.dropped,
    ),
    (
        "pairs",
        "Compared requests, by how the answers differ",
        "kind",
        tuple(Kind),
        lambda seen: seen.pairs,
    ),
    (
        "noise_pairs",
        "The live version run again, by how its own answers differ",
        "kind",
        tuple(Kind),
        lambda seen: seen.noise,
    ),
    (
        "findings",
        "What a candidate did to the process, and whether it was suspended",
        "finding",
        FINDINGS,
        lambda seen: seen.findings,
    ),
    (
        "cpu_seconds",
        "Processor time of both versions on the same rows",
        "role",
        ("candidate", "live"),
        lambda seen: {"candidate": seen.candidate_cpu_seconds, "live": seen.live_cpu_seconds},
    ),
)


def collect(feed: ShadowFeed) -> Iterator[Metric]:
    """Yield all families of shadows; what has not been seen of a candidate is 0."""
    seen = sorted(feed.totals.items())
    sampled = CounterMetricFamily(
        "tidegate_shadow_sampled_batches", "Batches drawn for a candidate", labels=_VERSION
    )
    timed = CounterMetricFamily(
        "tidegate_shadow_timed_rows", "Rows of which both versions' time was taken", labels=_VERSION
    )
    suspended = GaugeMetricFamily(
        "tidegate_shadow_suspended", "1 for a candidate that is not run any more", labels=_VERSION
    )
    is_suspended = {(model, version) for model, version, _ in feed.findings.suspended}
    apart = HistogramMetricFamily(
        "tidegate_shadow_score_difference",
        "How far a candidate's score is from the live one, by pair",
        labels=_VERSION,
    )
    bounds = [*map(floatToGoString, DIFFERENCE_BOUNDS), "+Inf"]
    for labels, evidence in seen:
        counts_below = accumulate(evidence.score_differences)
        buckets = list(zip(bounds, counts_below, strict=True))
        apart.add_metric(labels, buckets, evidence.score_difference)
        sampled.add_metric(labels, evidence.sampled_batches)
        timed.add_metric(labels, evidence.timed_rows)
        suspended.add_metric(labels, float(labels in is_suspended))
    yield from (sampled, timed, suspended, apart)
    for name, text, label, values, counts in _COUNTS:
        family = CounterMetricFamily(f"tidegate_shadow_{name}", text, labels=(*_VERSION, label))
        for labels, evidence in seen:
            for value in values:
                family.add_metric((*labels, value), counts(evidence).get(value, 0))
        yield family
    status = feed.status
    for name, text, number in (
        ("running", "1 while there is a process that runs candidates", float(status is not None)),
        (
            "waiting_records",
            "Records that wait in it",
            float(status.waiting_records if status else 0),
        ),
        (
            "share",
            "Share of what is drawn that is mirrored: below 1 while predictions suffer",
            feed.throttle.share,
        ),
    ):
        yield GaugeMetricFamily(f"tidegate_shadow_{name}", text, value=number)
