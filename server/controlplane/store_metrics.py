"""Metrics of the store, written from its health at the moment of a scrape.

Decides names and help texts. An alert on them is how a full disk is noticed: predictions go on.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.store.database import Health


def collect(health: Health) -> Iterator[Metric]:
    """Yield all families of the store."""
    for name, text, gauge in (
        ("writable", "1 while what is to be kept can be written", float(health.is_writable)),
        (
            "last_write_timestamp_seconds",
            "When something was last written, 0 before that",
            health.last_write_seconds,
        ),
        ("bytes", "Size of the file and its log", health.size_bytes),
        ("pending_transactions", "Transactions that wait or run", health.pending),
    ):
        yield GaugeMetricFamily(f"tidegate_store_{name}", text, value=gauge)
    for name, text, total in (
        ("failures", "Transactions that failed", health.failures),
        ("files_set_aside", "Damaged files that were put aside", health.set_aside),
    ):
        yield CounterMetricFamily(f"tidegate_store_{name}", text, value=total)
