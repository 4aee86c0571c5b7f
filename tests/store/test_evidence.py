"""Evidence of candidates, by epoch."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from server.release.evidence import ShadowEvidence
from server.store import evidence
from server.store.keys import EvidenceKey
from tests.support.stores import in_memory

ONE, TWO = EvidenceKey("digits", "3", "7"), EvidenceKey("digits", "3", "8")


@pytest.fixture
def store() -> Iterator[Connection]:
    """A store without rows."""
    with in_memory() as connection:
        yield connection


def test_counts_are_read_as_they_were_saved_last(store: Connection) -> None:
    """Each epoch has its own; those of others stay."""
    seen = ShadowEvidence(timed_batches=3)
    seen.pairs["same"] = 5
    evidence.save(store, {ONE: {"n": 1}, TWO: {"n": 2}}, 1000.0)
    evidence.save(store, {ONE: seen.to_json()}, 1005.0)
    evidence.save(store, {}, 1006.0)

    found = evidence.load_all(store)
    assert ShadowEvidence.from_json(found[ONE]) == seen
    assert found[TWO] == {"n": 2}


@pytest.mark.parametrize("damage", ["evidence = '{}'", "epoch = '9'", "checksum = 0"])
def test_what_a_bad_disk_has_changed_is_left_out(store: Connection, damage: str) -> None:
    """A gate that waits for rows is better than one that counts wrong ones."""
    evidence.save(store, {ONE: {"n": 1}, TWO: {"n": 2}}, 1000.0)
    store.execute(text(f"UPDATE evidence SET {damage} WHERE epoch = '7'"))

    assert evidence.load_all(store) == {TWO: {"n": 2}}


def test_old_epochs_are_forgotten(store: Connection) -> None:
    """But for those that are asked for, however old."""
    third = EvidenceKey("iris", "1", "2")
    evidence.save(store, {ONE: {}, TWO: {}}, 1000.0)
    evidence.save(store, {third: {}}, 2000.0)

    assert evidence.forget(store, {ONE}, 1500.0) == 1
    assert set(evidence.load_all(store)) == {ONE, third}
    assert evidence.forget(store, set(), 3000.0) == 2
