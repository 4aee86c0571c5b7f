"""The audit: what it tells, and that nobody changes it unseen."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.store import audit, releases, schema, sqlite_file
from server.store.transactions import Transactions
from tests.support.release_changes import STEPS, changes

MODELS = ("digits", "iris")
COLUMNS = [column.name for column in schema.AUDIT.columns]
ENTRIES = len(MODELS) * len(STEPS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Transactions:
    """A real file with the changes of two models in turn. Nobody commits to it."""
    path = tmp_path_factory.mktemp("audit") / sqlite_file.FILE_NAME
    store = Transactions(path, 1.0)
    for pair in zip(*(changes(model) for model in MODELS), strict=True):
        for change in pair:
            store.run(
                lambda connection, change=change: releases.save_change(connection, change),  # type: ignore[misc]
                is_durable=False,
            )
    store.close()
    return store


def problem_after(store: Transactions, *statements: tuple[str, tuple[object, ...]]) -> str:
    """Change the file behind the store's back; return what is found, empty for nothing."""
    path = store._path
    with sqlite3.connect(path) as connection:
        saved = connection.serialize()
        for statement, values in statements:
            assert connection.execute(statement, values).rowcount
    try:
        found = store.run(audit.verify, is_durable=False)
    finally:
        store.close()
        for beside in path.parent.iterdir():
            beside.unlink()
        path.write_bytes(saved)
    return found.what if found else ""


def test_a_history_tells_who_did_what_and_why(store: Transactions) -> None:
    """Newest first, of one model, with the states before and after and the evidence."""
    entries = store.run(lambda c: audit.history(c, "iris", 100), is_durable=False)
    store.close()

    assert [entry.action for entry in entries] == [action for action, _ in STEPS][::-1]
    newest, before = entries[:2]
    assert (newest.actor, newest.reason, newest.request_id) == ("ann", "because", "r-11")
    assert newest.evidence == {"gates": {"errors": "pass"}}
    assert newest.before == before.after
    assert (newest.after["previous"], newest.after["live"]) == ("1", "2")
    assert (newest.from_generation, newest.to_generation) == (11, 12)
    assert newest.at_seconds == 1011.0


def test_a_history_comes_in_pages(store: Transactions) -> None:
    """So many, and those before the last of them."""
    pages, before = [], None
    while page := store.run(
        lambda c, before=before: audit.history(c, "digits", 5, before),  # type: ignore[misc]
        is_durable=False,
    ):
        pages.append([entry.seq for entry in page])
        before = page[-1].seq
    store.close()

    assert [len(page) for page in pages] == [5, 5, 2]
    assert [seq for page in pages for seq in page] == sorted(range(1, ENTRIES, 2), reverse=True)


def test_the_oldest_entry_tells_since_when(store: Transactions) -> None:
    """Of a model that was never changed, there is none."""
    first = store.run(lambda c: audit.first(c, "digits"), is_durable=False)
    nobody = store.run(lambda c: audit.first(c, "nobody"), is_durable=False)
    store.close()

    assert first is not None
    assert (first.seq, first.from_generation, nobody) == (1, 0, None)


def test_what_was_written_is_sound(store: Transactions) -> None:
    """Nothing is found where nothing was done."""
    assert problem_after(store) == ""


SEQ = st.integers(1, ENTRIES)


@settings(max_examples=60, deadline=None)
@given(seq=SEQ, column=st.sampled_from([name for name in COLUMNS if name != "seq"]))
def test_an_entry_that_was_changed_is_found(store: Transactions, seq: int, column: str) -> None:
    """In any column, by as little as a character or one."""
    if column in ("at_seconds", "from_generation", "to_generation"):
        words = f"UPDATE audit SET {column} = {column} + 1 WHERE seq = ?"
    else:
        words = f"UPDATE audit SET {column} = {column} || ' ' WHERE seq = ?"

    assert problem_after(store, (words, (seq,)))


@settings(max_examples=25, deadline=None)
@given(first=SEQ, last=SEQ)
def test_entries_that_are_deleted_are_found(store: Transactions, first: int, last: int) -> None:
    """One or many, at the beginning, in the middle, and at the end."""
    first, last = sorted((first, last))

    assert problem_after(store, ("DELETE FROM audit WHERE seq BETWEEN ? AND ?", (first, last)))


@settings(max_examples=25, deadline=None)
@given(seqs=st.lists(SEQ, min_size=2, max_size=2, unique=True))
def test_entries_that_change_places_are_found(store: Transactions, seqs: list[int]) -> None:
    """Also when each brings its own hash along."""
    move = "UPDATE audit SET seq = ? WHERE seq = ?"
    one, two = seqs

    assert problem_after(store, (move, (-1, one)), (move, (one, two)), (move, (two, -1)))


def test_entries_that_are_added_are_found(store: Transactions) -> None:
    """A copy of an entry at the end, and at a place of its own before the first."""
    columns = ", ".join(COLUMNS[1:])
    copy = f"INSERT INTO audit SELECT ?, {columns} FROM audit WHERE seq = ?"

    assert problem_after(store, (copy, (ENTRIES + 1, ENTRIES)))
    assert problem_after(store, (copy, (0, 1)))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET seq = seq - 1",
        "UPDATE audit_head SET hash = 'x'",
        "INSERT INTO audit_head VALUES (2, 1, 'x')",
        'UPDATE route SET route = replace(route, \'"live":"2"\', \'"live":"1"\')',
        "UPDATE route SET generation = generation + 1",
        "DELETE FROM route WHERE model = 'iris'",
        "INSERT INTO route SELECT 'more', generation, route, checksum, saved_seconds FROM route"
        " LIMIT 1",
    ],
)
def test_the_end_of_the_chain_and_what_it_has_left_are_looked_at(
    store: Transactions, statement: str
) -> None:
    """The newest hash is kept apart, and release states are what the last entries say."""
    assert problem_after(store, (statement, ()))


def test_a_cut_end_with_a_forged_head_is_found_by_the_states(store: Transactions) -> None:
    """Whoever takes the last entry away and mends the head has still left its state behind."""
    assert "release state of model 'iris'" in problem_after(
        store,
        ("DELETE FROM audit WHERE seq = ?", (ENTRIES,)),
        ("UPDATE audit_head SET seq = ?", (ENTRIES - 1,)),
        ("UPDATE audit_head SET hash = (SELECT hash FROM audit WHERE seq = ?)", (ENTRIES - 1,)),
    )
