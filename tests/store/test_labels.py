"""Labels in the store, and what they say."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from server.monitoring.joining import KeptLabel, Series, SeriesKey
from server.monitoring.locating import RowKey, Version
from server.monitoring.prediction_blocks import Role
from server.monitoring.realised import NEGATIVE, POSITIVE, LabelCounts, Pair, Task
from server.monitoring.realised_figures import PairedCounts
from server.store import labels
from tests.support.stores import in_memory

ONE, TWO = Version("m", "1", "a"), Version("m", "2", "b")


@pytest.fixture
def store() -> Iterator[Connection]:
    """A store without rows."""
    with in_memory() as connection:
        yield connection


def key(hour: int = 5, segment: str = "", of: Version = ONE) -> SeriesKey:
    """Return the key of a series."""
    return SeriesKey(of, Task.BINARY, Role.CANARY, segment, False, hour)


def series(rows: int) -> Series:
    """Return a series with so many labels."""
    counts = LabelCounts()
    counts.add([Pair(POSITIVE, NEGATIVE, 0.25)] * rows, [5.0] * rows)
    return Series(rows + 1, counts)


def test_labels_are_read_as_they_were_saved_last(store: Connection) -> None:
    """By the keys that are asked for, however many."""
    many = {RowKey(at, 2**32 - 1, 0): KeptLabel("1", "1", False, 9.0) for at in range(1000)}
    corrected = KeptLabel('"a"', "1", True, 9.0, 1)
    labels.save_labels(store, many)
    labels.save_labels(store, {RowKey(3, 2**32 - 1, 0): corrected})

    found = labels.load_labels(store, [*many, RowKey(3, 1, 0)])

    assert found == many | {RowKey(3, 2**32 - 1, 0): corrected}
    assert set(labels.load_between(store, 2, 4)) == {RowKey(at, 2**32 - 1, 0) for at in (2, 3, 4)}
    assert labels.load_between(store, 3, 3) == {RowKey(3, 2**32 - 1, 0): corrected}
    assert labels.drop_labels(store, 10) == 10
    assert len(labels.load_between(store, 0, 1 << 62)) == 990


def test_series_are_read_as_they_were_saved_last(store: Connection) -> None:
    """By key, or all since an hour: of one model, with segments or without."""
    other = key(6, of=Version("n", "1", "c"))
    labels.save_series(store, {key(): series(1), key(4): Series(7), other: series(2)})
    labels.save_series(store, {key(): series(3), key(5, "sex=f"): series(1)})

    found = labels.load_series(store, [key(), key(4), key(9)])
    assert {one: (kept.predicted, kept.counts.rows) for one, kept in found.items()} == {
        key(): (4, 3),
        key(4): (7, 0),
    }
    assert found[key()].counts.to_json() == series(3).counts.to_json()
    assert set(labels.load_since(store, 5)) == {key(), other}
    assert set(labels.load_since(store, 0, "m", segments=True)) == {
        key(), key(4), key(5, "sex=f"),
    }  # fmt: skip
    assert labels.drop_series(store, 5) == 1


@pytest.mark.parametrize(
    "damage",
    ["predicted = 99", "counts = x'00'", "checksum = 0", "hour = 6", "task = 'x'", "role = 'x'"],
)
def test_counts_that_a_bad_disk_has_changed_are_left_out(store: Connection, damage: str) -> None:
    """A figure is missing rather than wrong."""
    labels.save_series(store, {key(): series(1), key(8): series(2)})
    store.execute(text(f"UPDATE cohort SET {damage} WHERE hour = 5"))

    assert set(labels.load_since(store, 0)) == {key(8)}


def test_pairs_add_up(store: Connection) -> None:
    """What comes is added to what was there."""
    labels.add_pairs(store, {(ONE, TWO): PairedCounts(1, 2, 3, 4)})
    labels.add_pairs(store, {(ONE, TWO): PairedCounts(1, 0, 0, 1), (TWO, ONE): PairedCounts(1)})
    labels.add_pairs(store, {})

    assert labels.load_pairs(store) == {
        (ONE, TWO): PairedCounts(2, 2, 3, 5),
        (TWO, ONE): PairedCounts(1),
    }
