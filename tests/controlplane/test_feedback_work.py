"""Transactions of feedback, on a store in memory."""

from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Connection, text

from server.controlplane import feedback_work
from server.controlplane.feedback_work import (
    BlockCache,
    Joined,
    Order,
    work_of_joining,
    work_of_opening,
    work_of_series,
    work_of_tidying,
)
from server.monitoring.label_items import Item
from server.monitoring.locating import Version
from server.monitoring.prediction_blocks import PredictionBlock, PredictionId
from server.store import labels, predictions
from tests.support.kept import HOUR, START_US, block
from tests.support.stores import in_memory

OF = Version("m", "1", "d1")
NOW = START_US / 1e6 + 60.0
DAY = 86_400.0


@pytest.fixture
def store() -> Iterator[Connection]:
    """A store without rows."""
    with in_memory() as connection:
        yield connection


def join(
    store: Connection,
    blocks: Sequence[PredictionBlock],
    *numbers: int,
    cache: BlockCache | None = None,
) -> Joined:
    """Write blocks, and labels of class 1 for some requests."""
    items = [Item(PredictionId(START_US + number, 1), 0, 1) for number in numbers]
    order = Order([(OF, one) for one in blocks], items, {}, {}, NOW, DAY, 1000)
    return work_of_joining(order, cache or BlockCache())(store)


def test_predictions_and_labels_go_together(store: Connection) -> None:
    """Rows that wait can be labelled in the transaction that writes them."""
    joined = join(store, [block([1, 2], [0.9, 0.1], segments=["f", "m"])], 1, 7)

    assert [answer.result for answer in joined.answers] == ["joined", "early"]
    (series,) = joined.series.values()
    assert (series.predicted, series.counts.rows) == (2, 1)
    found = work_of_series(HOUR - HOUR % 24, "m")(store)
    assert {key.segment: one.predicted for key, one in found.items()} == {
        "": 2,
        "sex=f": 1,
        "sex=m": 1,
    }
    opened = work_of_opening(HOUR)(store)
    assert opened.series.keys() == joined.series.keys()
    assert opened.kept.rows == 2


def test_blocks_are_read_once(store: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is room for them; the one that was not asked for longest goes first."""
    cache = BlockCache()
    join(store, [block([1], [0.9]), block([3], [0.9])])
    join(store, [], 1, 3, cache=cache)
    store.execute(text("UPDATE prediction_block SET content = x'00'"))

    assert [one.result for one in join(store, [], 1, 3, cache=cache).answers] == ["duplicate"] * 2
    monkeypatch.setattr(feedback_work, "CACHE_BYTES", 1)
    join(store, [block([5], [0.9])], 5, cache=cache)
    assert [one.result for one in join(store, [], 1, 5, cache=cache).answers] == [
        "early",
        "duplicate",
    ]


def test_old_rows_labels_and_counts_are_dropped(store: Connection) -> None:
    """Predictions and their labels by age, counts long after; small blocks grow together."""
    for number in range(predictions.JOINED_BLOCKS):
        join(store, [block([number], [0.9])], number)

    tidied = work_of_tidying(NOW, DAY, 1000)(store)
    assert (tidied.kept.rows, tidied.dropped_rows) == (predictions.JOINED_BLOCKS, 0)
    assert len(predictions.notes(store, 0, 1 << 62, own=False)) == 1
    assert len(labels.load_between(store, 0, 1 << 62)) == predictions.JOINED_BLOCKS

    tidied = work_of_tidying(NOW + 2 * DAY, DAY, 1000)(store)
    assert (tidied.kept.rows, tidied.dropped_rows) == (0, predictions.JOINED_BLOCKS)
    assert not labels.load_between(store, 0, 1 << 62)
    assert len(labels.load_since(store, 0)) == 1

    work_of_tidying(NOW + 200 * DAY, DAY, 1000)(store)
    assert labels.load_since(store, 0) == {}
