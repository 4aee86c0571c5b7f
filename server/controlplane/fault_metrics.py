"""Metrics of versions that crash or hang, and of the requests that make them.

Decides names and help texts. Labels come from models in the repository.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.faults import Faults


def collect(faults: Faults, models: AbstractSet[str]) -> Iterator[Metric]:
    """Yield all families of faults, for the models that are there."""
    family = CounterMetricFamily(
        "tidegate_version_faults",
        "Times that a version killed its worker (crash) or did not come back (hang)",
        labels=("model", "version", "kind"),
    )
    for (model, version, kind), count in sorted(faults.counts.items()):
        if model in models:
            family.add_metric((model, version, kind), count)
    yield family
    suspects, quarantined = faults.table.counts()
    yield GaugeMetricFamily(
        "tidegate_suspects", "Requests that are run alone or refused", value=suspects
    )
    yield GaugeMetricFamily(
        "tidegate_quarantined", "Requests that are refused, as they killed twice", value=quarantined
    )
