"""The file of keys: seen when it changes, written whole, readable by its owner only."""

import os
import threading
from pathlib import Path

import pytest

from server.access import key_file, keys
from server.access.key_file import ChangingFile, new_token
from server.access.keys import Key
from server.access.roles import Role


def entry() -> Key:
    """Make a key that is kept without its secret."""
    key_id, token = new_token()
    return Key(key_id, "shop", (Role.PREDICT,), sha256=keys.digest(token.encode()))


def test_a_new_key_has_the_form_of_one_and_is_another_each_time() -> None:
    """256 bits from the system's source of randomness."""
    made = [new_token() for _ in range(50)]

    assert len(set(made)) == 50
    assert all(keys.token_id(token.encode()) == key_id for key_id, token in made)


def test_a_change_is_seen_once(tmp_path: Path) -> None:
    """What has not changed is not read again."""
    path = tmp_path / "deep" / "keys.json"
    one, other = entry(), entry()
    file = ChangingFile(path)
    with pytest.raises(FileNotFoundError):
        file.read_if_changed()

    key_file.change(path, lambda _: [one])
    assert file.read_if_changed() == keys.encode([one])
    assert file.read_if_changed() is None
    key_file.change(path, lambda found: [*found, other])
    assert file.read_if_changed() == keys.encode([one, other])
    assert key_file.read(path) == [one, other]


def test_a_file_that_cannot_be_used_is_told_once(tmp_path: Path) -> None:
    """And read again when it has changed."""
    path = tmp_path / "keys.json"
    path.write_text("{")
    file = ChangingFile(path)

    assert file.read_if_changed() == b"{"
    with pytest.raises(ValueError, match="not JSON"):
        key_file.read(path)
    assert file.read_if_changed() is None
    key_file.change(tmp_path / "other.json", lambda _: [])
    os.replace(tmp_path / "other.json", path)
    assert file.read_if_changed() == keys.encode([])
    with path.open("wb") as large:
        large.truncate(key_file.MAX_BYTES + 1)
    with pytest.raises(ValueError, match="bytes"):
        file.read_if_changed()


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """Whatever the umask is, and whatever mode it had before."""
    path = tmp_path / "keys.json"
    before = os.umask(0)
    try:
        key_file.change(path, lambda _: [entry()])
        path.chmod(0o644)
        key_file.change(path, lambda found: found)
    finally:
        os.umask(before)

    modes = {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
    assert modes == {"keys.json": 0o600, "keys.json.lock": 0o600}


def test_changes_at_once_do_not_lose_each_other(tmp_path: Path) -> None:
    """Two operators make keys at the same moment: both are there."""
    path = tmp_path / "keys.json"
    threads = [
        threading.Thread(target=lambda: key_file.change(path, lambda found: [*found, entry()]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(key_file.read(path)) == 8
    assert key_file.read(tmp_path / "none.json") == []
