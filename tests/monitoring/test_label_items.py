"""Items of a feedback call, and labels beside kept answers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring.kept_answers import AnswerPlan, AnswerReader, LabelKind
from server.monitoring.label_items import (
    Item,
    LabelRefused,
    label_json,
    pair_of,
    read_item,
    same_label,
)
from server.monitoring.prediction_blocks import REQUEST_COLUMNS, PredictionBlock, PredictionId
from server.monitoring.realised import NEGATIVE, NO_ANSWER, POSITIVE, NumberPair, Pair, Task
from server.tensors import Array

GOOD = {"prediction_id": "64-0000000a", "label": "ill"}


def block(plan: AnswerPlan, outputs: dict[str, Array], rows: int) -> PredictionBlock:
    """Return a block of one request with these answers."""
    reader = AnswerReader(plan)
    answers = reader.take(outputs)
    assert answers is not None
    values = {"rows": rows}
    requests = {
        name: np.array([values.get(name, 0)], dtype) for name, dtype in REQUEST_COLUMNS.items()
    }
    return PredictionBlock(plan, reader.names, (), requests, answers)


def test_a_well_formed_item_is_read() -> None:
    """With all that it may say, and with the least that it must."""
    full = {**GOOD, "row": 3, "ts": 5, "acted_on": True, "model": "m", "label": 1.5}

    assert read_item(GOOD) == Item(PredictionId(100, 10), 0, "ill")
    assert read_item(full) == Item(PredictionId(100, 10), 3, 1.5, 5.0, True, "m")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", "expected an object, got"),
        ({"label": 1}, "prediction_id: expected a text of 1 to 128 characters, got null"),
        ({**GOOD, "prediction_id": "x" * 129}, "prediction_id: expected"),
        ({"prediction_id": "1"}, "label: it is missing"),
        ({**GOOD, "label": None}, "label: expected a text, a number, true or false, got null"),
        ({**GOOD, "label": [1]}, "label: expected"),
        ({**GOOD, "label": 1e200}, "label: expected"),
        ({**GOOD, "label": ""}, "label: expected 1 to 200 characters"),
        ({**GOOD, "row": -1}, "row: expected a whole number from 0, got -1"),
        ({**GOOD, "row": True}, "row: expected a whole number"),
        ({**GOOD, "row": 1 << 40}, "row: expected a whole number"),
        ({**GOOD, "ts": "now"}, 'ts: expected seconds since 1970, got "now"'),
        ({**GOOD, "ts": True}, "ts: expected"),
        ({**GOOD, "acted_on": 1}, "acted_on: expected true or false, got 1"),
        ({**GOOD, "model": 1}, "model: expected a name, got 1"),
        ({**GOOD, "truth": 1}, "'truth' is no field of an item"),
    ],
)
def test_what_is_wrong_with_an_item_is_named(value: Any, words: str) -> None:
    """The field, what was expected and what came, cut short."""
    with pytest.raises(LabelRefused) as caught:
        read_item(value)

    assert str(caught.value).startswith(words)
    assert len(str(caught.value)) < 200


@given(st.one_of(st.text(min_size=1), st.booleans(), st.integers(-9, 9), st.floats(-1e9, 1e9)))
def test_a_label_is_the_same_as_itself(label: Any) -> None:
    """As it is kept; a truth is no number, and whole numbers may be written as floats."""
    if isinstance(label, str):
        label = label.encode("utf-8", "replace").decode()
    assert same_label(label, label_json(label))
    assert not same_label(not label if isinstance(label, bool) else "other", label_json(label))
    assert same_label(1.0, label_json(1))
    assert not same_label(True, label_json(1))


TWO = AnswerPlan(Task.BINARY, LabelKind.TEXT, "p", "label", classes=2)
TWO_OUTPUTS: dict[str, Array] = {
    "p": np.array([[0.25, 0.75], [0.875, 0.125], [np.nan, np.nan]], np.float32),
    "label": np.array([["ill"], ["well"], ["well"]], object),
}


def test_of_two_classes_one_is_positive() -> None:
    """The one whose probability is the score: seen where it was likeliest."""
    made = block(TWO, TWO_OUTPUTS, 3)

    assert pair_of(made, 0, "ill") == Pair(POSITIVE, POSITIVE, 0.75)
    assert pair_of(made, 1, "ill") == Pair(POSITIVE, NEGATIVE, 0.125)
    assert pair_of(made, 2, "well") == Pair(NEGATIVE, NEGATIVE, None)
    with pytest.raises(LabelRefused, match="is no class of the model; ill, well are"):
        pair_of(made, 0, "dead")
    with pytest.raises(LabelRefused, match="of type text, got 1"):
        pair_of(made, 0, 1)


def test_the_positive_class_may_not_have_been_answered_yet() -> None:
    """Whatever is not the class that was answered so far is the other one."""
    outputs: dict[str, Array] = {name: array[1:2] for name, array in TWO_OUTPUTS.items()}

    made = block(TWO, outputs, 1)

    assert pair_of(made, 0, "ill") == Pair(POSITIVE, NEGATIVE, 0.125)
    assert pair_of(made, 0, "well") == Pair(NEGATIVE, NEGATIVE, 0.125)


MANY = AnswerPlan(Task.MULTICLASS, LabelKind.INTEGER, "p", classes=8)


def test_of_many_classes_the_true_ones_probability_counts() -> None:
    """Among the five likeliest it is kept; others share what these have left over."""
    scores = np.array([[0.3, 0.2, 0.15, 0.1, 0.1, 0.06, 0.05, 0.04]], np.float32)
    made = block(MANY, {"p": scores}, 1)

    assert pair_of(made, 0, 0) == Pair("0", "0", float(scores[0, 0]), True)
    found = pair_of(made, 0, 7)
    assert isinstance(found, Pair)
    assert (found.label, found.answer, found.is_in_top) == ("7", "0", False)
    assert found.probability == pytest.approx(0.05)
    assert pair_of(made, 0, 3.0) == pair_of(made, 0, 3)
    for wrong in (8, -1, "3", True, 2.5):
        with pytest.raises(LabelRefused):
            pair_of(made, 0, wrong)


def test_an_answer_of_many_classes_that_is_no_number() -> None:
    """It is no answer, whatever the label."""
    made = block(MANY, {"p": np.full((1, 8), np.nan, np.float32)}, 1)

    assert pair_of(made, 0, 3) == Pair("3", NO_ANSWER)


def test_labels_of_a_model_of_booleans_and_of_labels_alone() -> None:
    """True and 1 are one class; a model whose classes nobody knows takes any of the type."""
    truths = AnswerPlan(Task.MULTICLASS, LabelKind.BOOLEAN, labels="y")
    made = block(truths, {"y": np.array([[True]])}, 1)
    assert pair_of(made, 0, True) == pair_of(made, 0, 1)
    texts = AnswerPlan(Task.MULTICLASS, LabelKind.TEXT, labels="y")
    made = block(texts, {"y": np.array([["a"]], object)}, 1)
    assert pair_of(made, 0, "new") == Pair("new", "a", is_confusion_kept=False)
    known = AnswerPlan(Task.MULTICLASS, LabelKind.TEXT, labels="y", classes=2, known=("a", "b"))
    made = block(known, {"y": np.array([["a"]], object)}, 1)
    assert pair_of(made, 0, "b") == Pair("b", "a")
    with pytest.raises(LabelRefused, match="a, b are"):
        pair_of(made, 0, "new")


def test_a_number_beside_a_number() -> None:
    """A regression takes numbers only."""
    made = block(
        AnswerPlan(Task.REGRESSION, LabelKind.NUMBER, value="y"), {"y": np.array([[1.5]])}, 1
    )

    assert pair_of(made, 0, 2) == NumberPair(2.0, 1.5)
    for wrong in ("2", True):
        with pytest.raises(LabelRefused, match="the model answers numbers"):
            pair_of(made, 0, wrong)
