"""Fields of JSON: what is shown of a wrong one; the rest is seen in profiles."""

from typing import Any

import pytest

from server.monitoring.json_fields import MAX_COUNT, Fields, shown
from server.operator_errors import ProfileInvalid


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("a", "'a'"),
        ("a" * 10_000_000, "'" + "a" * 40 + "'"),
        ([1, 2], "a list of 2"),
        ({"a": 1}, "an object"),
    ],
    ids=["null", "flag", "number", "text", "10 MB", "list", "object"],
)
def test_what_came_is_shown_in_few_words(value: Any, words: str) -> None:
    """However large it is."""
    assert shown(value) == words


def test_a_field_is_read_once_and_none_is_left() -> None:
    """What a newer or a careless program wrote is not passed over."""
    fields = Fields({"a": 1, "b": None, "c": 2}, "it")

    assert fields.count("a") == 1
    assert fields.optional_number("b") is None
    with pytest.raises(ProfileInvalid, match=r"it\.a: it is missing"):
        fields.count("a")
    with pytest.raises(ProfileInvalid, match=r"it\.'c': no such field is known"):
        fields.done()
    fields.count("c")
    fields.done()


@pytest.mark.parametrize("value", [MAX_COUNT + 1, -1, 1.0, True, "1", None, []])
def test_a_count_is_a_whole_number_that_json_carries(value: Any) -> None:
    """Neither rounded, nor a flag, nor so large that sums overflow."""
    with pytest.raises(ProfileInvalid, match="a: expected a whole number from 0"):
        Fields({"a": value}, "").count("a")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60, True, "1", None, []])
def test_a_number_is_finite(value: Any) -> None:
    """Whoever made the object, not only JSON."""
    with pytest.raises(ProfileInvalid, match="a: expected a number"):
        Fields({"a": value}, "").number("a")
