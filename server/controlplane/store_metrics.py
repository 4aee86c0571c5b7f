"""Metrics of the store and of the webhook, written from their state at the moment of a scrape.

Decides names and help texts. An alert on them is how a full disk is noticed: predictions go on.
"""

from collections.abc import Iterator, Mapping

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


def webhook(tries: Mapping[str, int], waiting: int) -> Iterator[Metric]:
    """Yield the families of the webhook: its tries by outcome, and the events that wait."""
    family = CounterMetricFamily(
        "tidegate_webhook_tries",
        "Tries to post an event, by outcome: ok, failed, given_up",
        labels=("outcome",),
    )
    for outcome, count in tries.items():
        family.add_metric((outcome,), count)
    yield family
    yield GaugeMetricFamily(
        "tidegate_webhook_waiting_events", "Events that wait to be delivered", value=waiting
    )
