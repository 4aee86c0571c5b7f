"""Metrics of gates, written from their verdicts at the moment of a scrape.

Decides names, labels and help texts. Labels come from models in the repository and from closed
sets.
"""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.release_judge import Judge

_GATE = ("model", "version", "part", "gate")


def collect(judge: Judge, models: Iterable[str], obstacles: Mapping[str, str]) -> Iterator[Metric]:
    """Yield all families of gates."""
    verdicts = GaugeMetricFamily(
        "tidegate_release_gate",
        "1 for what a gate says: pass, fail, inconclusive or no_data",
        labels=(*_GATE, "verdict"),
    )
    seen = GaugeMetricFamily(
        "tidegate_release_gate_seen",
        "Pairs, requests, batches or labels that a gate has judged",
        labels=_GATE,
    )
    waits = GaugeMetricFamily(
        "tidegate_release_waits",
        "1 while something stands in the way of what would follow by itself",
        labels=("model",),
    )
    for model in sorted(models):
        waits.add_metric((model,), float(model in obstacles))
        for part, version, report in judge.reports(model):
            for reading in report.readings:
                labels = (model, version, part, reading.gate)
                verdicts.add_metric((*labels, reading.verdict.value), 1.0)
                seen.add_metric(labels, reading.total)
    yield from (verdicts, seen, waits)
