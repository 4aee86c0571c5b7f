"""Performance estimated from counts: the figures of CBPE, and what no labels can tell."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.performance import Estimator, Performance
from server.monitoring.profile import ScoreProfile

GOLDEN = json.loads((Path(__file__).parent / "data" / "car_loan_cbpe.json").read_text())
"""NannyML 0.13.1's own estimates for its car-loan data: CBPE fitted on the 50,000 reference rows,
ten chunks of 5,000 rows of the others. Counts are by fiftieths of the score, and from 0.65, where
the model's answer changes."""

FIGURES = ("roc_auc", "accuracy", "f1", "precision", "recall", "specificity")


def counts(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def score(
    labelled: Any, positives: Any, answered: Any, hits: Any, positive: str | None = "yes"
) -> ScoreProfile:
    return ScoreProfile("p.score", positive, positives, labelled, answered, hits)


SIMPLE = score(counts(10, 0, 10), counts(1, 0, 8), counts(0, 0, 10), counts(0, 0, 8))
"""Three bins, the middle one without labels; from the third on, the answer is yes."""


@pytest.mark.parametrize("chunk", GOLDEN["chunks"])
def test_estimates_are_those_of_cbpe(chunk: dict[str, Any]) -> None:
    """All six figures agree with NannyML's to three decimals in each chunk of its car-loan data."""
    car_loan = score(
        *[counts(*GOLDEN[name]) for name in ("labelled", "positives", "answered", "hits")]
    )

    found = Estimator(car_loan).estimate(counts(*chunk["counts"]))

    assert found.rows == 5000
    for figure in FIGURES:
        assert getattr(found, figure) == pytest.approx(chunk[figure], abs=0.0005)


def test_figures_are_those_of_the_expected_confusion_matrix() -> None:
    """By hand: 100 rows at 0.1 that are answered no, and 50 at 0.8 that are answered yes."""
    found = Estimator(SIMPLE).estimate(counts(100, 0, 50))

    hit, miss, false_alarm, rest = 40, 10, 10, 90
    assert asdict(found) == pytest.approx(
        {
            "rows": 150,
            "accuracy": (hit + rest) / 150,
            "precision": hit / (hit + false_alarm),
            "recall": hit / (hit + miss),
            "specificity": rest / (rest + false_alarm),
            "f1": 2 * hit / (2 * hit + miss + false_alarm),
            "roc_auc": (hit * rest + 0.5 * (hit * 10 + 10 * rest)) / (50 * 100),
        }
    )


def test_more_classes_have_an_accuracy_only() -> None:
    """The score is then that of being right, and nothing else follows from it."""
    right = score(counts(10, 10), counts(5, 9), counts(10, 10), counts(5, 9), positive=None)

    found = Estimator(right).estimate(counts(20, 20))

    assert found == Performance(40, accuracy=found.accuracy)
    assert found.accuracy == pytest.approx(0.7)


def test_a_bin_without_labels_lies_between_its_neighbours() -> None:
    """Live rows where the reference had none are estimated, and how many is said."""
    change = Estimator(SIMPLE).change(SIMPLE.labelled, counts(0, 10, 0))

    assert change.covered == 0.0
    assert change.live.accuracy is not None
    assert 0.5 <= change.live.accuracy <= 0.9


def test_rates_do_not_fall_with_the_score() -> None:
    """A bin that came true less often than the one below it shares its rate: that is noise."""
    noisy = score(counts(10, 10), counts(6, 4), counts(0, 0), counts(0, 0))

    found = Estimator(noisy).estimate(counts(10, 0))

    assert found.accuracy == pytest.approx(0.5)


@pytest.mark.parametrize("live", [counts(0, 0, 0), counts(5, 5, 5)])
def test_without_rows_or_labels_there_is_no_estimate(live: Any) -> None:
    """No figure is made up, and nothing divides by zero."""
    nothing = counts(0, 0, 0)
    unlabelled = Estimator(score(nothing, nothing, nothing, nothing))

    assert unlabelled.estimate(live) == Performance(int(live.sum()))
    change = unlabelled.change(nothing, live)
    assert (change.p, change.accuracy_change, change.covered) == (1.0, 0.0, 0.0)
    assert Estimator(SIMPLE).change(nothing, nothing).p == 1.0


def test_scores_that_move_to_the_unsure_lower_the_accuracy() -> None:
    """The change has its sign, and is the less probable the more rows show it."""
    estimator = Estimator(
        score(counts(100, 100, 100), counts(5, 50, 95), counts(0, 0, 100), counts(0, 0, 95))
    )
    reference = counts(500, 100, 500)

    few = estimator.change(reference, counts(8, 4, 8))
    many = estimator.change(reference, counts(400, 200, 400))

    assert few.accuracy_change == pytest.approx(many.accuracy_change)
    assert many.accuracy_change < 0
    assert many.p < 0.001 < few.p
    assert estimator.change(reference, counts(400, 200, 400), inflation=9.0).p > many.p
    assert estimator.change(reference, reference).p == pytest.approx(1.0)


def test_a_change_that_leaves_the_accuracy_alone_means_nothing() -> None:
    """Rows that move from surely no to surely yes are as often right as before."""
    even = Estimator(score(counts(10, 10), counts(1, 9), counts(0, 10), counts(0, 9)))

    change = even.change(counts(900, 100), counts(10, 990))

    assert change.p == 1.0
    assert change.accuracy_change == pytest.approx(0.0)


def test_false_alarms_are_as_rare_as_they_say() -> None:
    """When nothing has moved, a p below 0.05 comes in about 5 of 100 windows."""
    random = np.random.default_rng(5)
    shares = random.dirichlet(np.ones(50))
    labelled = random.multinomial(20000, shares)
    positives = random.binomial(labelled, np.linspace(0.02, 0.98, 50))
    answered = np.where(np.arange(50) >= 25, labelled, 0)
    estimator = Estimator(score(labelled, positives, answered, np.minimum(positives, answered)))

    alarms = [
        estimator.change(labelled, random.multinomial(1000, shares)).p < 0.05 for _ in range(2000)
    ]

    assert 0.035 < np.mean(alarms) < 0.065


bins = st.lists(
    st.tuples(*[st.integers(0, 30)] * 5),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(bins)
def test_every_figure_is_a_share(rows: list[tuple[int, ...]]) -> None:
    """Whatever was counted, each figure is from 0 to 1 or not there, and p a probability."""
    hits, misses, alarms, rest, live = np.array(rows).T
    whole = score(hits + misses + alarms + rest, hits + misses, hits + alarms, hits)

    change = Estimator(whole).change(whole.labelled, live)

    for found in (change.reference, change.live):
        for figure in FIGURES:
            value = getattr(found, figure)
            assert value is None or -1e-9 <= value <= 1 + 1e-9
    assert 0.0 <= change.p <= 1.0
    assert 0.0 <= change.covered <= 1.0
