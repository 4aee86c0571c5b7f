"""How often a model's score comes true, from rows with labels: what estimated performance needs.

Decides which column is the score, and of which label it is the probability:

* of two classes, the one whose label the model answers when the score is high; or, where the model
  answers no label that the data know, 1 or true, or the one that is named;
* of more classes there is no score of one label: it is the largest probability, and what comes true
  is that the answer is right.

Counts by the score's own bins. Does not estimate anything.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from server.monitoring.columns import Blocks, Column, Kind, Layout
from server.monitoring.profile import ScoreProfile
from server.monitoring.sampling import Sample, Words, words_of
from server.monitoring.taking import LABEL, VALUE
from server.operator_errors import DataInvalid
from server.statistics.bins import Bins
from server.statistics.categories import Words as WordCounts
from server.statistics.histogram import Counts

_HALF = 0.5
_MAX_DIGITS = 9
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
    """Of the label that the model answers, among the outputs' words; None if it answers no label
    that the data know: then it is taken to answer the positive one from a score of a half on."""
    edge: float | None = None
    """A score from which on the model answers the positive label, where no bin begins as it is;
    None if there is none, or answers do not follow the score."""
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
        DataInvalid: the named label does not occur, one has to be named, or the score is of two
            classes and there are more labels.

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
        return ScorePlan(outputs.numbers[place].name, place, None, answer)
    scores = sample.sides[1].numbers[:, place]
    answers = sample.sides[1].words[answer] if answer is not None else None
    high, low = _usual_answers(scores, answers)
    if len(known) > 2:
        raise _third_label(known, labels, {high, low})
    chosen = positive or _positive(known, high)
    is_other = positive is not None and positive == low
    name = outputs.numbers[place].name
    if chosen not in (high, low) or answers is None:
        return ScorePlan(name, place, chosen, None, is_of_other_class=is_other)
    return ScorePlan(name, place, chosen, answer, _edge(scores, answers, chosen), is_other)


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


def _third_label(
    known: Sequence[str], labels: WordCounts, answered: set[str | None]
) -> DataInvalid:
    """Return the error that names the label which is most likely the wrong one."""
    strangers = [word for word in known if word not in answered]
    odd = min(strangers or known, key=labels.__getitem__)
    return DataInvalid(
        f"the score is of two classes, and '{odd}' is a third label, of {labels[odd]} rows; the "
        f"labels are {_some(known)}",
        fix="write one of the two labels in these rows, or nothing: they then have no label",
    )


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


def _edge(scores: np.ndarray, answers: Words, positive: str) -> float | None:
    """Return the shortest number of the scores' type that parts answers: there, a bin begins.

    Without it, the rows of a bin would be answered in both ways, and how many of each would have
    to be guessed of live rows.
    """
    is_high = np.array([word == positive for word in answers], bool) & np.isfinite(scores)
    is_low = ~is_high & np.isfinite(scores)
    if not is_high.any() or not is_low.any():
        return None
    least, most = scores[is_high].min(), scores[is_low].max()
    if most >= least or most < _HALF <= least or not 0.0 <= most < least <= 1.0:
        return None
    for digits in range(1, _MAX_DIGITS):
        edge = scores.dtype.type(math.ceil(float(most) * 10**digits) / 10**digits)
        if most < edge <= least:
            return float(edge)
    return float(least)


def with_edge(bins: Bins, edge: float | None) -> Bins:
    """Return the bins of a score, with a bin that begins at `edge`."""
    if edge is None or edge in bins.edges:
        return bins
    return replace(bins, edges=tuple(sorted((*bins.edges, edge))))


class ScoreCounter:
    """Counts of one score by bin. Bounded."""

    def __init__(self, plan: ScorePlan, bins: Bins) -> None:
        self._plan = plan
        self._bins = bins
        self._positives = np.zeros(bins.count, np.int64)
        self._labelled = np.zeros(bins.count, np.int64)
        self._answered = np.zeros(bins.count, np.int64)
        self._hits = np.zeros(bins.count, np.int64)

    def add(self, outputs: Blocks, labels: Words) -> None:
        """Count rows by their score; those without a label, or without a score, are left out."""
        scores = outputs.numbers[:, self._plan.place]
        there = np.isfinite(scores) & np.array([word is not None for word in labels], bool)
        plan = self._plan
        answers = None if plan.answer is None else words_of(outputs.words[plan.answer])
        if plan.positive is None:
            came_true, is_answered = labels == answers, there
        else:
            came_true = labels == plan.positive
            is_answered = scores >= _HALF if answers is None else answers == plan.positive
        is_positive = there & came_true.astype(bool)
        is_answered = there & is_answered.astype(bool)
        self._labelled += self._count(scores[there])
        self._positives += self._count(scores[is_positive])
        self._answered += self._count(scores[is_answered])
        self._hits += self._count(scores[is_answered & is_positive])

    def _count(self, scores: np.ndarray) -> Counts:
        return np.bincount(self._bins.locate(scores), minlength=self._bins.count)

    def profile(self) -> ScoreProfile:
        """Return what was counted."""
        plan = self._plan
        return ScoreProfile(
            plan.column,
            plan.positive,
            self._positives,
            self._labelled,
            self._answered,
            self._hits,
        )
