"""Categories: which are counted alone, what is novel, and that nothing grows without bound."""

from collections import Counter
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.statistics.categories import (
    MAX_KEPT,
    MAX_NOVEL_WORDS,
    MAX_RARE,
    MAX_WORD_CHARACTERS,
    OTHER_FIELDS,
    Categories,
    CategoryCounts,
    Words,
    count_categories,
    count_words,
    reference_categories,
    shortened,
)

letters = st.sampled_from(["a", "b", "c", "d", "e", "", "ä", "x" * 200, None])
texts = st.lists(letters, max_size=40)
COLOURS = Categories(("red", "blue"), frozenset({"pink"}))


def plain(counts: CategoryCounts) -> list[int]:
    """Return counts as a value that compares."""
    return [int(count) for count in counts.to_array()]


@given(texts, texts, st.integers(1, 50))
def test_values_are_counted_as_one_by_one(
    reference: list[str | None], live: list[str | None], window_rows: int
) -> None:
    """Each row is a kept category, another one of the reference, novel, or missing."""
    categories = reference_categories(count_words(reference), window_rows)
    words = [None if text is None else shortened(text) for text in live]
    unknown = {word for word in words if word is not None} - categories.places.keys()

    assert plain(count_categories(categories, live)) == [
        *[words.count(word) for word in categories.kept],
        sum(word in categories.rare for word in words),
        sum(word in unknown for word in words),
        words.count(None),
        len(words),
    ]


@given(texts, texts, texts)
def test_counts_of_parts_add_up(
    reference: list[str | None], one: list[str | None], two: list[str | None]
) -> None:
    """Adding two counts is counting both, novel words included, and leaves the second alone."""
    categories = reference_categories(count_words(reference), 10)
    total, second = count_categories(categories, one), count_categories(categories, two)
    total.add(second)

    assert plain(total) == plain(count_categories(categories, [*one, *two]))
    assert total.novel_words == count_categories(categories, [*one, *two]).novel_words
    assert plain(second) == plain(count_categories(categories, two))
    assert plain(total.zero_like()) == plain(CategoryCounts.zero(categories))
    assert not any(plain(total.zero_like()))


@given(texts, st.integers(0, 200))
def test_what_a_reference_has_is_never_novel(reference: list[str | None], window_rows: int) -> None:
    """Counted with its own categories, a reference has nothing new, and every row in its place."""
    words = count_words(reference)
    categories = reference_categories(words, window_rows)
    counts = count_categories(categories, reference)

    assert counts.novel == 0
    assert int(counts.kept.sum()) + counts.other + counts.missing == counts.rows == len(reference)
    for word, count in zip(categories.kept, counts.kept, strict=True):
        assert count == words[word]
        assert count * window_rows >= 5 * len(reference)
    for word in categories.rare:
        assert words[word] * window_rows < 5 * len(reference)


def test_kept_categories_are_ordered_by_frequency_and_then_by_name() -> None:
    """Equal references give equal profiles, in whichever order their rows stand."""
    words: Words = Counter({"b": 30, "c": 40, "a": 30, "z": 1, None: 9})

    assert reference_categories(words, 110).kept == ("c", "a", "b")
    assert reference_categories(words, 110).rare == {"z"}
    assert reference_categories(words, 550).kept == ("c", "a", "b", "z")


def test_missing_rows_count_towards_what_a_window_may_expect() -> None:
    """A category of every tenth row, most of which are missing, is expected in a tenth of them."""
    words: Words = Counter({"a": 10, None: 90})

    assert reference_categories(words, 50).kept == ("a",)
    assert reference_categories(words, 49).kept == ()


def test_a_reference_of_identifiers_is_open() -> None:
    """Where every row is another category, none is kept, few are remembered, none is novel."""
    words: Words = Counter({f"id-{number:05}": 1 for number in range(5000)})
    categories = reference_categories(words, 1000)
    counts = count_categories(categories, ["id-00001", "id-04999", "never seen"])

    assert (categories.kept, len(categories.rare), categories.is_open) == ((), MAX_RARE, True)
    assert (counts.other, counts.novel, counts.rows) == (3, 0, 3)


def test_no_more_categories_are_kept_than_allowed() -> None:
    """The least frequent of many frequent categories are counted together."""
    words: Words = Counter({f"{number:03}": 100 for number in range(MAX_KEPT + 5)})
    categories = reference_categories(words, 10_000)

    assert categories.kept == tuple(f"{number:03}" for number in range(MAX_KEPT))
    assert len(categories.rare) == 5


def test_few_novel_words_are_kept_and_all_are_counted() -> None:
    """A client that sends another word in every row fills no memory."""
    counts = CategoryCounts.zero(COLOURS)
    for start in range(0, 1000, 10):
        live = [f"new-{number:04}" for number in range(start, start + 10)]
        counts.add(count_categories(COLOURS, [*live, "new-0000"]))

    assert counts.novel == 1100
    assert len(counts.novel_words) == MAX_NOVEL_WORDS
    assert counts.novel_words["new-0000"] == 101


def test_a_huge_string_is_known_by_its_beginning_and_a_digest() -> None:
    """Ten megabytes in a cell leave under a hundred characters, and stay a category."""
    huge, other = "spam" * 2_500_000, "spam" * 2_500_001
    counts = count_categories(COLOURS, [huge, huge, other, "x" + huge])
    words = counts.novel_words

    assert sorted(words.values()) == [1, 1, 2]
    assert all(len(word) < 100 for word in words)
    assert words[shortened(huge)] == 2
    assert shortened(huge).startswith("spamspam")


@given(st.text(max_size=2 * MAX_WORD_CHARACTERS), st.text(max_size=2 * MAX_WORD_CHARACTERS))
def test_different_texts_are_different_words(one: str, two: str) -> None:
    """Short texts stand for themselves, and no shortened one looks like another text."""
    assert (shortened(one) == shortened(two)) == (one == two)
    assert (shortened(one) == one) == (len(one) <= MAX_WORD_CHARACTERS)
    assert shortened(shortened(one)) == shortened(one)


@pytest.mark.parametrize(
    ("place", "is_told_apart"), [(0, True), (50, True), (4095, True), (4096, False)]
)
def test_long_texts_are_told_apart_by_their_beginning(place: int, is_told_apart: bool) -> None:
    """Of equally long texts the first 4096 characters decide, so that a huge one costs little."""
    text = "a" * 5000
    changed = text[:place] + "b" + text[place + 1 :]

    assert (shortened(changed) != shortened(text)) == is_told_apart


def test_text_that_is_no_unicode_is_counted() -> None:
    """A lone surrogate, which no encoding allows, is a category like any other."""
    assert count_words(["\ud800", "\ud800" * 100]).total() == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([True, False, True]), {"true": 2, "false": 1}),
        (np.array([3, -1, 3], np.int8), {"3": 2, "-1": 1}),
        (np.array([2**64 - 1], np.uint64), {"18446744073709551615": 1}),
        (np.array([3.0, -0.0, np.nan, np.nan], np.float32), {"3": 1, "0": 1, None: 2}),
        (np.array([0.5, np.inf, -np.inf, 1e300]), {"0.5": 1, "inf": 1, "-inf": 1, "1e+300": 1}),
        (np.array([[1, 2], [2, 2]]), {"1": 1, "2": 3}),
        (np.array([], np.float64), {}),
        ([], {}),
        ([None, "", None], {None: 2, "": 1}),
    ],
    ids=["bool", "int8", "uint64", "float32", "float64", "matrix", "no numbers", "none", "missing"],
)
def test_values_of_all_types_are_words(values: Any, words: dict[str | None, int]) -> None:
    """Whole numbers are one category in every type; NaN and None are missing, "" is not."""
    assert count_words(values) == words


def test_a_vector_has_its_counts_in_a_fixed_order() -> None:
    """Stored vectors outlive a release: kept categories, other, novel, missing, rows."""
    live = [*["blue"] * 2, "red", *["pink"] * 3, *["green"] * 4, *[None] * 5]
    counts = count_categories(COLOURS, live)

    assert plain(counts) == [1, 2, 3, 4, 5, 15]
    assert len(plain(counts)) == len(COLOURS.kept) + OTHER_FIELDS
    assert plain(CategoryCounts.from_array(counts.to_array())) == plain(counts)
    assert plain(count_categories(Categories(), live)) == [0, 10, 5, 15]


@given(texts, st.integers(1, 50))
def test_what_is_written_as_json_is_read_back(
    reference: list[str | None], window_rows: int
) -> None:
    """Categories and their order survive, and count as before."""
    categories = reference_categories(count_words(reference), window_rows)
    read = Categories.from_json(orjson.loads(orjson.dumps(categories.to_json())))

    assert read == categories
    assert read.places == categories.places


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kept": ["a", "a"]}, "twice"),
        ({"kept": ["b"]}, "twice"),
        ({"kept": "a"}, "lists of strings"),
        ({"rare": [1]}, "lists of strings"),
        ({"is_open": None}, "true or false"),
    ],
    ids=str,
)
def test_categories_that_are_none_are_refused(change: dict[str, Any], text: str) -> None:
    """A profile that somebody has edited is refused with what is wrong in it."""
    good = {"kept": ["a"], "rare": ["b"], "is_open": False}

    assert Categories.from_json(good).kept == ("a",)
    with pytest.raises(ValueError, match=text):
        Categories.from_json({**good, **change})
    with pytest.raises(ValueError, match="object of kept"):
        Categories.from_json({"kept": ["a"]})
