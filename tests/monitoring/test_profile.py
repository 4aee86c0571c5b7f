"""Profiles as values: their form, their hash, and what the smooth test gets of them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from server.monitoring.columns import layout_of
from server.monitoring.profile import NumberProfile, Source
from server.monitoring.profile_reading import read_profile
from server.operator_errors import ProfileInvalid
from server.statistics.smooth_test import shift
from tests.support import profiles


def test_a_profile_is_the_same_after_a_journey() -> None:
    """Every field comes back to the last bit, so counts made before and after add up."""
    profile = profiles.profile()
    back = read_profile(profile.to_json())

    assert back.to_json() == profile.to_json()
    assert back.hash == profile.hash
    assert back.layout == profile.layout
    assert [one.to_json() for one in back.columns] == [one.to_json() for one in profile.columns]
    for was, now in zip(profile.columns, back.columns, strict=True):
        assert was.counts.to_array().tolist() == now.counts.to_array().tolist()


def test_the_file_has_a_line_for_each_column() -> None:
    """A change of one column is a change of one line, and of the hash's."""
    before = profiles.profile()
    changed = replace(before.column("bmi"), importance=0.75)
    after = replace(
        before,
        columns=tuple(changed if one.column.name == "bmi" else one for one in before.columns),
    )

    lines = [profile.to_json().decode().splitlines() for profile in (before, after)]
    differing = [new for old, new in zip(*lines, strict=True) if old != new]
    assert [line[:15] for line in differing] == ['{"name": "bmi",', '"hash": "' + after.hash[:6]]


def test_the_file_can_be_read_by_anybody() -> None:
    """It is JSON, in UTF-8, with short numbers."""
    text = profiles.profile(created_from=Source("trän.csv", 400, "")).to_json().decode()

    assert "trän.csv" in text
    assert json.loads(text)["columns"][0]["mean"] == 0.5
    assert not [number for number in text.replace("]", ",").split(",") if "00000001" in number]


def test_a_hash_stands_for_all_of_the_content() -> None:
    """Profiles that differ in anything are told apart."""
    profile = profiles.profile()
    others = [
        replace(profile, model="other"),
        replace(profile, digest=""),
        replace(profile, is_self_reference=True),
        replace(profile, score=None),
        replace(profile, columns=profile.columns[:-1]),
    ]

    assert len({profile.hash, *(other.hash for other in others)}) == 6
    assert profiles.profile().hash == profile.hash


def test_the_layout_is_that_of_the_columns() -> None:
    """So live rows are counted as the reference's were."""
    profile = profiles.profile()

    assert profile.layout == layout_of(profiles.SIGNATURE, profiles.FEATURES, profile.layout.kinds)


def test_columns_in_another_order_are_refused() -> None:
    """Counts are vectors in the layout's order."""
    profile = profiles.profile()

    with pytest.raises(ProfileInvalid, match="columns: expected inputs before outputs"):
        replace(profile, columns=profile.columns[::-1])


def test_a_column_is_found_by_its_name() -> None:
    """Or it is said that there is none."""
    profile = profiles.profile()

    assert profile.column("age") is profile.columns[0]
    with pytest.raises(KeyError):
        profile.column("nobody")


def test_the_basis_has_the_inflation_that_was_measured() -> None:
    """Rows that resemble their neighbours count for less, by the factor in the profile."""
    column = profiles.profile().column("age")
    assert isinstance(column, NumberProfile)
    plain = replace(column, inflation=(1.0,) * len(column.inflation))
    live = np.roll(column.counts.bins, 3)

    assert column.basis().inflation.tolist() == list(column.inflation)
    assert replace(column, inflation=()).basis().inflation.tolist() == [1.0] * 4
    ratio = shift(plain.basis(), live).z / shift(column.basis(), live).z
    assert ratio == pytest.approx(np.sqrt(1.5))
