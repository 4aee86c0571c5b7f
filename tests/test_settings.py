"""What a setting may be."""

import pytest
from pydantic import ValidationError

from server.settings import ModelSettings, Settings, parse_version_policy


@pytest.mark.parametrize(
    ("policy", "parsed"),
    [
        ("latest:1", ("latest", (1,))),
        ("latest:12", ("latest", (12,))),
        ("all", ("all", ())),
        ("specific:3", ("specific", (3,))),
        ("specific:1,3,2", ("specific", (1, 3, 2))),
    ],
)
def test_a_version_policy_is_a_kind_and_numbers(
    policy: str, parsed: tuple[str, tuple[int, ...]]
) -> None:
    """Read in one place, for settings and for whoever needs its parts."""
    assert parse_version_policy(policy) == parsed
    assert Settings(version_policy=policy).version_policy == policy


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", frozenset()),
        ("a.example", {"a.example"}),
        ("A.example,b_1-c", {"a.example", "b_1-c"}),
    ],
)
def test_allowed_hosts_are_names(value: str, names: set[str]) -> None:
    """Compared in lower case; none are none, not an empty one."""
    assert Settings(control_allowed_hosts=value).allowed_hosts == names


@pytest.mark.parametrize("value", ["a, b", ",", "a,", "http://a", "a:8001", "*", "a..b", ".a"])
def test_what_is_no_list_of_names_is_refused(value: str) -> None:
    """A pattern or a port would silently match nothing."""
    with pytest.raises(ValidationError, match="names of hosts with commas"):
        Settings(control_allowed_hosts=value)


def test_settings_cannot_be_changed() -> None:
    """They are handed around; nobody shall wonder who changed them."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


def test_a_models_settings_are_part_of_all_settings() -> None:
    """The gateway's defaults are where a model's settings begin."""
    settings = Settings(max_rows=7)

    assert ModelSettings.model_fields.keys() < Settings.model_fields.keys()
    assert ModelSettings(max_rows=settings.max_rows).max_rows == 7
    with pytest.raises(ValidationError):
        ModelSettings(max_row=7)  # type: ignore[call-arg]
