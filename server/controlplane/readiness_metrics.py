"""The metrics of whether models answer: what workers say of their live versions.

Decides names, labels and help texts of these.

Concurrency: made on the event loop, from what is there at the moment of a scrape.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.fleet import Fleet


def readiness(fleet: Fleet) -> Iterator[Metric]:
    """Yield whether each live version has answered in time on each worker, and how often asked."""
    ready = GaugeMetricFamily(
        "tidegate_model_ready",
        "1 while a worker's live version of a model answers: callers, or what asks it else",
        labels=("model", "worker"),
    )
    probes = CounterMetricFamily(
        "tidegate_probes",
        "How often a version was asked whether it answers, because no caller had asked it",
        labels=("worker",),
    )
    for worker in fleet.workers:
        if worker.status is None:
            continue
        number = str(worker.hello.worker)
        for model in sorted(worker.status.live):
            ready.add_metric((model, number), float(model not in worker.status.unready))
        probes.add_metric((number,), worker.status.gauges.probes)
    yield from (ready, probes)
