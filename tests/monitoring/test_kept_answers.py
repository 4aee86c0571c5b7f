"""What is kept of answers of every kind of model."""

from dataclasses import replace

import numpy as np
import orjson
import pytest

from server.monitoring.columns import Kind, layout_of, probability_outputs
from server.monitoring.kept_answers import (
    MAX_CLASSES,
    NO_CODE,
    OTHER_CLASS,
    AnswerPlan,
    AnswerReader,
    LabelKind,
    label_word,
    plan_answers,
)
from server.monitoring.profile import Profile, ScoreProfile
from server.monitoring.realised import Task
from server.tensors import Array, fp32_to_bf16
from tests.support.references import profile_of, signature

X = {"x": ("FP32", 2)}
SHARES = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]], np.float32)
WORDS = np.array(["no", "yes", "no"], object)


def plan(
    outputs: dict[str, tuple[str, int]], arrays: dict[str, Array], profile: Profile | None = None
) -> AnswerPlan:
    """Return the plan of a model with these outputs."""
    found = plan_answers(signature(X, outputs), profile, arrays)
    assert found is not None
    return found


def profile(
    outputs: dict[str, tuple[str, int]], arrays: dict[str, Array], positive: str | None = None
) -> Profile:
    """Return a profile of these answers, whose score is of `positive` if that is given."""
    model = signature(X, outputs)
    kinds = probability_outputs(model, arrays)
    lone = {name: Kind.PROBABILITY for name, (_, items) in outputs.items() if items == 1}
    layout = layout_of(model, {}, kinds or (lone if positive else {}))
    rows = len(next(iter(arrays.values())))
    made = profile_of(layout, {"x": np.zeros((rows, 2), np.float32)}, arrays)
    if positive is None:
        return made
    nothing = np.zeros(50, np.int64)
    names = [one.column.name for one in made.columns if one.column.kind is Kind.PROBABILITY]
    score = ScoreProfile(names[-1], positive, nothing, nothing, nothing, nothing)
    return replace(made, score=score)


def test_two_probabilities_and_a_label() -> None:
    """The second probability is the score; the answer is the label, and names both classes."""
    outputs = {"label": ("BYTES", 1), "p": ("FP32", 2)}
    arrays: dict[str, Array] = {"label": WORDS.reshape(-1, 1), "p": SHARES}
    found = plan(outputs, arrays)
    reader = AnswerReader(found)

    kept = reader.take(arrays)

    assert (found.task, found.label_kind, found.classes) == (Task.BINARY, LabelKind.TEXT, 2)
    assert kept is not None
    assert kept["score"].tolist() == SHARES[:, 1].tolist()
    assert [reader.names.words[code] for code in kept["answer"]] == ["no", "yes", "no"]
    assert reader.names.of_places == {0: "no", 1: "yes"}


def test_many_probabilities_without_a_label() -> None:
    """The five likeliest are kept, likeliest first; classes are called by their positions."""
    scores = np.random.default_rng(1).dirichlet(np.ones(8), 6).astype(np.float32)
    found = plan({"p": ("FP32", 8)}, {"p": scores})
    reader = AnswerReader(found)

    kept = reader.take({"p": scores})

    assert (found.task, found.label_kind) == (Task.MULTICLASS, LabelKind.INTEGER)
    assert kept is not None
    assert kept["top"].shape == (6, 5)
    assert kept["top"].tolist() == np.argsort(-scores, axis=1)[:, :5].tolist()
    assert (np.diff(kept["top_scores"], axis=1) <= 0).all()
    words = [reader.names.words[code] for code in kept["answer"]]
    assert words == [str(place) for place in scores.argmax(axis=1)]


def test_a_label_alone() -> None:
    """Whole numbers without probabilities: nothing but the class is kept; a profile knows all."""
    labels: Array = np.array([[3], [1], [3]], np.int64)
    outputs = {"y": ("INT64", 1)}
    found = plan(outputs, {"y": labels}, profile(outputs, {"y": np.repeat(labels, 40, axis=0)}))

    kept = AnswerReader(found).take({"y": labels})

    assert (found.task, found.known, found.classes) == (Task.MULTICLASS, ("3", "1"), 2)
    assert kept is not None
    assert list(kept) == ["answer"]
    assert plan(outputs, {"y": labels}).known == ()


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "BF16", "FP16"])
def test_one_number(datatype: str) -> None:
    """The value of a regression as float32, whatever it came as."""
    values = np.array([[1.5], [-2.0]], np.float32)
    kind = {"FP64": np.float64, "FP16": np.float16}.get(datatype, np.float32)
    sent: Array = fp32_to_bf16(values) if datatype == "BF16" else values.astype(kind)
    found = plan({"y": (datatype, 1)}, {"y": sent})

    kept = AnswerReader(found).take({"y": sent})

    assert (found.task, found.label_kind) == (Task.REGRESSION, LabelKind.NUMBER)
    assert kept is not None
    assert kept["value"].tolist() == [1.5, -2.0]
    assert kept["value"].dtype == np.float32


@pytest.mark.parametrize(
    ("positive", "names"),
    [("1", {0: "0", 1: "1"}), ("0", {0: "1", 1: "0"}), ("ill", {0: OTHER_CLASS, 1: "ill"})],
)
def test_a_lone_probability_that_a_profile_knows(positive: str, names: dict[int, str]) -> None:
    """One output between 0 and 1 is a probability only where a profile with labels says so."""
    outputs = {"y": ("FP32", 1)}
    values = np.array([[0.2], [0.7], [np.nan]], np.float32)
    found = plan(outputs, {"y": values}, profile(outputs, {"y": values[:2]}, positive))
    reader = AnswerReader(found)

    kept = reader.take({"y": values})

    assert (found.task, found.is_single) == (Task.BINARY, True)
    assert reader.names.of_places == names
    assert kept is not None
    assert [reader.names.words[code] for code in kept["answer"][:2]] == [names[0], names[1]]
    assert kept["answer"][2] == NO_CODE


def test_the_score_is_the_one_of_the_profile() -> None:
    """Where the profile's score is the first of two probabilities, that one is kept."""
    outputs = {"p": ("FP32", 2)}
    made = profile(outputs, {"p": SHARES}, "0")
    assert made.score is not None
    name = made.score.column
    columns = tuple(
        replace(one, column=replace(one.column, take="value:0")) if one.column.name == name else one
        for one in made.columns
    )
    found = plan(outputs, {"p": SHARES}, replace(made, columns=columns))
    reader = AnswerReader(found)

    kept = reader.take({"p": SHARES})

    assert kept is not None
    assert kept["score"].tolist() == SHARES[:, 0].tolist()
    assert reader.names.of_places == {0: "0", 1: "1"}


@pytest.mark.parametrize(
    "outputs",
    [{"y": ("FP32", 3)}, {"y": ("BYTES", 2)}, {"a": ("FP32", 1), "b": ("FP32", 1)}],
)
def test_other_answers_are_not_kept(outputs: dict[str, tuple[str, int]]) -> None:
    """Embeddings, texts and several numbers: no label says which of them is right."""
    arrays: dict[str, Array] = {name: np.full((2, n), 7.0) for name, (_, n) in outputs.items()}

    assert plan_answers(signature(X, outputs), None, arrays) is None


def test_answers_without_end_are_no_classes() -> None:
    """A model that answers ever new texts is given up, and not remembered without bound."""
    reader = AnswerReader(AnswerPlan(Task.MULTICLASS, LabelKind.TEXT, labels="y"))
    texts = np.array([str(number) for number in range(MAX_CLASSES + 5)], object).reshape(-1, 1)

    assert reader.take({"y": texts[:MAX_CLASSES]}) is not None
    assert reader.take({"y": texts[MAX_CLASSES:]}) is None
    assert len(reader.names.words) == MAX_CLASSES + 1


def test_reduced_and_missing_tensors_are_not_kept() -> None:
    """Large outputs come as summaries, or not at all: there is nothing to hold a label to."""
    reader = AnswerReader(AnswerPlan(Task.REGRESSION, LabelKind.NUMBER, value="y"))

    assert reader.take({}) is None
    assert reader.take({"y": np.zeros(2, [("mean", "<f8")])}) is None


def test_a_plan_comes_back_from_json() -> None:
    """Through bytes, as a block keeps it."""
    found = AnswerPlan(Task.BINARY, LabelKind.TEXT, "p", "y", "", 0, False, 2, "yes", ("a", "b"))

    assert AnswerPlan.from_json(orjson.loads(orjson.dumps(found.to_json()))) == found


def test_words_of_labels() -> None:
    """What a model answers and what a label says are one word."""
    assert [label_word(one) for one in ("a", 3, 3.0, np.int64(3), True, np.bool_(False))] == [
        "a", "3", "3", "3", "true", "false",
    ]  # fmt: skip
