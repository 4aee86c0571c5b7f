"""Learned references on disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from server.controlplane import self_references
from tests.support.references import normal_profile

PROFILE = replace(normal_profile(2, 500), is_self_reference=True)
NAMED = ("m", "1", "d")


def test_what_was_learned_is_found_again(tmp_path: Path) -> None:
    """By model, version and digest; for any other there is nothing."""
    self_references.write(tmp_path, PROFILE)

    found = self_references.read(tmp_path, *NAMED)

    assert found is not None
    assert found.hash == PROFILE.hash
    assert self_references.read(tmp_path, "m", "1", "other") is None
    assert self_references.read(tmp_path, "m", "2", "d") is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[1, 2]"])
def test_a_damaged_file_is_learned_anew(tmp_path: Path, content: bytes) -> None:
    """What cannot be read is as if it were not there."""
    self_references.write(tmp_path, PROFILE)
    (path,) = (tmp_path / self_references.FOLDER).iterdir()
    path.write_bytes(content)

    assert self_references.read(tmp_path, *NAMED) is None


def test_a_file_under_another_name_is_not_taken(tmp_path: Path) -> None:
    """A file that was copied says itself whose it is."""
    self_references.write(tmp_path, replace(PROFILE, version="2"))
    (path,) = (tmp_path / self_references.FOLDER).iterdir()
    self_references.write(tmp_path, PROFILE)
    (own,) = set((tmp_path / self_references.FOLDER).iterdir()) - {path}
    own.write_bytes(path.read_bytes())

    assert self_references.read(tmp_path, *NAMED) is None


def test_what_is_not_kept_is_removed(tmp_path: Path) -> None:
    """References of versions that are gone leave the disk; without a folder nothing happens."""
    self_references.keep_only(tmp_path, {NAMED})
    self_references.write(tmp_path, PROFILE)
    self_references.write(tmp_path, replace(PROFILE, version="2"))

    self_references.keep_only(tmp_path, {NAMED})

    assert self_references.read(tmp_path, *NAMED) is not None
    assert self_references.read(tmp_path, "m", "2", "d") is None


def test_a_folder_that_cannot_be_written_costs_nothing_now(tmp_path: Path) -> None:
    """The reference is used as long as the process lives, and learned anew after."""
    (tmp_path / self_references.FOLDER).write_text("a file is in the way")

    self_references.write(tmp_path, PROFILE)
    self_references.keep_only(tmp_path, set())

    assert self_references.read(tmp_path, *NAMED) is None
