"""Data checks that follow from a reference profile."""

from dataclasses import replace

import numpy as np
import pytest

from server.monitoring.checks import Check, Policy
from server.monitoring.columns import Kind
from server.monitoring.profile import CategoryProfile, NumberProfile, Profile
from server.monitoring.profile_checks import checks_of_profile
from server.statistics.categories import Categories
from tests.support.reference_rows import built, layout_for, text

ROWS = 400
RANDOM = np.random.default_rng(8)
NUMBERS = np.stack(
    [RANDOM.uniform(0, 10, ROWS), RANDOM.uniform(0, 10, ROWS), np.full(ROWS, 3.0)], axis=1
).astype(np.float32)
NUMBERS[0, 0], NUMBERS[1, 0], NUMBERS[2, 1] = 0.0, 10.0, np.nan
INPUTS = {
    "x": NUMBERS,
    "colour": text([["red", "blue", ""][at % 3] for at in range(ROWS)]),
    "size": text([["s", "m"][at % 2] for at in range(ROWS)]),
    "code": np.arange(ROWS) % 4,
    "flag": (np.arange(ROWS) % 2).astype(bool),
}
OUTPUTS = {"y": RANDOM.uniform(0, 1, ROWS).astype(np.float32)}


@pytest.fixture(scope="module")
def profile() -> Profile:
    """A profile of columns of all kinds."""
    layout = layout_for(INPUTS, OUTPUTS, code=Kind.CATEGORY)
    return built(layout, INPUTS, OUTPUTS)[0]


def test_features_are_held_to_the_reference(profile: Profile) -> None:
    """Ranges with a margin, categories, and missing values where the reference had them."""
    checks = {check.feature: check for check in checks_of_profile(profile, Policy.WARN)}

    assert checks["x[0]"] == Check(
        "x[0]", "x", 0, Policy.WARN, minimum=-1.0, maximum=11.0, nullable=False
    )
    assert checks["x[1]"].nullable
    assert checks["colour"].categories == ("", "blue", "red")
    assert checks["colour"].nullable
    assert checks["size"] == Check("size", "size", 0, Policy.WARN, categories=("m", "s"))
    assert checks["code"].categories == (0, 1, 2, 3)
    assert checks.keys() == {"x[0]", "x[1]", "x[2]", "colour", "size", "code"}


def test_a_constant_feature_has_no_range(profile: Profile) -> None:
    """One value says nothing of which others are odd."""
    (constant,) = [one for one in checks_of_profile(profile, Policy.REJECT) if one.place == 2]

    assert constant == Check("x[2]", "x", 2, Policy.REJECT, nullable=False)


def test_named_features_have_checks_of_their_own(profile: Profile) -> None:
    """What model.toml speaks of is left to it; what is only counted needs no check."""
    names = {check.feature for check in checks_of_profile(profile, Policy.WARN, {"x[0]", "size"})}

    assert names == {"x[1]", "x[2]", "colour", "code"}
    assert checks_of_profile(profile, Policy.COUNT) == ()


def test_categories_that_are_not_all_known_are_not_checked(profile: Profile) -> None:
    """More than a profile lists, or words that stand for no whole number."""
    columns = []
    for one in profile.columns:
        changed = one
        if isinstance(one, CategoryProfile) and one.column.name == "size":
            changed = replace(one, categories=replace(one.categories, is_open=True))
        if isinstance(one, CategoryProfile) and one.column.name == "code":
            changed = replace(one, categories=Categories(("0.5", "1", "2", "3")))
        columns.append(changed)
    checks = {
        check.feature: check
        for check in checks_of_profile(replace(profile, columns=tuple(columns)), Policy.WARN)
    }

    assert "size" not in checks
    assert checks["code"] == Check("code", "code", 0, Policy.WARN, nullable=False)


def test_a_feature_that_never_had_a_value_is_not_checked(profile: Profile) -> None:
    """An empty column of the reference knows no range."""
    first = profile.columns[0]
    assert isinstance(first, NumberProfile)
    empty = replace(first, minimum=None, maximum=None)
    changed = replace(profile, columns=(empty, *profile.columns[1:]))

    assert "x[0]" not in {check.feature for check in checks_of_profile(changed, Policy.WARN)}
