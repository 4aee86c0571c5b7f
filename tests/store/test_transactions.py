"""What each fault of the file leads to: nothing half done, and work again when it is over."""

import random
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from server.operator_errors import StoreUnavailable
from server.statistics.window import Cell
from server.store import sqlite_file, windows
from server.store.keys import Subject
from server.store.transactions import Transactions
from tests.support.permissions import without_root_rights

SUBJECT = Subject("m", "1", "hash")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file lies."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder / sqlite_file.FILE_NAME


@pytest.fixture
def store(path: Path) -> Iterator[Transactions]:
    """A store that does not wait for locks."""
    transactions = Transactions(path, 0.0)
    yield transactions
    transactions.close()


def cell(number: int, width: int = 200) -> Cell:
    """Return a cell of counts that do not compress well, the same each time."""
    counts = np.random.default_rng(number).integers(0, 2**62, width)
    return Cell(float(number), float(number + 1), counts)


def save(*numbers: int, width: int = 200) -> Callable[[Connection], None]:
    """Return the work of saving cells."""
    cells = [cell(number, width) for number in numbers]
    return lambda connection: windows.save_cells(connection, SUBJECT, cells, None)


def numbers(store: Transactions) -> list[int]:
    """Return which cells are there, each of them checked to the last bit."""
    found = store.run(
        lambda connection: windows.load_cells(connection, SUBJECT, 0), is_durable=False
    )
    for one in found:
        number = int(one.start)
        assert (one.start, one.end) == (number, number + 1)
        assert (one.counts == cell(number, one.counts.size).counts).all()
    return [int(one.start) for one in found]


def test_a_transaction_is_done_whole_or_not_at_all(store: Transactions) -> None:
    """An error of the work takes back what it wrote, and leaves the store as good as before."""
    store.run(save(1), is_durable=False)
    assert store.has_written

    def fail(connection: Connection) -> None:
        save(2)(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.run(fail, is_durable=False)
    assert numbers(store) == [1]
    assert not store.has_written


def test_a_mistake_in_the_work_is_no_fault_of_the_file(store: Transactions) -> None:
    """A broken constraint is raised as it is, so that it is not taken for a full disk."""
    with pytest.raises(IntegrityError):
        store.run(
            lambda connection: connection.execute(
                text("INSERT INTO cell VALUES (77, 0, 1, 0, 0, x'00', 0)")
            ),
            is_durable=False,
        )


def test_commits_wait_for_the_disk_when_asked_to(store: Transactions) -> None:
    """For a durable transaction only: SQLite is told before each where that changes."""

    def level(connection: Connection) -> object:
        return connection.execute(text("PRAGMA synchronous")).scalar()

    levels = [store.run(level, is_durable=durable) for durable in (False, True, True, False)]
    assert levels == [1, 2, 2, 1]


@contextmanager
def no_room(largest_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_fails_what_does_not_fit(store: Transactions, path: Path) -> None:
    """What was committed stays and can be read; when there is room again, work goes on."""
    store.run(save(1, 2), is_durable=False)
    with no_room(max(part.stat().st_size for part in path.parent.iterdir())):
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="disk"):
                store.run(save(3, width=50_000), is_durable=True)
            assert numbers(store) == [1, 2]

    store.run(save(3, width=50_000), is_durable=True)
    assert numbers(store) == [1, 2, 3]
    assert store.set_aside == 0


def test_sqlites_own_word_for_a_full_disk_is_passed_on(store: Transactions) -> None:
    """`database or disk is full` is what an operator reads."""

    def fill(connection: Connection) -> None:
        connection.execute(text("PRAGMA max_page_count = 1"))
        save(*range(50))(connection)

    with pytest.raises(StoreUnavailable, match=r"database or disk is full; free some space"):
        store.run(fill, is_durable=False)
    store.run(save(1), is_durable=False)
    assert numbers(store) == [1]


def test_no_file_can_be_made_on_a_full_disk(store: Transactions, path: Path) -> None:
    """A start on a full disk fails each transaction, and the first one with room makes the file."""
    with no_room(0), pytest.raises(StoreUnavailable, match="disk"):
        store.run(save(1), is_durable=False)
    assert path.stat().st_size == 0

    store.run(save(1), is_durable=False)
    assert numbers(store) == [1]


def test_a_lock_of_another_process_fails_the_transaction(store: Transactions, path: Path) -> None:
    """It says so before any work is done; the next transaction after the lock succeeds."""
    store.run(save(1), is_durable=False)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran: list[Connection] = []
        with pytest.raises(
            StoreUnavailable, match=r"database is locked; end whatever other program"
        ):
            store.run(ran.append, is_durable=False)
        assert ran == []
        other.execute("ROLLBACK")
        store.run(save(3), is_durable=False)

    assert numbers(store) == [1, 3]


def test_a_folder_that_cannot_be_written_fails_the_transaction(
    store: Transactions, path: Path
) -> None:
    """No file can be made there; when the rights are given, the store works."""
    with without_root_rights():
        path.parent.chmod(0o500)
        with pytest.raises(StoreUnavailable, match="unable to open database file"):
            store.run(save(1), is_durable=False)
        path.parent.chmod(0o700)
        store.run(save(1), is_durable=False)

    assert numbers(store) == [1]


def test_a_file_that_cannot_be_written_is_not_lost(store: Transactions, path: Path) -> None:
    """A read-only file is neither written nor put aside."""
    store.run(save(1), is_durable=False)
    store.close()
    with without_root_rights():
        path.chmod(0o400)
        with pytest.raises(StoreUnavailable, match="readonly"):
            store.run(save(2), is_durable=False)
        path.chmod(0o600)

    assert numbers(store) == [1]
    assert store.set_aside == 0


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_that_is_removed_while_open_is_made_anew(
    store: Transactions, path: Path, tmp_path: Path, what: str
) -> None:
    """Nothing is written into a file that nobody can find any more."""
    store.run(save(1), is_durable=False)
    if what == "file":
        path.unlink()
    else:
        path.parent.rename(tmp_path / "elsewhere")
        with pytest.raises(StoreUnavailable, match="unable to open database file"):
            store.run(save(2), is_durable=False)
        path.parent.mkdir()

    store.run(save(3), is_durable=False)
    assert numbers(store) == [3]
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT start_seconds FROM cell").fetchall() == [(3.0,)]


def test_a_file_that_is_replaced_while_open_is_the_store(store: Transactions, path: Path) -> None:
    """An operator who puts a backup in its place gets what is in the backup."""
    store.run(save(1), is_durable=False)
    store.close()
    backup = path.read_bytes()
    store.run(save(2), is_durable=False)
    beside = path.with_name("backup")
    beside.write_bytes(backup)
    beside.replace(path)

    store.run(save(3), is_durable=False)
    assert numbers(store) == [1, 3]


def test_a_damaged_file_is_put_aside_and_a_new_one_made(store: Transactions, path: Path) -> None:
    """At the start or while it is open; the old file is kept, and the work is done on the new."""
    path.write_bytes(b"this is no database " * 1000)
    store.run(save(1), is_durable=False)
    assert numbers(store) == [1]
    assert store.set_aside == 1

    store.run(save(*range(2, 40)), is_durable=False)
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    store.run(save(50), is_durable=False)
    assert numbers(store) == [50]
    assert store.set_aside == 2

    kept = {entry.read_bytes() for entry in path.parent.glob("*.damaged-*Z")}
    assert kept == {b"this is no database " * 1000, bytes(content)}


def test_a_damaged_file_that_cannot_be_renamed_stays(store: Transactions, path: Path) -> None:
    """The transaction fails and says why; nothing is overwritten."""
    path.write_bytes(b"this is no database " * 1000)
    with without_root_rights():
        path.parent.chmod(0o500)
        with pytest.raises(StoreUnavailable, match=r"Permission denied|unable to open"):
            store.run(save(1), is_durable=False)
        path.parent.chmod(0o700)

    assert path.read_bytes() == b"this is no database " * 1000


def test_whatever_happens_to_its_bytes_the_store_starts_and_counts_are_right(path: Path) -> None:
    """For 200 flipped bits and 50 truncations: it opens, takes cells, and shows no wrong one."""
    first = Transactions(path, 0.0)
    first.run(save(*range(20), width=100), is_durable=False)
    first.close()
    good = path.read_bytes()
    chance = random.Random(7)
    lost = 0
    for number in range(250):
        content = bytearray(good)
        if number < 200:
            content[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
        else:
            del content[chance.randrange(len(good)) :]
        path.write_bytes(content)
        store = Transactions(path, 0.0)
        store.run(save(100, width=100), is_durable=False)
        found = numbers(store)
        assert found[-1] == 100
        lost += set(found) != {*range(20), 100}
        store.close()

    assert lost > 20  # Else nothing was damaged.
