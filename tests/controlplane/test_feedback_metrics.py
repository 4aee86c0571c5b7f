"""Metrics of feedback, as Prometheus reads them."""

import asyncio
from pathlib import Path

from server.controlplane import feedback_metrics
from tests.support.predicted import MODEL, FeedbackRig, item


def test_labels_rows_and_figures_are_told(tmp_path: Path) -> None:
    """What became of labels, what is kept, and what the labels of each version say."""

    async def scenario() -> dict[tuple[str, ...], float]:
        rig = FeedbackRig(tmp_path / "state")
        one, two, _ = rig.predict([0.9, 0.2, 0.7])
        await rig.label(item(one, 1), item(two, 1), item("order 1", 1), "wrong")
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in feedback_metrics.collect(rig.feedback)
            for sample in family.samples
        }
        await rig.store.close()
        return found

    found = asyncio.run(scenario())

    assert found["tidegate_feedback_labels_total", "joined"] == 2
    assert found["tidegate_feedback_labels_total", "early"] == 1
    assert found["tidegate_feedback_labels_total", "rejected"] == 1
    assert found["tidegate_feedback_labels_total", "expired"] == 0
    assert found["tidegate_feedback_lost_rows_total", "unkept"] == 0
    assert found["tidegate_feedback_kept_rows",] == 3
    assert found["tidegate_feedback_early_labels",] == 1
    assert found["tidegate_feedback_waiting_labels",] == 0
    assert found["tidegate_realised_predicted_rows", MODEL, "1", "live"] == 3
    assert found["tidegate_realised_labelled_rows", MODEL, "1", "live"] == 2
    assert found["tidegate_realised_performance", MODEL, "1", "live", "accuracy"] == 0.5
    assert ("tidegate_realised_performance", MODEL, "1", "live", "specificity") not in found
