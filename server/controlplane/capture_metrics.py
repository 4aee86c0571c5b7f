"""Metrics of captured rows: what was taken, what was not and why, and how much there is.

Decides names and labels.
"""

from collections.abc import Collection, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.capturing import Capture


def collect(capture: Capture, models: Collection[str]) -> Iterator[Metric]:
    """Yield all families of captured rows; versions are those of `models`."""
    rows = CounterMetricFamily(
        "tidegate_capture_rows", "Rows taken for Parquet files", labels=("model", "version")
    )
    for (model, version), count in sorted(capture.rows.items()):
        if model in models:
            rows.add_metric((model, version), count)
    dropped = CounterMetricFamily(
        "tidegate_capture_dropped_batches", "Drawn batches not captured", labels=("reason",)
    )
    for reason, count in capture.dropped.items():
        dropped.add_metric((reason,), count)
    yield from (rows, dropped)
    yield CounterMetricFamily(
        "tidegate_capture_removed_files",
        "Files removed because there was no room",
        value=capture.removed_files,
    )
    for name, text, value in (
        ("bytes", "Bytes of all files, those that are being written included", capture.held_bytes),
        ("waiting_bytes", "Bytes of batches that wait to be written", capture.waiting_bytes),
    ):
        yield GaugeMetricFamily(f"tidegate_capture_{name}", text, value=value)
