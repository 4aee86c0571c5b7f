"""Moments in every way that people write them, and what is none."""

from typing import Any

import numpy as np
import pytest

from server.operator_errors import DataInvalid
from server.reference.times import seconds_of

MOMENT = 1_767_571_200.0


def _seconds(values: Any) -> list[float]:
    found: list[float] = seconds_of(values, "when", np.arange(10, 10 + len(values))).tolist()
    return found


@pytest.mark.parametrize(
    "written",
    [
        ["2026-01-05T00:00:00"],
        ["2026-01-05 00:00"],
        ["2026-01-05"],
        ["2026-01-05T00:00:00Z"],
        [" 2026-01-05T01:30:00+01:30 "],
        ["1767571200"],
        ["1767571200000"],
        np.array([1_767_571_200], np.int64),
        np.array([1_767_571_200_000], np.uint64),
        np.array([1.7675712e9]),
        np.array(["2026-01-04T19:00:00-05:00"], object),
    ],
    ids=str,
)
def test_a_moment_is_read(written: Any) -> None:
    """Text is of UTC unless it says otherwise; a number is seconds or milliseconds by its size."""
    assert _seconds(written) == [MOMENT]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (["2026-01-05", ""], "row 12, column 'when': an empty cell is no moment"),
        (["2026-01-05", "yesterday"], "row 12, column 'when': 'yesterday' is no moment"),
        (["2026-01-05", "1767571200"], "row 12, column 'when': '1767571200' is no moment"),
        (["1767571200", "nan"], "row 12, column 'when': 'nan' is no moment"),
        (["1767571200", "20260105"], "row 12, column 'when': '20260105' is no moment"),
        (
            ["0001-01-01T00:00:00+14:00"],
            "row 11, column 'when': '0001-01-01T00:00:00\\+14:00' is no",
        ),
        (np.array([MOMENT, np.inf]), "row 12, column 'when': 'inf' is no moment"),
        (np.array([MOMENT, -MOMENT]), "row 12, column 'when': '-1767571200.0' is no moment"),
        (np.array([1767571200000000]), "row 11, column 'when': '1767571200000000' is no moment"),
        (np.array(["2026-01-05", None], object), "row 12, column 'when': an empty cell is no"),
        (np.array([True]), "--time 'when': booleans are no moments"),
        (np.zeros((2, 3)), "--time 'when': lists are no moments"),
    ],
    ids=str,
)
def test_what_is_no_moment_is_refused(written: Any, words: str) -> None:
    """With its row and what is written there."""
    with pytest.raises(DataInvalid, match=words):
        _seconds(written)
