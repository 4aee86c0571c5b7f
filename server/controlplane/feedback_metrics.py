"""Metrics of feedback: what became of labels, what is kept, and what labels say of each version.

Decides names and labels. Figures are those of all rows of the last `feedback_days` that were not
acted on, whose labels have come; segments and hours are in the report only.
"""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from server.controlplane.feedback import Feedback
from server.monitoring.cohorts import total
from server.monitoring.joining import Series, SeriesKey
from server.monitoring.realised_figures import figures
from server.monitoring.realised_report import cohorts_of

_VERSION = ("model", "version", "role")


def collect(feedback: Feedback) -> Iterator[Metric]:
    """Yield all families of feedback as they are now."""
    totals, predictions = feedback.totals, feedback.predictions
    labels = CounterMetricFamily(
        "tidegate_feedback_labels", "Labels, by what became of them", labels=("result",)
    )
    for result, count in totals.items.items():
        labels.add_metric((result.value,), count)
    gone = CounterMetricFamily(
        "tidegate_feedback_lost_rows", "Answered rows that no label can find", labels=("reason",)
    )
    for reason, rows in (
        ("unkept", predictions.unkept_rows),
        ("store", predictions.lost_rows),
        ("dropped", totals.dropped_rows),
    ):
        gone.add_metric((reason,), rows)
    yield from (labels, gone)
    for name, text, value in (
        ("kept_rows", "Answered rows that are kept for their labels", totals.kept_rows),
        ("kept_bytes", "What they take in the store", totals.kept_bytes),
        ("early_labels", "Labels that wait for their prediction", feedback.early_items),
        ("waiting_labels", "Labels that wait for the store", feedback.waiting_items),
    ):
        yield GaugeMetricFamily(f"tidegate_feedback_{name}", text, value=value)
    yield from _versions(feedback.series)


def _versions(series: Mapping[SeriesKey, Series]) -> Iterator[Metric]:
    """Yield how many rows have labels, and what these say, by version and role."""
    predicted = GaugeMetricFamily(
        "tidegate_realised_predicted_rows", "Kept rows that may get a label", labels=_VERSION
    )
    labelled = GaugeMetricFamily(
        "tidegate_realised_labelled_rows", "Kept rows that have one", labels=_VERSION
    )
    performance = GaugeMetricFamily(
        "tidegate_realised_performance",
        "Performance by the labels that have come",
        labels=(*_VERSION, "figure"),
    )
    for (of, task, role), cohorts in sorted(cohorts_of(series).items()):
        names = (of.model, of.version, role.word)
        predicted.add_metric(names, sum(cohort.predicted for cohort in cohorts))
        labelled.add_metric(names, sum(cohort.labelled for cohort in cohorts))
        for figure, value in figures(total(cohorts), task).items():
            if value is not None:
                performance.add_metric((*names, figure), value)
    yield from (predicted, labelled, performance)
