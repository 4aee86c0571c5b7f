"""Kept predictions in the store: they grow together, get old, and are never wrong."""

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Connection, text

from server.monitoring.locating import Version
from server.monitoring.prediction_blocks import PredictionBlock
from server.store import predictions
from server.store.predictions import JOINED_BLOCKS
from tests.support.kept import NUMBER, START_US, block
from tests.support.stores import in_memory

ONE, TWO = Version("m", "1", "a"), Version("m", "2", "b")
FOREVER = 1 << 62


@pytest.fixture
def store() -> Iterator[Connection]:
    """A store without rows."""
    with in_memory() as connection:
        yield connection


def blocks(store: Connection, of: Version = ONE) -> list[PredictionBlock]:
    """Return all blocks of a version."""
    notes = predictions.notes(store, 0, FOREVER, own=False)
    found = [predictions.read(store, note) for note in notes if note.of == of]
    return [one for one in found if one is not None]


def test_blocks_are_found_by_time_and_those_with_own_ids_always(store: Connection) -> None:
    """Those whose stretch touches the one that is asked for."""
    predictions.save(store, ONE, block([0, 10], [0.1, 0.2]))
    predictions.save(store, TWO, block([11, 20], [0.3, 0.4]))
    predictions.save(store, TWO, block([90], [0.5], own_ids=[2**64 - 1]))

    def found(first: int, last: int, *, own: bool) -> list[int]:
        notes = predictions.notes(store, START_US + first, START_US + last, own=own)
        return [note.number for note in notes]

    assert found(10, 10, own=False) == [1]
    assert found(5, 15, own=False) == [1, 2]
    assert found(21, 80, own=False) == []
    assert found(10, 10, own=True) == [1, 3]
    (_, _, last) = predictions.notes(store, 0, FOREVER, own=False)
    made = predictions.read(store, last)
    assert made is not None
    assert made.requests["own_id"].tolist() == [2**64 - 1]


def test_small_blocks_grow_together_level_by_level(store: Connection) -> None:
    """After many writes of a row each there are few blocks, with every row in order."""
    rows = JOINED_BLOCKS**2 + 3
    for number in range(rows):
        predictions.save(store, ONE, block([number], [number / rows]))
        predictions.save(store, TWO, block([number], [0.5])) if number < 3 else None
        predictions.join_small(store)

    sizes = [one.row_count for one in blocks(store)]
    assert sorted(sizes) == [1, 1, 1, JOINED_BLOCKS**2]
    times = np.concatenate([one.requests["at_us"] for one in blocks(store)])
    assert sorted(times.tolist()) == [START_US + number for number in range(rows)]
    assert len(blocks(store, TWO)) == 3
    assert predictions.kept(store).rows == rows + 3


def test_only_blocks_of_one_kind_grow_together(store: Connection) -> None:
    """What is judged in another way stays apart."""
    for number in range(JOINED_BLOCKS):
        plan = NUMBER if number % 2 else block([0], [0]).plan
        predictions.save(store, ONE, block([number], [1.0], plan=plan))

    assert predictions.join_small(store) == 0
    assert len(blocks(store)) == JOINED_BLOCKS


def test_large_blocks_are_not_joined(store: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours become one until it is large enough."""
    monkeypatch.setattr(predictions, "MAX_BLOCK_ROWS", 10)
    for number in range(JOINED_BLOCKS):
        predictions.save(store, ONE, block([number * 10 + at for at in range(4)], [0.5] * 4))

    predictions.join_small(store)

    assert [one.row_count for one in blocks(store)] == [4, 12, 12, 12, 12, 12]


def test_old_blocks_are_dropped_and_the_oldest_of_too_many(store: Connection) -> None:
    """By age, then by rows, whole blocks at a time; how many rows went is told."""
    for number in range(5):
        predictions.save(store, ONE, block([number * 10, number * 10 + 5], [0.5, 0.5]))

    assert predictions.drop(store, START_US + 6, 100) == 2
    assert predictions.kept(store).oldest_us == START_US + 10
    assert predictions.drop(store, 0, 5) == 4
    assert predictions.drop(store, 0, 5) == 0
    assert predictions.kept(store).rows == 4
    assert predictions.kept(store).size_bytes > 0
    assert predictions.drop(store, FOREVER, 5) == 4
    assert predictions.kept(store) == predictions.Kept(0, 0, 0)


@pytest.mark.parametrize(
    "damage", ["content = x'00'", "version = '9'", "checksum = 1", "content = 'text'"]
)
def test_a_damaged_block_is_left_out(store: Connection, damage: str) -> None:
    """A row that a bad disk has changed is not there; growing together leaves it out too."""
    for number in range(JOINED_BLOCKS):
        predictions.save(store, ONE, block([number], [0.5]))
    store.execute(text(f"UPDATE prediction_block SET {damage} WHERE id = 3"))

    notes = predictions.notes(store, 0, FOREVER, own=False)
    assert [predictions.read(store, note) is None for note in notes].count(True) == 1
    if "version" not in damage:
        predictions.join_small(store)
        assert [one.row_count for one in blocks(store)] == [JOINED_BLOCKS - 1]
