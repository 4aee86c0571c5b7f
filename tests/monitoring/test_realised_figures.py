"""Figures of realised performance are those of scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from server.monitoring.realised import (
    NEGATIVE,
    POSITIVE,
    SCORE_BINS,
    LabelCounts,
    NumberPair,
    Pair,
    Task,
)
from server.monitoring.realised_figures import (
    FIGURES,
    PairedCounts,
    calibration,
    delay_seconds,
    figures,
    paired,
)

ROWS = 2000
RNG = np.random.default_rng(4)


def test_of_two_classes() -> None:
    """Accuracy, precision, recall, F1, log loss, Brier score exactly; AUC of binned scores too."""
    score = RNG.beta(2.0, 3.0, ROWS).astype(np.float32)
    true = RNG.random(ROWS) < score
    answered = score >= 0.4
    counts = LabelCounts()
    side = {True: POSITIVE, False: NEGATIVE}
    counts.add(
        [
            Pair(side[bool(t)], side[bool(a)], float(s))
            for t, a, s in zip(true, answered, score, strict=True)
        ]
    )

    found = figures(counts, Task.BINARY)

    wide = score.astype(np.float64)
    assert tuple(found) == FIGURES[Task.BINARY]
    assert found["accuracy"] == metrics.accuracy_score(true, answered)
    assert found["precision"] == metrics.precision_score(true, answered)
    assert found["recall"] == metrics.recall_score(true, answered)
    assert found["specificity"] == metrics.recall_score(~true, ~answered)
    assert found["f1"] == metrics.f1_score(true, answered)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(true, wide), rel=1e-6)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(true, wide))
    binned = np.minimum((wide * SCORE_BINS).astype(int), SCORE_BINS - 1)
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(true, binned))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(true, wide), abs=0.002)
    assert found["positive_rate"] == pytest.approx(true.mean())
    assert found["calibration_error"] is not None
    assert found["calibration_error"] < 0.05


def test_calibration_shows_scores_that_promise_too_much() -> None:
    """A score of 0.9 that comes true half of the time is off by 0.4."""
    counts = LabelCounts()
    counts.add([Pair(side, POSITIVE, 0.9) for side in (POSITIVE, NEGATIVE) * 50])

    (point,) = calibration(counts)

    assert (point["positive_rate"], point["rows"]) == (0.5, 100)
    assert point["score"] == pytest.approx(0.9, abs=1 / SCORE_BINS)
    assert figures(counts, Task.BINARY)["calibration_error"] == pytest.approx(0.4, abs=0.01)


def test_of_many_classes() -> None:
    """Accuracy, macro F1, the five likeliest and log loss of eight classes."""
    classes = [f"class {number}" for number in range(8)]
    scores = RNG.dirichlet(np.ones(8), ROWS)
    true = np.array([RNG.choice(8, p=row) for row in scores])
    answered = scores.argmax(axis=1)
    top = np.argsort(-scores, axis=1)[:, :5]
    counts = LabelCounts()
    counts.add(
        [
            Pair(classes[t], classes[a], float(row[t]), bool(t in best))
            for t, a, row, best in zip(true, answered, scores, top, strict=True)
        ]
    )

    found = figures(counts, Task.MULTICLASS)

    assert tuple(found) == FIGURES[Task.MULTICLASS]
    assert found["accuracy"] == metrics.accuracy_score(true, answered)
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(true, answered, average="macro"))
    assert found["top_5_accuracy"] == metrics.top_k_accuracy_score(true, scores, k=5)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(true, scores, labels=range(8)))
    matrix = metrics.confusion_matrix(true, answered)
    for (label, answer), rows in counts.confusion.items():
        assert matrix[classes.index(label), classes.index(answer)] == rows
    assert counts.confusion.total() == ROWS


def test_of_numbers() -> None:
    """Mean error, MAE, RMSE and R2, also far away from 0."""
    true = RNG.normal(1e6, 2.0, ROWS)
    answered = (true + RNG.normal(0.1, 1.0, ROWS)).astype(np.float32).astype(np.float64)
    counts = LabelCounts()
    counts.add([NumberPair(float(t), float(a)) for t, a in zip(true, answered, strict=True)])

    found = figures(counts, Task.REGRESSION)

    assert tuple(found) == FIGURES[Task.REGRESSION]
    assert found["mean_error"] == pytest.approx(float((answered - true).mean()))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(true, answered))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(true, answered))
    assert found["r2"] == pytest.approx(metrics.r2_score(true, answered))


@pytest.mark.parametrize("task", Task)
def test_nothing_is_said_of_nothing(task: Task) -> None:
    """Without labels every figure is None, and so is what one class alone does not determine."""
    assert set(figures(LabelCounts(), task).values()) == {None}
    counts = LabelCounts()
    counts.add([Pair(NEGATIVE, NEGATIVE, 0.1)])
    found = figures(counts, Task.BINARY)
    assert (found["roc_auc"], found["precision"], found["recall"]) == (None, None, None)


def test_delays_are_told_by_their_bound() -> None:
    """Half of the labels came within a minute, nine tenths within a day; some take weeks."""
    counts = LabelCounts()
    counts.add([], [5.0] * 40 + [50.0] * 20 + [5000.0] * 30 + [1e7] * 10)

    assert delay_seconds(counts, 0.5) == 60.0
    assert delay_seconds(counts, 0.9) == 6 * 3600.0
    assert delay_seconds(counts, 0.95) is None
    assert delay_seconds(LabelCounts(), 0.5) is None


def test_pairs_are_counted_by_who_was_right() -> None:
    """Live version and candidate on the same rows; counts of two stretches add up."""
    counts = paired([(True, True), (True, False), (False, True), (True, False), (False, False)])

    assert counts == PairedCounts(1, 2, 1, 1)
    assert counts.plus(counts).rows == 10
