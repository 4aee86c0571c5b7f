"""Figures say what they were measured on."""

import re
from pathlib import Path

import pytest

from loadtests import machine


def test_the_machine_is_described_in_a_line() -> None:
    """Cores, processor, memory, kernel, Python."""
    assert re.fullmatch(
        r"\d+ cores, .+, \d+ GiB, Linux [\d.]+, Python 3\.[\d.]+", machine.described()
    )


def test_the_versions_of_what_requests_go_through_are_told() -> None:
    """All packages, each with a number."""
    found = machine.versions()

    assert set(machine.PACKAGES) <= set(found)
    assert all(found[name][0].isdecimal() for name in machine.PACKAGES)


def test_a_tree_without_a_repository_has_no_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is said to be unknown; nothing else fails."""
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert machine.commit() == "unknown"
