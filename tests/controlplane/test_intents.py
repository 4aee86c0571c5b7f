"""Operators' wishes on disk: they come back as they were written, or not at all."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.controlplane.intents import Intents, write_whole
from server.operator_errors import StateNotSaved

NAMES = st.text("abcXYZ019._-", min_size=1, max_size=12)


WISHES = st.tuples(
    NAMES, st.booleans(), st.none() | st.dictionaries(NAMES, st.integers(1, 9), max_size=3)
)


@settings(max_examples=20, deadline=None)
@given(st.lists(WISHES, max_size=8))
def test_what_is_wished_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    wishes: list[tuple[str, bool, dict[str, int] | None]],
) -> None:
    """For all wishes, made at once, each is held to and a later start has the same ones."""
    state_dir = tmp_path_factory.mktemp("intents")
    intents = Intents.read(state_dir)

    async def make() -> None:
        async with asyncio.TaskGroup() as group:
            for model, is_unloaded, override in wishes:
                change = intents.change(model, is_unloaded=is_unloaded, override=override)
                group.create_task(change)

    asyncio.run(make())

    last = {model: (is_unloaded, override) for model, is_unloaded, override in wishes}
    assert intents.unloaded == {model for model, (unloaded, _) in last.items() if unloaded}
    assert intents.overrides == {
        model: override for model, (_, override) in last.items() if override is not None
    }
    if wishes:
        again = Intents.read(state_dir)
        assert (again.unloaded, again.overrides) == (intents.unloaded, intents.overrides)


def test_a_wish_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """On a full disk the caller is told so, and what was wished before still holds."""
    intents = Intents.read(tmp_path)
    asyncio.run(intents.change("a", is_unloaded=True, override=None))
    (tmp_path / "intents.tmp").mkdir()  # In the way of the next write.

    with pytest.raises(StateNotSaved, match=r"cannot be written .*; nothing was changed"):
        asyncio.run(intents.change("b", is_unloaded=True, override={"max_rows": 1}))

    assert (intents.unloaded, intents.overrides) == ({"a"}, {})


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

    assert (intents.unloaded, intents.overrides, intents.is_lost) == (set(), {}, True)
    assert (tmp_path / "intents.json.damaged").read_bytes() == content


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
