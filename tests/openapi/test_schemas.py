"""The schemas: sound themselves, and all of them used."""

import re

import pytest

from server.openapi.operations import OPERATIONS
from server.openapi.schemas import NAME_PATTERN, SCHEMAS, VERSION_PATTERN


def test_every_schema_is_used_and_none_is_missing() -> None:
    """Each is a body or an answer, or stands in another one."""
    text = str(SCHEMAS)
    named = {one.answer for one in OPERATIONS} | {one.takes for one in OPERATIONS}
    inner = set(re.findall(r"#/components/schemas/(\w+)", text))

    assert {name for name in named | inner if name and "/" not in name} | {"Error"} == set(SCHEMAS)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (NAME_PATTERN, ["a", "breast-cancer", "A.b_c"], ["", ".a", "a/b", "é", "a" * 129]),
        (VERSION_PATTERN, ["1", "20"], ["0", "01", "-1", "latest", "1" * 20]),
    ],
)
def test_names_and_versions(pattern: str, good: list[str], bad: list[str]) -> None:
    """Patterns take what the repository takes."""
    assert all(re.search(pattern, text) for text in good)
    assert not any(re.search(pattern, text) for text in bad)
