"""Metrics of shadows, written from the feed's state at the moment of a scrape.

Decides names, labels and help texts. Labels come from models in the repository and from closed
sets.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.shadow_feed import ShadowFeed
from server.release.evidence import ShadowEvidence

_VERSION = ("model", "version")

_COUNTS: tuple[tuple[str, str, str, Callable[[ShadowEvidence], Mapping[str, float]]], ...] = (
    (
        "dropped_batches",
        "Drawn batches that were not compared, by reason",
        "reason",
        lambda seen: seen.dropped,
    ),
    ("pairs", "Compared requests, by how the answers differ", "kind", lambda seen: seen.pairs),
    (
        "noise_pairs",
        "The live version run again, by how its own answers differ",
        "kind",
        lambda seen: seen.noise,
    ),
    (
        "findings",
        "What a candidate did to the process: load, crash, hang, memory; and suspended",
        "finding",
        lambda seen: seen.findings,
    ),
    (
        "cpu_seconds",
        "Processor time of both versions on the same rows",
        "role",
        lambda seen: {"candidate": seen.candidate_cpu_seconds, "live": seen.live_cpu_seconds},
    ),
)


def collect(feed: ShadowFeed) -> Iterator[Metric]:
    """Yield all families of shadows."""
    seen = sorted(feed.totals.items())
    sampled = CounterMetricFamily(
        "tidegate_shadow_sampled_batches", "Batches drawn for a candidate", labels=_VERSION
    )
    timed = CounterMetricFamily(
        "tidegate_shadow_timed_rows", "Rows of which both versions' time was taken", labels=_VERSION
    )
    for labels, evidence in seen:
        sampled.add_metric(labels, evidence.sampled_batches)
        timed.add_metric(labels, evidence.timed_rows)
    yield from (sampled, timed)
    for name, text, label, counts in _COUNTS:
        family = CounterMetricFamily(f"tidegate_shadow_{name}", text, labels=(*_VERSION, label))
        for labels, evidence in seen:
            for value, count in sorted(counts(evidence).items()):
                family.add_metric((*labels, value), count)
        yield family
    suspended = GaugeMetricFamily(
        "tidegate_shadow_suspended", "1 for a candidate that is not run any more", labels=_VERSION
    )
    for model, version, _ in sorted(feed.findings.suspended):
        suspended.add_metric((model, version), 1.0)
    yield suspended
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
