"""What is kept of a model's answers so that labels can be held to them later: a few bytes a row.

Decides what kind of answers a model gives, and what of them is kept: of two classes the probability
of the second, of more the five likeliest and their probabilities, of a regression its value, and
of every classifier the class that it answered. Which class a position of the probabilities stands
for is seen in answers: where a position is likeliest, the answered label is its name.

Does not know labels (`label_items.py`), nor whose rows they are (`prediction_blocks.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import Kind, Side, probability_outputs
from server.monitoring.profile import CategoryProfile, Profile
from server.monitoring.realised import TOP, Task
from server.monitoring.taking import VALUE, flat_rows
from server.statistics.categories import shortened
from server.tensors import Array, Signature, TensorSpec

MAX_CLASSES = 1000
"""Words that a model may answer; with more, its answers are no classes, and nothing is kept."""

NO_CODE = 0xFFFF
"""Instead of the position of an answer among the words, where there is none."""

OTHER_CLASS = "(other)"
"""What is answered for the class that is not positive, where nobody knows its name."""

_HALF = 0.5


class LabelKind(StrEnum):
    """What a label must be."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """Where the answers of one version are."""

    task: Task
    label_kind: LabelKind
    scores: str = ""
    """The output of probabilities; empty without one."""
    labels: str = ""
    """The output of answered classes; empty without one."""
    value: str = ""
    """The output of a regression's value."""
    place: int = 1
    """Of the positive class among two, whose probability is the score."""
    is_single: bool = False
    """Whether the positive class has the only probability of a row."""
    classes: int = 0
    """How many there are; 0 if nobody knows."""
    positive: str | None = None
    """The name of the positive class, where a profile tells it."""
    known: tuple[str, ...] = ()
    """Names of all classes, where a profile tells them."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "AnswerPlan":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not such a value.

        """
        return cls(
            **{
                **value,
                "task": Task(value["task"]),
                "label_kind": LabelKind(value["label_kind"]),
                "known": tuple(value["known"]),
            }
        )


def plan_answers(
    signature: Signature, profile: Profile | None, outputs: Mapping[str, Array]
) -> AnswerPlan | None:
    """Decide what kind of answers a version gives; None if labels cannot be held to them.

    `profile` is its reference, if it has one; `outputs` are some rows of its answers by name.
    """
    known = {} if profile is None else profile.layout.kinds
    if profile is None:
        known = dict(probability_outputs(signature, outputs))
    labels = next((spec for spec in signature.outputs if _is_label(spec)), None)
    for spec in signature.outputs:
        if known.get(spec.name) is Kind.PROBABILITY and spec.datatype.is_float:
            return _of_scores(spec, labels, profile)
    if labels is not None:
        names = _names(profile, labels.name)
        kind = _label_kind(labels)
        return AnswerPlan(
            Task.MULTICLASS, kind, labels=labels.name, classes=len(names), known=names
        )
    values = [spec for spec in signature.outputs if spec.row_items == 1 and spec.datatype.is_float]
    if len(signature.outputs) == 1 and values:
        return AnswerPlan(Task.REGRESSION, LabelKind.NUMBER, value=values[0].name)
    return None


def _of_scores(
    spec: TensorSpec, labels: TensorSpec | None, profile: Profile | None
) -> AnswerPlan | None:
    items = spec.row_items or 0
    positive = profile.score.positive if profile is not None and profile.score else None
    kind = LabelKind.INTEGER if labels is None else _label_kind(labels)
    if labels is None and positive is not None and not positive.isdecimal():
        kind = LabelKind.TEXT
    return AnswerPlan(
        Task.BINARY if items <= 2 else Task.MULTICLASS,
        kind,
        scores=spec.name,
        labels=labels.name if labels is not None else "",
        place=_place(profile) if items == 2 else 1,
        is_single=items == 1,
        classes=max(2, items),
        positive=positive if items <= 2 else None,
        known=_names(profile, labels.name) if labels is not None else (),
    )


def _is_label(spec: TensorSpec) -> bool:
    return bool(spec.shape) and spec.row_items == 1 and not spec.datatype.is_float


def _label_kind(spec: TensorSpec) -> LabelKind:
    if spec.datatype.is_text:
        return LabelKind.TEXT
    return LabelKind.BOOLEAN if spec.datatype.name == "BOOL" else LabelKind.INTEGER


def _place(profile: Profile | None) -> int:
    """Return which of two probabilities the profile's score is; the second unless it says so."""
    if profile is not None and profile.score is not None:
        take = profile.column(profile.score.column).column.take
        if take.startswith(VALUE):
            return int(take.removeprefix(VALUE))
    return 1


def _names(profile: Profile | None, output: str) -> tuple[str, ...]:
    """Return all classes that a model answered to its reference rows; none if nobody knows.

    A reference that was learned from the first live rows does not know all there are.
    """
    if profile is None or profile.is_self_reference:
        return ()
    for one in profile.columns:
        column = one.column
        if column.side is Side.OUTPUT and column.tensor == output:
            if isinstance(one, CategoryProfile) and not one.counts.other:
                return tuple(one.categories.kept)
            break
    return ()


@dataclass(slots=True)
class Names:
    """Which words answers are written as. Grows as answers come."""

    words: list[str] = field(default_factory=list)
    """Codes are positions in it."""
    of_places: dict[int, str] = field(default_factory=dict)
    """The class that a position of the probabilities stands for, as far as it has been seen."""


class AnswerReader:
    """The answers of one version on their way into blocks."""

    def __init__(self, plan: AnswerPlan) -> None:
        self.plan = plan
        self.names = Names()
        self._codes: dict[str, int] = {}
        self._surest: dict[int, float] = {}
        """By position: how likely it was where its name was last seen."""
        if plan.scores and not plan.labels:
            self.names.of_places = _plain_names(plan)

    def take(self, outputs: Mapping[str, Array]) -> dict[str, NDArray[Any]] | None:
        """Return the kept columns of rows, each of shape (rows, …); None if they cannot be kept.

        `answer`: uint16 positions among the words. `score`: float32. `top`, `top_scores`: uint16
        and float32, of shape (rows, up to TOP), likeliest first. `value`: float32.
        """
        plan = self.plan
        needed = [name for name in (plan.scores, plan.labels, plan.value) if name]
        if any(name not in outputs or outputs[name].dtype.names for name in needed):
            return None
        if plan.task is Task.REGRESSION:
            return {"value": _numbers(outputs[plan.value])[:, 0].astype(np.float32)}
        scores = _numbers(outputs[plan.scores]) if plan.scores else None
        columns = {} if scores is None else self._scores(scores)
        if plan.labels:
            answers = self._labels(flat_rows(outputs[plan.labels], "")[:, 0])
            if scores is not None and scores.shape[1] > 1:
                self._learn_names(scores, answers)
        else:
            assert scores is not None, "a classifier has labels or probabilities"
            answers = self._likeliest(scores)
        if len(self.names.words) > MAX_CLASSES:
            return None
        return {"answer": answers, **columns}

    def _scores(self, scores: Array) -> dict[str, NDArray[Any]]:
        if self.plan.task is Task.BINARY:
            column = 0 if self.plan.is_single else self.plan.place
            return {"score": scores[:, column].astype(np.float32)}
        kept = min(TOP, scores.shape[1])
        with np.errstate(invalid="ignore"):
            order = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
        found = np.take_along_axis(scores, order, axis=1)
        return {"top": order.astype(np.uint16), "top_scores": found.astype(np.float32)}

    def _labels(self, labels: Array) -> NDArray[np.uint16]:
        distinct, places = (
            _distinct_texts(labels)
            if labels.dtype == object
            else np.unique(labels, return_inverse=True)
        )
        codes = np.array([self._code(label_word(value)) for value in distinct], np.uint16)
        return codes[places.reshape(-1)]

    def _likeliest(self, scores: Array) -> NDArray[np.uint16]:
        places = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] >= _HALF)
        words = self.names.of_places
        codes = np.array([self._code(words[place]) for place in sorted(words)], np.uint16)
        answers = codes[places.astype(np.intp)]
        answers[np.isnan(scores).any(axis=1)] = NO_CODE
        return answers

    def _code(self, word: str) -> int:
        code = self._codes.get(word)
        if code is None:
            code = self._codes[word] = len(self.names.words)
            if code <= MAX_CLASSES:
                self.names.words.append(word)
        return min(code, NO_CODE)

    def _learn_names(self, scores: Array, answers: NDArray[np.uint16]) -> None:
        """Take the answer to the row that is likeliest of a position for the position's name."""
        likeliest = np.where(np.isnan(scores).any(axis=1), -1, scores.argmax(axis=1))
        for place in set(likeliest.tolist()) - {-1}:
            rows = np.flatnonzero(likeliest == place)
            best = rows[scores[rows, place].argmax()]
            sure, code = float(scores[best, place]), int(answers[best])
            if sure > self._surest.get(place, 0.0) and code < len(self.names.words):
                self._surest[place] = sure
                self.names.of_places[place] = self.names.words[code]


def _plain_names(plan: AnswerPlan) -> dict[int, str]:
    """Return names for positions where the model answers no labels: numbers, or the profile's."""
    names = {place: str(place) for place in range(plan.classes)}
    if plan.task is Task.BINARY and plan.positive is not None:
        other = OTHER_CLASS if plan.positive not in ("0", "1") else str(1 - int(plan.positive))
        names = {1 - plan.place: other, plan.place: plan.positive}
    return names


def label_word(value: object) -> str:
    """Return the word of a class, whether the model or a label says it."""
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(int(value))  # type: ignore[call-overload]


def _distinct_texts(labels: Array) -> tuple[list[str], NDArray[np.intp]]:
    codes: dict[str, int] = {}
    places = [codes.setdefault(str(word), len(codes)) for word in labels.tolist()]
    return list(codes), np.array(places, np.intp)


def _numbers(array: Array) -> Array:
    """Return rows of an output of floats, of which only BF16 lies in memory as whole numbers."""
    flat = flat_rows(array, "BF16" if array.dtype == np.uint16 else "")
    return flat.astype(np.float32) if flat.dtype == np.float16 else flat
