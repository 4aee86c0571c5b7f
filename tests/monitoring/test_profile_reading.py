"""Profiles that somebody else wrote: whatever is in the file, it is read or refused in words."""

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring import profile_reading
from server.monitoring.profile import _hash
from server.monitoring.profile_reading import MAX_BYTES, read_profile
from server.operator_errors import ProfileInvalid
from tests.support import profiles, seasons

WRITTEN: dict[str, Any] = json.loads(profiles.profile().to_json())
BINS = len(WRITTEN["columns"][0]["counts"])
COLUMNS = ["age", "bmi", "sex", "p.top1", "p.margin", "p.score", "label"]


def resealed(value: Any) -> bytes:
    """Write a profile with the hash that its content has, as a deceiver would."""
    described = {name: field for name, field in value.items() if name != "hash"}
    return json.dumps(described | {"hash": _hash(described)}).encode()


def changed(*path: str | int, to: Any) -> bytes:
    """Write the profile with one field changed, and the hash with it."""
    value: Any = copy.deepcopy(WRITTEN)
    at = value
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = to
    return resealed(value)


def test_resealing_alone_changes_nothing() -> None:
    """What is refused below is not refused for its hash."""
    assert read_profile(resealed(WRITTEN)).hash == WRITTEN["hash"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[]", "it: expected an object, got a list of 0"),
        (b"[" * 100_000, "it is not JSON"),
        (b"{}", "format: it is missing"),
        (b'{"format": NaN}', "it is not JSON"),
        (b'{"format": 2}', "format: expected 1; another release"),
        (b" " * (MAX_BYTES + 1), "it has more than 16 MiB"),
    ],
    ids=["empty", "bytes", "list", "deep", "nothing", "nan", "future", "huge"],
)
def test_what_is_no_profile_is_refused(content: bytes, words: str) -> None:
    """In a few words, whatever it is."""
    with pytest.raises(ProfileInvalid, match=words):
        read_profile(content)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["model"], 7, "model: expected a text of at most 1024 characters, got 7"),
        (["model"], "m" * 2000, "model: expected a text"),
        (["is_self_reference"], "yes", "is_self_reference: expected true or false, got 'yes'"),
        (["created_from"], None, "created_from: expected an object, got null"),
        (["created_from", "rows"], -1, "created_from.rows: expected a whole number from 0, got -1"),
        (["created_from", "rows"], True, "created_from.rows: expected a whole number"),
        (["created_from", "size"], 1, "created_from.'size': no such field is known"),
        (["columns"], {}, "columns: expected a list of at most 4096 objects, got an object"),
        (["columns"], [{}] * 5000, "columns: expected a list of at most 4096 objects"),
        (["columns", 1], 3, r"columns\[1\]: expected an object, got 3"),
        (["extra"], 1, "'extra': no such field is known"),
        (["score", "column"], "age", "score.column: 'age' is no column of probabilities"),
        (["score", "column"], "nobody", "score.column: 'nobody' is no column"),
        (["score", "positive"], 1, "score.positive: expected a text or null"),
        (["score", "labelled"], [1], "score.labelled: expected a list of 50 whole numbers"),
        (["score", "positives"], [99] * 50, "more positive rows than labelled ones"),
        (["score", "answered"], [99] * 50, "more positive rows than labelled ones"),
        (["score", "hits"], [99] * 50, "the counts of a bin do not go together"),
        (["score", "answered"], list(range(50)), "the counts of a bin do not go together"),
    ],
)
def test_a_wrong_field_is_named(path: list[str | int], value: Any, words: str) -> None:
    """Where it is, what was expected and what came."""
    with pytest.raises(ProfileInvalid, match=words):
        read_profile(changed(*path, to=value))


@pytest.mark.parametrize(
    ("column", "name", "value", "words"),
    [
        ("age", "kind", "colour", "kind: expected one of number, integer"),
        ("age", "kind", "category", "categories: it is missing"),
        ("age", "datatype", "BYTES", "take: 'value:0' of BYTES is no number"),
        ("age", "take", "label", "take: 'label' of FP32 is no number"),
        ("age", "take", "value:-1", "take: 'value:-1' of FP32 is no number"),
        ("age", "take", "value:²", "take: "),
        ("sex", "take", "top1", "take: 'top1' of BYTES is no category"),
        (
            "age",
            "counts",
            [1, 2],
            f"counts: expected a list of {BINS} whole numbers, got a list of 2",
        ),
        ("age", "counts", [-1] * BINS, r"counts\[0\]: expected a whole number from 0, got -1"),
        ("age", "counts", [1.5] * BINS, r"counts\[0\]: expected a whole number"),
        ("age", "counts", [2**53] * BINS, "rows are more than there can be"),
        ("age", "missing", 2**60, "missing: expected a whole number"),
        ("age", "below", 1000, "more rows are out of range than in the bins"),
        ("age", "mean", "1", "mean: expected a number, got '1'"),
        ("age", "sd", -1.0, "sd: expected a number from 0, got -1.0"),
        ("age", "importance", 2.0, "importance: expected a number from 0 to 1"),
        ("age", "inflation", [0.5] * 4, r"inflation\[0\]: expected a number from 1, got 0.5"),
        ("age", "inflation", [1.0] * 300, "inflation: expected a list of at most 4 numbers"),
        ("age", "missing_inflation", None, "missing_inflation: expected a number from 1"),
        ("age", "name", "bmi", "two have the same name"),
        ("age", "take", "value:1", "come from the same value"),
        ("age", "datatype", "FP16", "tensor 'x' has two datatypes"),
        ("age", "datatype", "FP64", "bins.dtype: expected float64, as the columns beside it need"),
        ("sex", "seen_once", -3, "seen_once: expected a whole number"),
        ("sex", "inflation", 0, "inflation: expected a number from 1, got 0"),
        ("sex", "counts", [], "counts: expected a list of 2 whole numbers"),
    ],
)
def test_a_wrong_field_of_a_column_is_named(column: str, name: str, value: Any, words: str) -> None:
    """With the column."""
    with pytest.raises(ProfileInvalid, match=words):
        read_profile(changed("columns", COLUMNS.index(column), name, to=value))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("edges", [2.0, 1.0], "edges of bins must increase"),
        ("edges", [[1.0], [2.0]], r"edges\[0\]: expected a number, got a list of 1"),
        ("edges", ["1"], r"edges\[0\]: expected a number, got '1'"),
        ("edges", list(range(300)), "edges: expected a list of at most 63 numbers"),
        ("edges", [1e300], "edges of bins must be finite"),
        ("dtype", "int8", "dtype: expected one of float32, float64"),
        ("dtype", "float64", "dtype: expected float32, as the columns beside it need"),
        ("min", 1e9, "the range of bins is from"),
        ("more", 1, "'more': no such field is known"),
    ],
)
def test_wrong_bins_are_refused(name: str, value: Any, words: str) -> None:
    """Whatever would not count live rows as the reference's rows were counted."""
    content = changed("columns", 0, "bins", name, to=value)
    with pytest.raises(ProfileInvalid, match=words):
        read_profile(content)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("kept", "ab", "kept: expected a list of at most 50 texts, got 'ab'"),
        ("kept", ["a"] * 51, "kept: expected a list of at most 50 texts, got a list of 51"),
        ("kept", ["a", "a"], "a category is listed twice"),
        ("kept", [1, 2], "lists of strings"),
        ("kept", [{}, []], "lists of strings"),
        ("rare", ["a" * 2000], "rare: a text has over 1024 characters"),
        ("is_open", 1, "is_open: expected true or false, got 1"),
    ],
)
def test_wrong_categories_are_refused(name: str, value: Any, words: str) -> None:
    """They are bounded, and each is listed once."""
    with pytest.raises(ProfileInvalid, match=words):
        read_profile(changed("columns", COLUMNS.index("sex"), "categories", name, to=value))


def test_an_edited_profile_is_refused() -> None:
    """Counts made with it would be taken for those of the original."""
    value = copy.deepcopy(WRITTEN)
    value["columns"][0]["missing"] += 1

    with pytest.raises(ProfileInvalid, match="hash: it is not that of the content"):
        read_profile(json.dumps(value).encode())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def paths(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the way to each field of a JSON value."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [at, *(path for key, one in inner for path in paths(one, (*at, key)))]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(paths(WRITTEN)[1:]), JSON)
def test_any_value_anywhere_is_read_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    """Nothing but ProfileInvalid comes out, and what is read can be written and counted with."""
    try:
        profile = read_profile(changed(*path, to=value))
    except ProfileInvalid:
        return
    assert read_profile(profile.to_json()).hash == profile.hash


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(profiles.profile().to_json())), st.binary(max_size=3))
def test_any_damage_is_refused(place: int, bytes_: bytes) -> None:
    """A byte that is lost, added or changed is noticed, unless it means the same."""
    whole = profiles.profile().to_json()
    damaged = whole[:place] + bytes_ + whole[place + len(bytes_) :]
    with contextlib.suppress(ProfileInvalid):
        assert read_profile(damaged).to_json() == whole


HOURLY: dict[str, Any] = json.loads(seasons.profile().to_json())


def test_counts_by_hour_are_read_as_they_were_written() -> None:
    """Twice, to the byte; and a profile without hours has no word of them."""
    content = seasons.profile().to_json()
    assert read_profile(content).to_json() == content
    assert b"hours" not in profiles.profile().to_json()


@pytest.mark.parametrize(
    ("path", "to", "words"),
    [
        ([], None, "hours: expected an object, got null"),
        (["cycle"], "year", "hours.cycle: expected one of day, week, got 'year'"),
        (["cycle"], "week", "hours.rows: expected a list of 168 whole numbers, got a list of 24"),
        (["rows", 3], -1, "hours.rows\\[3\\]: expected a whole number from 0"),
        (["rows", 3], 7, "hours.counts\\[0\\]: not as many as the hours' rows"),
        (["rows", 3], 2**40, "hours.rows: more than 2147483647 rows"),
        (["counts"], [], "hours.counts: expected a list of 4 lists, got a list of 0"),
        (["counts", 1], [[]], "hours.counts\\[1\\]: expected 24 lists, empty or of .. whole"),
        (["counts", 2, 5], [1], "hours.counts\\[2\\]: expected 24 lists, empty or of 4 whole"),
        (["counts", 0, 5, 0], 1.0, "hours.counts\\[0\\]: expected 24 lists"),
        (["counts", 0, 5, 0], True, "hours.counts\\[0\\]: expected 24 lists"),
        (["counts", 0, 5, 0], -1, "hours.counts\\[0\\]: expected 24 lists"),
        (["counts", 0, 5], "x" * 23, "hours.counts\\[0\\]: expected 24 lists"),
        (["more"], 1, "hours.'more': no such field is known"),
    ],
    ids=lambda one: str(one)[:30],
)
def test_wrong_counts_by_hour_are_refused(path: list[str | int], to: Any, words: str) -> None:
    """With the field, what was expected and what came."""
    value: Any = copy.deepcopy(HOURLY)
    *before, last = ["hours", *path]
    at = value
    for step in before:
        at = at[step]
    at[last] = to
    with pytest.raises(ProfileInvalid, match=words):
        read_profile(resealed(value))


def test_more_counts_by_hour_than_memory_is_given_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hours without rows take no room in a file, but do in memory."""
    monkeypatch.setattr(profile_reading, "MAX_HOUR_COUNTS", 1000)
    with pytest.raises(ProfileInvalid, match="hours: 24 hours of so many columns are more than"):
        read_profile(resealed(HOURLY))
