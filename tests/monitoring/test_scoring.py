"""Scores against labels: which column, which label, and counts that are exact."""

from typing import Any

import numpy as np
import pytest

from server.monitoring.columns import Kind
from server.monitoring.profile import NumberProfile, ScoreProfile
from server.monitoring.scoring import label_words, other_class, plan_score
from server.operator_errors import DataInvalid
from server.statistics.bins import probability_bins
from server.statistics.categories import count_words
from tests.support.reference_rows import built, layout_for, sample_of, text

ROWS = 1000
RANDOM = np.random.default_rng(3)
SCORES = RANDOM.uniform(0, 1, ROWS).astype(np.float32)
PAIRS = np.stack([1 - SCORES, SCORES], axis=1)
COME_TRUE = RANDOM.uniform(0, 1, ROWS) < SCORES
INPUTS = {"x": RANDOM.standard_normal(ROWS).astype(np.float32)}
LABELS = text(["ill" if true else "well" for true in COME_TRUE])


def score_of(
    outputs: dict[str, Any], labels: Any, positive: str | None = None, **kinds: Kind
) -> ScoreProfile | None:
    layout = layout_for(INPUTS, outputs, **(kinds or {"p": Kind.PROBABILITY}))
    return built(layout, INPUTS, outputs, labels, positive=positive)[0].score


def naive(scores: Any, rows: Any) -> list[int]:
    """Count rows by fiftieths of their score, one by one."""
    counts = [0] * 50
    edges = (np.arange(1, 50) / 50).astype(np.float32)
    for score in np.asarray(scores)[rows].tolist():
        counts[sum(1 for edge in edges.tolist() if edge <= score)] += 1
    return counts


def answers(yes: str, no: str) -> Any:
    return text([yes if score > 0.5 else no for score in SCORES.tolist()])


def test_the_score_is_of_the_label_that_is_answered_when_it_is_high() -> None:
    """Positive rows are counted by the score's bins, exactly."""
    score = score_of({"label": answers("ill", "well"), "p": PAIRS}, LABELS)

    assert score is not None
    assert (score.column, score.positive) == ("p.score", "ill")
    assert score.labelled.tolist() == naive(SCORES, slice(None))
    assert score.positives.tolist() == naive(SCORES, COME_TRUE)
    assert score.answered.tolist() == naive(SCORES, SCORES > 0.5)
    assert score.hits.tolist() == naive(SCORES, (SCORES > 0.5) & COME_TRUE)


def test_answers_that_the_data_do_not_know_follow_the_score() -> None:
    """A model that says `b` where the data say 1 is taken to answer 1 from a half on."""
    score = score_of({"label": answers("b", "a"), "p": PAIRS}, COME_TRUE.astype(np.int64))

    assert score is not None
    assert score.positive == "1"
    assert score.answered.tolist() == naive(SCORES, SCORES >= 0.5)


def test_rows_without_a_label_or_a_score_are_left_out() -> None:
    """They say nothing of how often the score comes true."""
    labels, pairs = LABELS.copy(), PAIRS.copy()
    labels[:100] = None
    pairs[100:200] = np.nan
    score = score_of({"label": answers("ill", "well"), "p": pairs}, labels)

    assert score is not None
    assert score.labelled.sum() == ROWS - 200
    assert score.positives.tolist() == naive(SCORES[200:], COME_TRUE[200:])


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        (COME_TRUE.astype(np.int64), "1"),
        (COME_TRUE.astype(np.float64), "1"),
        (COME_TRUE, "true"),
        (text(["1.0" if true else "0.0" for true in COME_TRUE]), "1"),
        (np.ones(ROWS, np.int64), "1"),
    ],
    ids=["integers", "floats", "booleans", "text", "one label only"],
)
def test_a_lone_score_is_of_1_or_of_true(labels: Any, positive: str) -> None:
    """A model with a sigmoid at its end answers no label at all."""
    score = score_of({"y": SCORES}, labels, y=Kind.PROBABILITY)

    assert score is not None
    assert (score.column, score.positive) == ("y", positive)


def test_labels_that_the_model_does_not_know_have_to_be_named() -> None:
    """Which of them the score is of cannot be guessed."""
    with pytest.raises(DataInvalid, match="the labels are ill, well: it is not clear") as caught:
        score_of({"y": SCORES}, LABELS, y=Kind.PROBABILITY)

    assert "--positive" in caught.value.fix
    score = score_of({"y": SCORES}, LABELS, "ill", y=Kind.PROBABILITY)
    assert score is not None
    assert score.positives.tolist() == naive(SCORES, COME_TRUE)


@pytest.mark.parametrize("positive", [None, "ill"])
def test_a_third_label_of_two_classes_is_refused(positive: str | None) -> None:
    """It is named: what the model does not answer, or the rarest if it answers no label."""
    labels = LABELS.copy()
    labels[:3] = "unwell"
    for outputs in ({"label": answers("ill", "well"), "p": PAIRS}, {"p": PAIRS}):
        with pytest.raises(DataInvalid, match="'unwell' is a third label, of 3 rows; the labels"):
            score_of(outputs, labels, positive)


def test_a_label_that_does_not_occur_cannot_be_named() -> None:
    """A few of those that do are shown."""
    with pytest.raises(DataInvalid, match="'dead' is not among the labels: ill, well"):
        score_of({"p": PAIRS}, LABELS, "dead")


def test_the_other_class_is_asked_for() -> None:
    """Then the score has to be that of the other column, and the layout is made so."""
    outputs = {"label": answers("ill", "well"), "p": PAIRS}
    layout = layout_for(INPUTS, outputs, p=Kind.PROBABILITY)
    known = count_words(list(LABELS))
    plan = plan_score(sample_of(layout, INPUTS, outputs), known, "well")
    assert plan is not None
    assert plan.is_of_other_class

    turned = other_class(layout, plan.column)
    again = plan_score(sample_of(turned, INPUTS, outputs), known, "well")
    assert again is not None
    assert not again.is_of_other_class
    score = built(turned, INPUTS, outputs, LABELS, positive="well")[0].score
    assert score is not None
    assert score.positives.tolist() == naive(1 - SCORES, ~COME_TRUE)


def test_of_more_classes_it_is_the_chance_of_being_right() -> None:
    """The largest probability is the score, and a row counts if its answer is the label."""
    rows = RANDOM.dirichlet([1, 1, 1], ROWS).astype(np.float32)
    labels = RANDOM.integers(0, 3, ROWS)
    score = score_of({"label": rows.argmax(1), "p": rows}, labels)

    assert score is not None
    assert (score.column, score.positive) == ("p.top1", None)
    assert score.labelled.tolist() == naive(rows.max(1), slice(None))
    assert score.positives.tolist() == naive(rows.max(1), rows.argmax(1) == labels)
    alone = score_of({"p": rows}, labels)
    assert alone is not None
    assert alone.positives.tolist() == score.positives.tolist()


def test_a_model_without_probabilities_has_no_score() -> None:
    """A regression, or a bare label."""
    for outputs in ({"y": SCORES}, {"label": answers("ill", "well")}):
        assert score_of(outputs, LABELS, other=Kind.NUMBER) is None


@pytest.mark.parametrize("threshold", [0.31, 0.81, 0.657])
def test_a_bin_begins_where_the_answer_changes(threshold: float) -> None:
    """Each bin is answered in one way, so live rows of it are too, as far as the sample tells."""
    label = text(["ill" if score >= threshold else "well" for score in SCORES.tolist()])
    layout = layout_for(INPUTS, {"label": label, "p": PAIRS}, p=Kind.PROBABILITY)
    profile, _ = built(layout, INPUTS, {"label": label, "p": PAIRS}, LABELS)
    score = profile.score
    column = profile.column("p.score")

    assert score is not None
    assert isinstance(column, NumberProfile)
    (edge,) = set(column.bins.edges) - set(probability_bins("float32").edges)
    assert edge == pytest.approx(threshold, abs=0.005)
    assert ((score.answered == 0) | (score.answered == score.labelled)).all()
    assert len(score.labelled) == 51


def test_answers_that_do_not_follow_the_score_have_no_edge() -> None:
    """Then the bins stay as they are, and are answered in both ways."""
    label = text([["ill", "well"][int(place)] for place in RANDOM.integers(0, 2, ROWS)])
    score = score_of({"label": label, "p": PAIRS}, LABELS)

    assert score is not None
    assert len(score.labelled) == 50
    assert 0 < score.answered.sum() < score.labelled.sum()


def test_labels_are_words_as_models_answer_them() -> None:
    """A file that knows fractions only writes whole numbers as 1.0."""
    written = ["1.0", "-2.", "0", "1.5", "ill", None, ""]
    words = ["1", "-2", "0", "1.5", "ill", None, ""]

    assert label_words(written).tolist() == words
