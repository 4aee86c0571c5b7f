"""Metrics of what the gateway stands on: its clock, its descriptors, how often control began anew.

Decides names and help texts. Alerts on them are how faults are noticed that stop no prediction.
"""

import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.clock import steady_seconds
from server.machine import descriptor_limit


def collect(restarts: int) -> Iterator[Metric]:
    """Yield all families; control was replaced `restarts` times before."""
    yield CounterMetricFamily(
        "tidegate_control_restarts", "How often control was replaced", value=restarts
    )
    yield GaugeMetricFamily(
        "tidegate_clock_set_seconds",
        "How far the clock of the machine was set forward since control started; back if negative",
        value=time.time() - steady_seconds(),
    )
    yield GaugeMetricFamily(
        "tidegate_process_max_fds",
        "File descriptors that each process may have",
        value=descriptor_limit(),
    )
