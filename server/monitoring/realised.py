"""What labels say of a model's answers, as counts that add up and that can be taken back exactly.

Decides what is counted of one answered row beside its label, and how counts of many are written. A
label that is corrected is taken out as it was counted and counted anew; nothing of the old one is
left, because counts are integers and sums are exact (`statistics/exact_sum.py`).

Does not know where answers and labels come from (`kept_answers.py`, `label_items.py`), nor what
figures follow from the counts (`realised_figures.py`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.statistics.exact_sum import ExactSum

SCORE_BINS = 200
"""Equal bins of a probability, of rows that are positive and of those that are not."""

TOP = 5
"""Classes of a row whose probabilities are kept: the likeliest."""

MAX_CONFUSED = 100
"""Classes of a model whose pairs are counted; of more, only how often each was right and wrong."""

DELAY_BOUNDS_SECONDS = (10, 60, 600, 3600, 6 * 3600, 86400, 3 * 86400, 7 * 86400)
"""Upper bounds of the bins of a label's delay; one open bin follows."""

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
"""Probabilities are kept as float32, which has 0 and 1: log loss takes them for this far away."""

POSITIVE, NEGATIVE = "positive", "negative"
"""The classes of a binary model, whatever its labels are called."""

NO_ANSWER = ""
"""Stands for the class where the model's answer was not a number."""


class Task(StrEnum):
    """What a model's answers are, and so how a label is compared with them."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Pair:
    """One answered row of a classifier, and its true class."""

    label: str
    """Of a binary model: POSITIVE or NEGATIVE."""
    answer: str
    """Alike, or NO_ANSWER."""
    probability: float | None = None
    """What the model gave the positive class, or of more than two the true one; None without."""
    is_in_top: bool = False
    """Whether the true class was among the five that the model thought likeliest."""
    is_confusion_kept: bool = True

    @property
    def is_right(self) -> bool:
        """Whether the model was right."""
        return self.label == self.answer


@dataclass(frozen=True, slots=True)
class NumberPair:
    """One answered row of a regression, and the true value."""

    label: float
    answer: float
    """NaN if the model gave no number."""


AnyPair = Pair | NumberPair


def _bins() -> NDArray[np.int64]:
    return np.zeros(SCORE_BINS, np.int64)


@dataclass(slots=True)
class LabelCounts:
    """Counts of labelled rows of one kind of model. Adds up."""

    rows: int = 0
    right: int = 0
    unanswered: int = 0
    """Rows whose answer was not a number: in `rows`, wrong, and in nothing else of a regression."""
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by true class and answered class, of models with up to MAX_CONFUSED classes."""
    labelled: Counter[str] = field(default_factory=Counter)
    """Rows by true class."""
    answered: Counter[str] = field(default_factory=Counter)
    """Rows by answered class."""
    hits: Counter[str] = field(default_factory=Counter)
    """Rows answered right, by class."""
    scored: int = 0
    """Rows with a probability."""
    top: int = 0
    """Rows whose true class was among the five likeliest."""
    positives: NDArray[np.int64] = field(default_factory=_bins)
    """Positive rows by the bin of their score."""
    negatives: NDArray[np.int64] = field(default_factory=_bins)
    sums: dict[str, ExactSum] = field(default_factory=dict)
    """Of log_loss and brier; or of error, absolute_error, squared_error, label, squared_label."""
    delays: Counter[int] = field(default_factory=Counter)
    """Rows by the bin of the time from the prediction to its label."""

    def add(self, pairs: Sequence[AnyPair], delays: Iterable[float] = ()) -> None:
        """Count rows; `delays` are seconds from a prediction to its label."""
        self._count(pairs, delays, 1)

    def remove(self, pairs: Sequence[AnyPair], delays: Iterable[float] = ()) -> None:
        """Take out rows as they were counted."""
        self._count(pairs, delays, -1)

    def _count(self, pairs: Sequence[AnyPair], delays: Iterable[float], sign: int) -> None:
        terms: dict[str, list[float]] = {}
        for pair in pairs:
            self.rows += sign
            if isinstance(pair, Pair):
                self._count_class(pair, terms, sign)
            else:
                self._count_number(pair, terms, sign)
        for name, values in terms.items():
            before = self.sums.get(name, ExactSum())
            self._set(name, before.plus(values) if sign > 0 else before.minus(values))
        for delay in delays:
            self.delays[_delay_bin(delay)] += sign
        self._drop_zeros()

    def _count_class(self, pair: Pair, terms: dict[str, list[float]], sign: int) -> None:
        self.labelled[pair.label] += sign
        self.answered[pair.answer] += sign
        if pair.is_right:
            self.right += sign
            self.hits[pair.label] += sign
        if pair.answer == NO_ANSWER:
            self.unanswered += sign
        if pair.is_confusion_kept:
            self.confusion[pair.label, pair.answer] += sign
        if pair.is_in_top:
            self.top += sign
        probability = pair.probability
        if probability is None:
            return
        self.scored += sign
        of_label = 1.0 - probability if pair.label == NEGATIVE else probability
        floor = SMALLEST_PROBABILITY
        terms.setdefault("log_loss", []).append(-log(min(max(of_label, floor), 1.0 - floor)))
        if pair.label in (POSITIVE, NEGATIVE):
            terms.setdefault("brier", []).append((1.0 - of_label) ** 2)
            side = self.positives if pair.label == POSITIVE else self.negatives
            side[score_bin(probability)] += sign

    def _count_number(self, pair: NumberPair, terms: dict[str, list[float]], sign: int) -> None:
        error = pair.answer - pair.label
        if not abs(error) < float("inf"):
            self.unanswered += sign
            return
        for name, value in (
            ("error", error),
            ("absolute_error", abs(error)),
            ("squared_error", error * error),
            ("label", pair.label),
            ("squared_label", pair.label * pair.label),
        ):
            terms.setdefault(name, []).append(value)

    def _set(self, name: str, total: ExactSum) -> None:
        if total.parts:
            self.sums[name] = total
        else:
            self.sums.pop(name, None)

    def _drop_zeros(self) -> None:
        """Forget what was counted and taken out: it must look as if it had never been there."""
        for counter in (self.confusion, self.labelled, self.answered, self.hits, self.delays):
            for key in [key for key, count in counter.items() if not count]:
                del counter[key]

    def merge(self, other: "LabelCounts") -> None:
        """Add the counts of another value."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self.positives = self.positives + other.positives
        self.negatives = self.negatives + other.negatives
        for name, total in other.sums.items():
            self._set(name, self.sums.get(name, ExactSum()).plus(total.parts))
        self._drop_zeros()

    def total(self, name: str) -> float:
        """Return a sum, 0 if nothing was added."""
        return self.sums.get(name, ExactSum()).value

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values, the same for the same counts."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            "confusion": [[*key, count] for key, count in sorted(self.confusion.items())],
            **{name: dict(sorted(getattr(self, name).items())) for name in _BY_CLASS},
            "positives": _sparse(self.positives),
            "negatives": _sparse(self.negatives),
            "sums": {name: list(total.parts) for name, total in sorted(self.sums.items())},
            "delays": sorted(map(list, self.delays.items())),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "LabelCounts":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not such a value.

        """
        numbers: dict[str, Any] = {name: int(value[name]) for name in _NUMBERS}
        by_class: dict[str, Any] = {name: Counter(value[name]) for name in _BY_CLASS}
        return cls(
            **numbers,
            **by_class,
            confusion=Counter({(label, answer): n for label, answer, n in value["confusion"]}),
            positives=_dense(value["positives"]),
            negatives=_dense(value["negatives"]),
            sums={name: ExactSum(tuple(parts)) for name, parts in value["sums"].items()},
            delays=Counter({int(place): n for place, n in value["delays"]}),
        )


_NUMBERS = ("rows", "right", "unanswered", "scored", "top")
_BY_CLASS = ("labelled", "answered", "hits")
_COUNTERS = ("confusion", *_BY_CLASS, "delays")


def score_bin(probability: float) -> int:
    """Return the bin of a probability; what lies outside of 0 to 1 is in the first or the last."""
    return min(SCORE_BINS - 1, max(0, int(probability * SCORE_BINS)))


def _delay_bin(seconds: float) -> int:
    return sum(seconds > bound for bound in DELAY_BOUNDS_SECONDS)


def _sparse(bins: NDArray[np.int64]) -> list[list[int]]:
    return [[int(at), int(bins[at])] for at in np.flatnonzero(bins)]


def _dense(pairs: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    bins = _bins()
    for at, count in pairs:
        bins[at] = count
    return bins
