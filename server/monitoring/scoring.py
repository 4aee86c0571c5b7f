"""How often a model's score comes true, from rows with labels: what estimated performance needs.

Decides which column is the score, and of which label it is the probability:

* of two classes, the one whose label the model answers when the score is high; or, where the model
  answers no label that the data know, 1 or true, or the one that is named;
* of more classes there is no score of one label: it is the largest probability, and what comes true
  is that the answer is right.

Counts by the score's own bins. Does not estimate anything.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from server.errors import DataInvalid
from server.monitoring.columns import Blocks, Column, Kind, Layout
from server.monitoring.profile import ScoreProfile
from server.monitoring.sampling import Sample, Words, words_of
from server.monitoring.taking import LABEL, VALUE
from server.statistics.bins import Bins
from server.statistics.categories import Words as WordCounts

_HALF = 0.5
_LISTED = 5
_WHOLE = re.compile(r"[+-]?\d+\.0*")
_PLAIN_POSITIVES = ({"0": "1", "1": "1"}, {"false": "true", "true": "true"})
"""Labels that say themselves which one is meant."""


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """Which columns of the outputs to compare with labels."""

    column: str
    place: int
    """Of the score among the outputs' numbers."""
    positive: str | None
    """The label that the score is the probability of; None if it is that of being right."""
    answer: int | None
    """Of the label that the model answers, among the outputs' words."""
    threshold: float
    is_of_other_class: bool = False
    """Whether the label that was asked for is the other one of two: see `other_class`."""


def label_words(labels: Sequence[str | None] | np.ndarray) -> Words:
    """Return labels as words; whole numbers that a file writes as 1.0 are 1, as models answer."""
    words = words_of(labels)
    for place, word in enumerate(words):
        if word is not None and _WHOLE.fullmatch(word):
            words[place] = str(int(float(word)))
    return words


def plan_score(sample: Sample, labels: WordCounts, positive: str | None) -> ScorePlan | None:
    """Decide what to compare with labels, whose words were counted; None if there is no score.

    `positive` is the label that somebody named, if any.

    Raises:
        DataInvalid: the named label does not occur, or one has to be named.

    """
    outputs = sample.layout.outputs
    answer = _answer_place(outputs.words)
    known = sorted(word for word in labels if word is not None)
    if positive is not None and positive not in known:
        raise DataInvalid(
            f"'{positive}' is not among the labels: {_some(known)}",
            fix="name one of them with --positive",
        )
    place = _score_place(outputs.numbers, VALUE)
    if place is None:
        place = _score_place(outputs.numbers, "top1")
        if place is None or answer is None:
            return None
        return ScorePlan(outputs.numbers[place].name, place, None, answer, _HALF)
    scores = sample.sides[1].numbers[:, place].astype(np.float64)
    answers = sample.sides[1].words[answer] if answer is not None else None
    high, low = _usual_answers(scores, answers)
    chosen = positive or _positive(known, high)
    threshold = _threshold(scores, answers, high)
    is_other = positive is not None and positive == low
    return ScorePlan(outputs.numbers[place].name, place, chosen, answer, threshold, is_other)


def other_class(layout: Layout, score: str) -> Layout:
    """Return the layout with the score of the other one of two classes."""
    return Layout.of(
        replace(column, take=f"{VALUE}{1 - int(column.take.removeprefix(VALUE))}")
        if column.name == score
        else column
        for column in layout.columns
    )


def _score_place(columns: Sequence[Column], take: str) -> int | None:
    for place, column in enumerate(columns):
        if column.kind is Kind.PROBABILITY and column.take.startswith(take):
            return place
    return None


def _answer_place(columns: Sequence[Column]) -> int | None:
    for place, column in enumerate(columns):
        if column.take in (LABEL, f"{VALUE}0"):
            return place
    return None


def _usual_answers(scores: np.ndarray, answers: Words | None) -> tuple[str | None, str | None]:
    """Return what the model answers when the score is high, and when it is low, on average."""
    if answers is None:
        return None, None
    there = np.isfinite(scores)
    means = {
        word: float(scores[there & (answers == word)].mean())
        for word in dict.fromkeys(answers[there])
        if word is not None
    }
    if len(means) > 1:
        return max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    only = next(iter(means), None)
    return (only, None) if only is None or means[only] > _HALF else (None, only)


def _positive(known: Sequence[str], high: str | None) -> str:
    if high in known:
        return str(high)
    for plain in _PLAIN_POSITIVES:
        if known and plain.keys() >= set(known):
            return next(iter(plain.values()))
    raise DataInvalid(
        f"the labels are {_some(known)}: it is not clear which one the score is of",
        fix="name it with --positive",
    )


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return ", ".join(words[:_LISTED]) + more if words else "none"


def _threshold(scores: np.ndarray, answers: Words | None, high: str | None) -> float:
    """Return the score from which on the model gives the high answer: a half if that can be."""
    if answers is None or high is None:
        return _HALF
    is_high = np.array([word == high for word in answers], bool) & np.isfinite(scores)
    is_low = ~is_high & np.isfinite(scores)
    if not is_high.any() or not is_low.any():
        return _HALF
    least, most = float(scores[is_high].min()), float(scores[is_low].max())
    if most <= _HALF <= least or most > least or not 0.0 <= least <= 1.0:
        return _HALF
    return float(f"{least:.6g}")


class ScoreCounter:
    """Counts of one score by bin. Bounded."""

    def __init__(self, plan: ScorePlan, bins: Bins) -> None:
        self._plan = plan
        self._bins = bins
        self._positives = np.zeros(bins.count, np.int64)
        self._labelled = np.zeros(bins.count, np.int64)

    def add(self, outputs: Blocks, labels: Words) -> None:
        """Count rows by their score; those without a label, or without a score, are left out."""
        scores = outputs.numbers[:, self._plan.place]
        there = np.isfinite(scores) & np.array([word is not None for word in labels], bool)
        if self._plan.positive is None:
            assert self._plan.answer is not None, "only an answer can be right"
            came_true = words_of(outputs.words[self._plan.answer]) == labels
        else:
            came_true = labels == self._plan.positive
        count = self._bins.count
        self._labelled += np.bincount(self._bins.locate(scores[there]), minlength=count)
        is_positive = there & came_true.astype(bool)
        self._positives += np.bincount(self._bins.locate(scores[is_positive]), minlength=count)

    def profile(self) -> ScoreProfile:
        """Return what was counted."""
        plan = self._plan
        return ScoreProfile(
            plan.column, plan.positive, self._positives, self._labelled, plan.threshold
        )
