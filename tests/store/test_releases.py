"""The release state in the store: one row a model, each change onto the state it was made from."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from server.operator_errors import StaleGeneration
from server.release import transitions as t
from server.release.change import Change
from server.release.route import ReleaseRoute
from server.store import audit, releases, sqlite_file
from server.store.transactions import Transactions
from tests.support.release_changes import candidate, changes
from tests.support.stores import in_memory


@pytest.fixture
def store() -> Iterator[Connection]:
    """A store without rows."""
    with in_memory() as connection:
        yield connection


def rows(connection: Connection) -> int:
    """Count the entries of the audit."""
    return int(connection.execute(text("SELECT count(*) FROM audit")).scalar_one())


def first(model: str = "digits") -> Change:
    """Return the first change of a model."""
    return next(changes(model))


def test_every_change_is_read_as_it_was_saved(store: Connection) -> None:
    """Whatever the change, the state of its model is the new one, and no other model's changes."""
    other = releases.save_change(store, first("other"))
    for change in changes("digits"):
        assert releases.save_change(store, change) == change.after
        assert releases.load_routes(store) == {"digits": change.after, "other": other}
    assert audit.verify(store) is None


def test_a_change_of_another_generation_is_refused_and_leaves_nothing(store: Connection) -> None:
    """Of two changes that were made from one state the second fails, and has no entry."""
    one = releases.save_change(store, first())
    promote = t.promote(one, candidate(2), now_seconds=1.0, reason="r")
    hold = t.hold(one, reason="wait")
    releases.save_change(store, Change("promote", one, promote, 1.0, "ann"))

    with pytest.raises(StaleGeneration, match="'digits' is not at generation 1 any more"):
        releases.save_change(store, Change("hold", one, hold, 1.0, "bob"))

    assert releases.load_routes(store) == {"digits": promote}
    assert rows(store) == 2
    assert audit.verify(store) is None


def test_two_first_changes_cannot_both_be(store: Connection) -> None:
    """A row that came since is not overwritten by who saw none."""
    releases.save_change(store, first())
    with pytest.raises(StaleGeneration):
        releases.save_change(store, first())
    assert rows(store) == 1


def test_a_roll_back_overtakes_what_came_in_between(store: Connection) -> None:
    """It is written over a promotion that it has not seen, with a higher generation than its."""
    saved = list(changes("digits"))
    for change in saved[:2]:
        releases.save_change(store, change)
    seen = saved[1].after
    between = t.promote(seen, candidate(3), now_seconds=2.0, reason="r")
    releases.save_change(store, Change("promote", seen, between, 2.0, "ann"))
    back = t.rollback(seen, now_seconds=3.0)

    result = releases.save_change(
        store, Change("rollback", seen, back, 3.0, "bob", must_follow=False)
    )

    assert result == replace(back, generation=between.generation + 1)
    assert releases.load_routes(store) == {"digits": result}
    newest, *_ = audit.history(store, "digits", 1)
    assert (newest.from_generation, newest.to_generation) == (3, 4)
    assert newest.before["live"] == "3"
    assert audit.verify(store) is None


def test_a_store_that_has_lost_a_model_takes_its_state(store: Connection) -> None:
    """After a damaged file was put aside, control goes on from what it knows."""
    known = replace(first().after, generation=7)
    after = t.hold(known, reason="wait")

    releases.save_change(store, Change("hold", known, after, 1.0, "ann"))

    assert releases.load_routes(store) == {"digits": after}


@pytest.mark.parametrize(
    "damage", ["generation = 3", "route = 'x' || route", "checksum = 1", "route = '{}'"]
)
def test_a_damaged_row_is_read_from_the_audit(store: Connection, damage: str) -> None:
    """The last sound entry has the state; the next change repairs the row."""
    for change in list(changes("digits"))[:4]:
        releases.save_change(store, change)
    expected = releases.load_routes(store)
    store.execute(text(f"UPDATE route SET {damage}"))

    assert releases.load_routes(store) == expected
    assert audit.verify(store) is not None or damage == "checksum = 1"
    known = expected["digits"]
    after = t.hold(known, reason="wait")
    releases.save_change(store, Change("hold", known, after, 1.0, "ann"))
    assert releases.load_routes(store) == {"digits": after}
    assert audit.verify(store) is None


def test_a_state_that_nothing_tells_is_left_out(store: Connection) -> None:
    """Row and entries damaged: the model is as if it had no state."""
    releases.save_change(store, first())
    store.execute(text("UPDATE route SET route = '?'"))
    store.execute(text("UPDATE audit SET after = '?'"))

    assert releases.load_routes(store) == {}
    assert [entry.after for entry in audit.history(store, "digits", 9)] == ["?"]


def test_a_file_keeps_what_was_committed(tmp_path: Path) -> None:
    """Saved, closed and opened again."""
    store = Transactions(tmp_path / sqlite_file.FILE_NAME, 1.0)
    route = ReleaseRoute("digits")
    for change in changes("digits"):
        route = store.run(
            lambda connection, change=change: releases.save_change(connection, change),  # type: ignore[misc]
            is_durable=True,
        )
    store.close()

    again = Transactions(tmp_path / sqlite_file.FILE_NAME, 1.0)
    assert again.run(releases.load_routes, is_durable=False) == {"digits": route}
    assert again.run(audit.verify, is_durable=False) is None
    again.close()
