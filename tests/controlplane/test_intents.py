"""Operators' wishes on disk: they come back as they were written, or not at all."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.controlplane.intents import Intents, write_whole

NAMES = st.text("abcXYZ019._-", min_size=1, max_size=12)


@settings(max_examples=20, deadline=None)
@given(st.sets(NAMES), st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(1, 9))))
def test_what_is_saved_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    unloaded: set[str],
    overrides: dict[str, dict[str, int]],
) -> None:
    """For all wishes, a later start has the same ones."""
    state_dir = tmp_path_factory.mktemp("intents")
    intents = Intents.read(state_dir)
    intents.unloaded |= unloaded
    intents.overrides.update(overrides)

    intents.save()

    again = Intents.read(state_dir)
    assert (again.unloaded, again.overrides) == (unloaded, overrides)


def test_nothing_saved_means_no_wishes(tmp_path: Path) -> None:
    """The first start finds no file and wants nothing."""
    intents = Intents.read(tmp_path)

    assert (intents.unloaded, intents.overrides) == (set(), {})


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"unloaded": 1, "overrides": {}}', b'{"unloaded": []}', b"\xff"],
)
def test_an_unreadable_file_does_not_stop_the_start(tmp_path: Path, content: bytes) -> None:
    """Whatever the file holds, control starts, as if nothing had been asked for."""
    (tmp_path / "intents.json").write_bytes(content)

    intents = Intents.read(tmp_path)

    assert (intents.unloaded, intents.overrides) == (set(), {})


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """The file is replaced whole: what cannot be written changes nothing."""
    path = tmp_path / "file.json"
    write_whole(path, b"old")
    path.with_suffix(".tmp").mkdir()  # In the way of the next write.

    with pytest.raises(IsADirectoryError):
        write_whole(path, b"new")

    assert path.read_bytes() == b"old"


def test_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    """Replacing leaves one file, with the new content."""
    path = tmp_path / "file.json"
    write_whole(path, b"old")
    write_whole(path, b"new")

    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]
    assert path.read_bytes() == b"new"
