"""The metric of data checks: rows that broke one, and zeros for what none has broken yet.

Decides which samples there are before the first broken row: Prometheus' rate() sees no increase in
a series that begins with it, so the first broken rows of a feature would raise no alert.

Knows counts and the desired state; does not know what a check holds values to.
"""

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily

from server.controlplane.totals import Totals
from server.wire.desired import ModelPlan

ZEROED_CHECKS = 128
"""Of a version, the first ones: those of model.toml, then the profile's, which may be thousands."""


def broken_checks(totals: Totals, models: Mapping[str, ModelPlan]) -> CounterMetricFamily:
    """Return the rows that broke checks, by feature; `models` are those of the desired state."""
    rows: dict[tuple[str, ...], int] = {
        (name, version, check.feature, broken.value, check.policy.value): 0
        for name, model in models.items()
        for version, plan in model.versions.items()
        for check in plan.checks[:ZEROED_CHECKS]
        for broken in check.breakable
    }
    for labels, tally in totals.versions.items():
        rows |= {(*labels, *key): count for key, count in tally.broken.items()}
    family = CounterMetricFamily(
        "tidegate_data_check_rows",
        "Rows that broke a data check: missing, range or category; and what followed",
        labels=("model", "version", "feature", "check", "policy"),
    )
    for key, count in sorted(rows.items()):
        family.add_metric(key, count)
    return family
