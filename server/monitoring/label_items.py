"""True labels as callers send them: which are well formed, and which fit what a model answers.

Decides what an item of a feedback call may be, what is wrong with one that is not, and how a label
is held to a kept answer. One item never decides about another.

Does not know whether a prediction is kept, nor what was said of it before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

import orjson

from server.monitoring.kept_answers import AnswerPlan, LabelKind, label_word
from server.monitoring.prediction_blocks import (
    MAX_ID_CHARACTERS,
    PredictionBlock,
    PredictionId,
    answered_word,
    read_id,
)
from server.monitoring.realised import (
    MAX_CONFUSED,
    NEGATIVE,
    NO_ANSWER,
    POSITIVE,
    TOP,
    AnyPair,
    NumberPair,
    Pair,
    Task,
)
from server.statistics.exact_sum import LARGEST

Label = str | int | float | bool

MAX_LABEL_CHARACTERS = 200
MAX_SECONDS = 1e11
_FIELDS = frozenset({"prediction_id", "row", "label", "ts", "acted_on", "model"})
_SHOWN = 60


class Result(StrEnum):
    """What became of an item."""

    JOINED = "joined"
    DUPLICATE = "duplicate"
    """The same label had come before."""
    CORRECTED = "corrected"
    """Another label had come before; this one counts now."""
    EARLY = "early"
    """The prediction is not known yet: the label waits for it a while."""
    EXPIRED = "expired"
    """The prediction is not kept any more."""
    UNKNOWN = "unknown"
    """No such prediction was kept."""
    REJECTED = "rejected"


class LabelRefused(ValueError):
    """An item is not well formed, or its label does not fit; the text is for its sender."""


@dataclass(frozen=True, slots=True)
class Item:
    """One label."""

    prediction_id: PredictionId
    row: int
    label: Label
    known_seconds: float | None = None
    """When the label became known, if its sender says so."""
    is_acted_on: bool = False
    """Whether the prediction itself may have changed what came true."""
    model: str = ""
    """Of a caller's own id: whose prediction is meant; empty for any."""


def read_item(value: object) -> Item:
    """Read one item of a feedback call.

    Raises:
        LabelRefused: names the field, what was expected and what came.

    """
    if not isinstance(value, dict):
        raise LabelRefused(f"expected an object, got {_shown(value)}")
    unknown = sorted(value.keys() - _FIELDS)
    if unknown:
        raise LabelRefused(f"'{unknown[0][:_SHOWN]}' is no field of an item")
    name = value.get("prediction_id")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_ID_CHARACTERS:
        raise LabelRefused(
            f"prediction_id: expected a text of 1 to {MAX_ID_CHARACTERS} characters, "
            f"got {_shown(name)}"
        )
    if "label" not in value:
        raise LabelRefused("label: it is missing")
    acted_on, model = value.get("acted_on", False), value.get("model", "")
    if not isinstance(acted_on, bool):
        raise LabelRefused(f"acted_on: expected true or false, got {_shown(acted_on)}")
    if not isinstance(model, str):
        raise LabelRefused(f"model: expected a name, got {_shown(model)}")
    label, row, known = _label(value["label"]), _row(value), _seconds(value)
    return Item(read_id(name), row, label, known, acted_on, model)


def _label(value: object) -> Label:
    if isinstance(value, str):
        if not 0 < len(value) <= MAX_LABEL_CHARACTERS:
            raise LabelRefused(f"label: expected 1 to {MAX_LABEL_CHARACTERS} characters")
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and isfinite(value) and abs(value) < LARGEST:
        return value
    raise LabelRefused(f"label: expected a text, a number, true or false, got {_shown(value)}")


def _row(value: Mapping[str, Any]) -> int:
    row = value.get("row", 0)
    if type(row) is not int or not 0 <= row < 1 << 31:
        raise LabelRefused(f"row: expected a whole number from 0, got {_shown(row)}")
    return row


def _seconds(value: Mapping[str, Any]) -> float | None:
    seconds = value.get("ts")
    if seconds is None:
        return None
    if type(seconds) not in (int, float) or not 0 <= seconds < MAX_SECONDS:
        raise LabelRefused(f"ts: expected seconds since 1970, got {_shown(seconds)}")
    return float(seconds)


def _shown(value: object) -> str:
    try:
        return orjson.dumps(value).decode()[:_SHOWN]
    except (TypeError, ValueError):
        return type(value).__name__


def label_json(label: Label) -> str:
    """Write a label as it is kept."""
    return orjson.dumps(label).decode()


def read_label(kept: str) -> Label:
    """Read a label as `label_json` wrote it."""
    label: Label = orjson.loads(kept)
    return label


def same_label(label: Label, kept: str) -> bool:
    """Say whether a label is the one that is kept; 1 and 1.0 are, 1 and true are not."""
    before = read_label(kept)
    return (isinstance(label, bool) is isinstance(before, bool)) and bool(label == before)


def pair_of(block: PredictionBlock, row: int, label: Label) -> AnyPair:
    """Return a kept row beside its label, as it is counted.

    Raises:
        LabelRefused: the label is of another type than the answers, or of no class there is.

    """
    if block.plan.task is Task.REGRESSION:
        if isinstance(label, str | bool):
            raise LabelRefused(f"label: the model answers numbers, got {_shown(label)}")
        return NumberPair(float(label), float(block.answers["value"][row]))
    word = _word(block, label)
    if block.plan.task is Task.BINARY:
        return _binary_pair(block, row, word)
    return _class_pair(block, row, word)


def _word(block: PredictionBlock, label: Label) -> str:
    """Return the word of a label, which must be of the type and of the classes of the model."""
    plan = block.plan
    fits = {
        LabelKind.TEXT: isinstance(label, str),
        LabelKind.BOOLEAN: isinstance(label, bool) or (type(label) is int and label in (0, 1)),
        LabelKind.INTEGER: type(label) is int or (type(label) is float and label.is_integer()),
        LabelKind.NUMBER: False,
    }[plan.label_kind]
    if not fits:
        raise LabelRefused(
            f"label: the classes of the model are of type {plan.label_kind.value}, "
            f"got {_shown(label)}"
        )
    word = label_word(bool(label) if plan.label_kind is LabelKind.BOOLEAN else label)
    known = classes_of(block)
    if known and word not in known:
        some = ", ".join(sorted(known)[:5])
        raise LabelRefused(f"label: {_shown(label)} is no class of the model; {some} are")
    return word


def classes_of(block: PredictionBlock) -> frozenset[str]:
    """Return the classes that labels may be of; none if that is not known."""
    plan: AnswerPlan = block.plan
    named = block.names.of_places
    if plan.known:
        return frozenset({*plan.known, *named.values()})
    if plan.scores and len(set(named.values())) == plan.classes:
        return frozenset(named.values())
    return frozenset()


def _binary_pair(block: PredictionBlock, row: int, word: str) -> Pair:
    answer = answered_word(block, row)
    score = float(block.answers["score"][row])
    return Pair(
        _side(block, word),
        NO_ANSWER if answer is None else _side(block, answer),
        score if isfinite(score) else None,
    )


def _side(block: PredictionBlock, word: str) -> str:
    """Say which of two classes a word is; the positive one may not have been answered yet."""
    plan, named = block.plan, block.names.of_places
    positive, negative = named.get(plan.place, plan.positive), named.get(1 - plan.place)
    if positive is not None:
        return POSITIVE if word == positive else NEGATIVE
    return NEGATIVE if word == negative else POSITIVE


def _class_pair(block: PredictionBlock, row: int, word: str) -> Pair:
    plan = block.plan
    answer = answered_word(block, row) or NO_ANSWER
    is_kept = 0 < plan.classes <= MAX_CONFUSED
    if not plan.scores:
        return Pair(word, answer, is_confusion_kept=is_kept)
    scores = block.answers["top_scores"][row].tolist()
    if not all(map(isfinite, scores)):
        return Pair(word, NO_ANSWER, is_confusion_kept=is_kept)
    named = block.names.of_places
    left, unnamed = 1.0, 0
    for place, score in zip(block.answers["top"][row].tolist(), scores, strict=True):
        if named.get(place) == word:
            return Pair(word, answer, score, True, is_kept)
        left, unnamed = left - score, unnamed + (place not in named)
    # It is not among the likeliest by name: it has its part of what these have left over.
    rest = max(1, plan.classes - len(scores) + unnamed)
    return Pair(word, answer, max(0.0, left) / rest, plan.classes <= TOP, is_kept)
