"""The file as a file: sound or not, looked at without a trace, put aside whole."""

import sqlite3
from pathlib import Path

import pytest

from server.store import sqlite_file
from server.store.sqlite_file import Damaged, Look
from tests.support.permissions import without_root_rights


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a revision and a hundred rows."""
    path = tmp_path / sqlite_file.FILE_NAME
    connection = sqlite_file.connect(path, 1.0)
    connection.executescript(
        "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('7');"
        "CREATE TABLE t (x TEXT)"
    )
    connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 100)
    connection.close()
    return path


def files(folder: Path) -> set[str]:
    """Return the names of a folder's files."""
    return {entry.name for entry in folder.iterdir()}


def test_a_connection_is_set_up_for_one_writer(path: Path) -> None:
    """Write-ahead log, foreign keys, and commits that wait for the disk only when asked to."""
    connection = sqlite_file.connect(path, 1.0)

    def value(pragma: str) -> object:
        return connection.execute(f"PRAGMA {pragma}").fetchone()[0]

    assert (value("journal_mode"), value("foreign_keys"), value("synchronous")) == ("wal", 1, 1)
    assert value("busy_timeout") == 1000
    sqlite_file.set_durable(connection, is_durable=True)
    assert value("synchronous") == 2
    sqlite_file.set_durable(connection, is_durable=False)
    assert value("synchronous") == 1
    connection.close()


def test_a_new_file_has_no_revision(tmp_path: Path) -> None:
    """A file that is not there is made, and one of no bytes is as good as none."""
    for name in ("absent", "empty"):
        if name == "empty":
            (tmp_path / name).touch()
        connection = sqlite_file.connect(tmp_path / name, 1.0)
        assert sqlite_file.revision(connection) is None
        connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE alembic_version",
        "DELETE FROM alembic_version",
        "INSERT INTO alembic_version VALUES ('8')",
    ],
)
def test_tables_without_one_revision_are_not_ours(path: Path, change: str) -> None:
    """Another program's file, or a torn one, is not written into."""
    connection = sqlite_file.connect(path, 1.0)
    assert sqlite_file.revision(connection) == "7"
    connection.execute(change)

    with pytest.raises(Damaged, match="its tables have no revision"):
        sqlite_file.revision(connection)
    connection.close()


def spoil(path: Path, how: str) -> None:
    """Damage a file."""
    content = bytearray(path.read_bytes())
    if how == "text":
        content = bytearray(b"this is no database, but a long enough text" * 100)
    elif how == "head":
        content[:100] = bytes(100)
    elif how == "truncated":
        del content[len(content) // 2 :]
    else:
        content[4096 * 3 : 4096 * 4] = bytes([0xA5]) * 4096
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["text", "head", "truncated", "page"])
def test_damage_is_found_when_the_file_is_opened(path: Path, how: str) -> None:
    """Whatever has happened to it, opening says damage, by our error or by SQLite's own."""
    spoil(path, how)

    with pytest.raises((Damaged, sqlite3.DatabaseError)) as caught:
        sqlite_file.connect(path, 1.0)
    assert sqlite_file.is_damage(caught.value)
    with pytest.raises((Damaged, sqlite3.DatabaseError)) as caught:
        sqlite_file.look(path)
    assert sqlite_file.is_damage(caught.value)


def test_other_errors_are_no_damage(path: Path, tmp_path: Path) -> None:
    """A folder that is not there and a lock do not lead to a good file being put aside."""
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite_file.connect(tmp_path / "none" / "file", 1.0)
    assert not sqlite_file.is_damage(caught.value)

    first, second = sqlite_file.connect(path, 0.0), sqlite_file.connect(path, 0.0)
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
        second.execute("BEGIN IMMEDIATE")
    assert not sqlite_file.is_damage(caught.value)
    assert not sqlite_file.is_damage(ValueError())
    first.close()
    second.close()


def test_a_file_is_put_aside_with_its_log(path: Path) -> None:
    """The log goes along, so that the old file can be read, and a new one begins empty."""
    connection = sqlite_file.connect(path, 1.0)
    connection.execute("INSERT INTO t VALUES ('in the log')")
    log = path.with_name(path.name + "-wal").read_bytes()
    assert log

    target = sqlite_file.set_aside(path)
    assert target.with_name(target.name + "-wal").read_bytes() == log
    assert path.name not in files(path.parent)
    assert path.name + "-wal" not in files(path.parent)
    connection.close()


def test_only_the_last_damaged_files_are_kept(path: Path) -> None:
    """A disk that damages file after file is not filled by them."""
    moved = []
    for _ in range(sqlite_file.MAX_SET_ASIDE + 2):
        path.write_bytes(b"x")
        path.with_name(path.name + "-wal").write_bytes(b"y")
        moved.append(sqlite_file.set_aside(path).name)

    kept = moved[-sqlite_file.MAX_SET_ASIDE :]
    assert files(path.parent) == {*kept, *(f"{name}-wal" for name in kept)}


def test_a_look_leaves_no_trace(path: Path) -> None:
    """With a gateway at work or without, nothing is written, and committed rows are seen."""
    before, size = files(path.parent), path.stat().st_size
    with without_root_rights():
        path.chmod(0o400)
        path.parent.chmod(0o500)
        assert sqlite_file.look(path) == Look("7", size)
        path.parent.chmod(0o700)
    assert files(path.parent) == before
    path.chmod(0o600)

    connection = sqlite_file.connect(path, 1.0)
    connection.execute("UPDATE alembic_version SET version_num = '8'")
    before = files(path.parent)
    assert before == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    connection.execute("BEGIN IMMEDIATE")
    found = sqlite_file.look(path)
    assert found is not None
    assert (found.revision, files(path.parent)) == ("8", before)
    assert found.size_bytes == sqlite_file.size_bytes(path) > size
    connection.close()


def test_nothing_is_seen_where_nothing_is(tmp_path: Path) -> None:
    """A file that is not there has no look, no identity and no size, and is not made."""
    path = tmp_path / "none"

    assert sqlite_file.look(path) is None
    assert sqlite_file.identity(path) is None
    assert sqlite_file.size_bytes(path) == 0
    assert files(tmp_path) == set()


def test_a_replaced_file_is_told_from_the_one_before(path: Path) -> None:
    """Its content may be the same: what is written to the old one would be lost."""
    before = sqlite_file.identity(path)
    assert sqlite_file.identity(path) == before
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)

    assert sqlite_file.identity(path) != before


def test_a_log_that_stayed_behind_is_removed(path: Path) -> None:
    """Only the log: a file that has been put in its place is left alone."""
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).write_bytes(b"of another file")

    sqlite_file.remove_log(path)
    sqlite_file.remove_log(path)
    assert files(path.parent) == {path.name}
