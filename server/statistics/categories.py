"""Count discrete values: strings, booleans, small integers.

Decides which categories of the reference have a count of their own, and what happens to all
others: those that the reference knows but seldom has are counted together, those that it never had
are novel and counted apart, with a few of their words, and missing values are no category. What is
kept is bounded whatever comes: long strings are kept as their beginning and a digest.

A category has a count of its own if a window of some length may expect five rows of it, the usual
condition of Pearson's chi-square (Cochran 1954, Biometrics 10).

Does not know what a change in counts means.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.tensors import Array

Counts = NDArray[np.int64]
Words = Counter[str | None]
"""How often each category occurs, by its word; None stands for missing."""

LEAST_EXPECTED_ROWS = 5
MAX_KEPT = 50
MAX_RARE = 1000
MAX_NOVEL_WORDS = 16
MAX_WORD_CHARACTERS = 64
_KEPT_CHARACTERS = 20
_DIGESTED_CHARACTERS = 4096
_EXACT_INTEGERS = 2.0**53


def shortened(text: str) -> str:
    """Return a text as a word: itself, or what a long one is known by.

    Texts longer than MAX_WORD_CHARACTERS are one category if they have the same length and the
    same first 4096 characters. What a long one is known by is short: it is shortened only once.
    """
    if len(text) <= MAX_WORD_CHARACTERS:
        return text
    beginning = text[:_DIGESTED_CHARACTERS].encode("utf-8", "surrogatepass")
    digest = blake2b(beginning, digest_size=8).hexdigest()
    return f"{text[:_KEPT_CHARACTERS]}… ({len(text)} characters, {digest})"


def count_words(values: Sequence[str | None] | Array) -> Words:
    """Count the categories of strings, or of an array of booleans or numbers of any shape.

    None and NaN are missing; an empty string is a category. Whole numbers are the same category
    in every type, so that a column of integers that is read as floats does not drift.
    """
    words: Words = Counter()
    if isinstance(values, np.ndarray):
        distinct, rows = np.unique(values, return_counts=True)
        for value, count in zip(distinct.tolist(), rows.tolist(), strict=True):
            words[_number_word(value)] += count
        return words
    for text, count in Counter(values).items():
        words[None if text is None else shortened(text)] += count
    return words


def _number_word(value: bool | float) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isnan(value):
        return None
    is_whole = isfinite(value) and value.is_integer() and abs(value) < _EXACT_INTEGERS
    return str(int(value)) if is_whole else repr(value)


@dataclass(frozen=True, slots=True)
class Categories:
    """The categories of one column, as its reference has them."""

    kept: tuple[str, ...] = ()
    """Those with a count of their own, most frequent first."""
    rare: frozenset[str] = frozenset()
    """Those that the reference has too seldom; they are counted together."""
    is_open: bool = False
    """Whether the reference has more than are listed: then no category is known to be novel."""
    places: Mapping[str, int] = field(init=False, compare=False, repr=False)
    """Where each known category is counted in the vector of counts."""

    def __post_init__(self) -> None:
        places = dict.fromkeys(self.rare, len(self.kept))
        places.update((word, place) for place, word in enumerate(self.kept))
        object.__setattr__(self, "places", places)

    def to_json(self) -> dict[str, Any]:
        """Return the categories as JSON, the rare ones in alphabetical order."""
        return {"kept": list(self.kept), "rare": sorted(self.rare), "is_open": self.is_open}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Categories":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is nothing that `to_json` writes.

        """
        try:
            kept, rare, is_open = value["kept"], value["rare"], value["is_open"]
        except (KeyError, TypeError) as error:
            raise ValueError("categories are an object of kept, rare and is_open") from error
        for words in (kept, rare):
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise ValueError("kept and rare categories are lists of strings")
        if len(set(kept) | set(rare)) < len(kept) + len(rare):
            raise ValueError("a category is listed twice")
        if not isinstance(is_open, bool):
            raise ValueError("is_open of categories must be true or false")
        return cls(tuple(kept), frozenset(rare), is_open)


def reference_categories(words: Words, window_rows: int) -> Categories:
    """Choose which categories of a reference, counted by `count_words`, are counted on their own.

    At most MAX_KEPT are, the most frequent first, each with LEAST_EXPECTED_ROWS or more to be
    expected in a window of `window_rows`. Of the others MAX_RARE are remembered.
    """
    total = sum(words.values())
    present = [(word, count) for word, count in words.items() if word is not None and count > 0]
    present.sort(key=lambda one: (-one[1], one[0]))
    frequent = [
        word
        for word, count in present[:MAX_KEPT]
        if count * window_rows >= LEAST_EXPECTED_ROWS * total
    ]
    others = [word for word, _ in present[len(frequent) :]]
    return Categories(tuple(frequent), frozenset(others[:MAX_RARE]), len(others) > MAX_RARE)


@dataclass(slots=True)
class CategoryCounts:
    """What was counted of one column. Its vector is `kept`, then the four numbers in order.

    `rows` is always the sum of the others.
    """

    kept: Counts
    """Rows of each kept category, shape (kept categories,)."""
    other: int = 0
    """Rows of the rare categories; of all unlisted ones, if the categories are open."""
    novel: int = 0
    """Rows of categories that the reference never had."""
    missing: int = 0
    rows: int = 0
    novel_words: Counter[str] = field(default_factory=Counter)
    """The first few novel categories that came, with their rows: `novel` counts all of them."""

    @classmethod
    def zero(cls, categories: Categories) -> "CategoryCounts":
        """Return counts of no rows."""
        return cls(np.zeros(len(categories.kept), np.int64))

    def zero_like(self) -> "CategoryCounts":
        """Return counts of no rows of the same categories."""
        return CategoryCounts(np.zeros_like(self.kept))

    def add(self, other: "CategoryCounts") -> None:
        """Add counts of the same categories."""
        self.kept += other.kept
        self.other += other.other
        self.novel += other.novel
        self.missing += other.missing
        self.rows += other.rows
        for word, count in other.novel_words.items():
            self._remember(word, count)

    def _remember(self, word: str, count: int) -> None:
        if word in self.novel_words or len(self.novel_words) < MAX_NOVEL_WORDS:
            self.novel_words[word] += count

    def add_words(self, categories: Categories, words: Words) -> None:
        """Count rows by the words of `count_words`."""
        for word, count in words.items():
            self.rows += count
            place = None if word is None else categories.places.get(word)
            if word is None:
                self.missing += count
            elif place is not None and place < len(self.kept):
                self.kept[place] += count
            elif place is not None or categories.is_open:
                self.other += count
            else:
                self.novel += count
                self._remember(word, count)

    def to_array(self) -> Counts:
        """Return the counts as a vector, shape (kept categories + OTHER_FIELDS,)."""
        others = [self.other, self.novel, self.missing, self.rows]
        return np.concatenate([self.kept, np.array(others, np.int64)])

    @classmethod
    def from_array(cls, vector: Counts) -> "CategoryCounts":
        """Read a vector of `to_array`, which holds no words."""
        return cls(vector[:-OTHER_FIELDS].copy(), *vector[-OTHER_FIELDS:].tolist())


OTHER_FIELDS = 4
"""Numbers of a column's vector behind its kept categories."""


def count_categories(
    categories: Categories, values: Sequence[str | None] | Array
) -> CategoryCounts:
    """Count values as `count_words` takes them."""
    counts = CategoryCounts.zero(categories)
    counts.add_words(categories, count_words(values))
    return counts
