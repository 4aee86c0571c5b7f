"""What feedback asks of the store: transactions that write predictions, join labels, and tidy up.

Decides what goes together: predictions that wait, labels, and the counts that both change are one
transaction, so that whatever a caller was told is there after a crash, and what is not there was
never told.

Concurrency: `work` functions run on the store's thread and touch nothing but their arguments; the
cache of blocks is that thread's alone.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.monitoring import locating
from server.monitoring.joining import (
    Joining,
    Nearness,
    Pairs,
    Series,
    SeriesKey,
    cell_hour,
    late_item,
)
from server.monitoring.label_items import Item, LabelRefused, Result
from server.monitoring.locating import BlockNote, Located, RowKey, Version
from server.monitoring.prediction_blocks import PredictionBlock, Role
from server.release.shadow_rules import Tolerance

if TYPE_CHECKING:
    from server.store.database import Connection
    from server.store.predictions import Kept

CACHE_BYTES = 64 << 20
"""Of blocks that were read: labels of one day are about the same few."""

FULL_SHARE = 0.9
"""Of the rows that may be kept: from here on, the oldest may have been dropped for new ones."""

HOUR_SECONDS = 3600
KEEP_COUNTS_HOURS = 90 * 24
"""How long figures of an hour are kept, after its predictions are gone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one item."""

    result: Result
    reason: str = ""
    """Why it was rejected."""


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """What came of one transaction."""

    answers: Sequence[Answer]
    series: Mapping[SeriesKey, Series]
    """Those without a segment that have changed, as they are now."""
    pairs: Pairs
    """What was added to them."""
    evidence: Pairs
    """Of that, what is evidence of a shadow."""
    nearness: Nearness
    """The same of models that answer numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What an earlier process left."""

    series: Mapping[SeriesKey, Series]
    pairs: Pairs
    kept: "Kept"


@dataclass(frozen=True, slots=True, eq=False)
class Tidied:
    """What is left after tidying up."""

    kept: "Kept"
    dropped_rows: int


class BlockCache:
    """Blocks that were read, the last ones. Belongs to the store's thread."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[BlockNote, tuple[PredictionBlock, int]] = OrderedDict()
        self._bytes = 0

    def read(self, connection: "Connection", note: BlockNote) -> PredictionBlock | None:
        """Return a block, read only if it is not here; None if it is damaged."""
        from server.store import predictions

        # The number alone does not tell a block: another file may have begun to count anew.
        known = self._blocks.get(note)
        if known is not None:
            self._blocks.move_to_end(note)
            return known[0]
        block = predictions.read(connection, note)
        if block is not None:
            size = block.held_bytes
            self._blocks[note] = (block, size)
            self._bytes += size
            while self._bytes > CACHE_BYTES and len(self._blocks) > 1:
                _, (_, gone) = self._blocks.popitem(last=False)
                self._bytes -= gone
        return block


def work_of_opening(since_hour: int) -> "Callable[[Connection], Opened]":
    """Return the transaction that reads counts since an hour."""

    def work(connection: "Connection") -> Opened:
        from server.store import labels, predictions

        return Opened(
            labels.load_since(connection, since_hour),
            labels.load_pairs(connection),
            predictions.kept(connection),
        )

    return work


def work_of_series(
    since_hour: int, model: str
) -> "Callable[[Connection], Mapping[SeriesKey, Series]]":
    """Return the transaction that reads all counts of a model, segments too."""

    def work(connection: "Connection") -> Mapping[SeriesKey, Series]:
        from server.store import labels

        return labels.load_since(connection, since_hour, model, segments=True)

    return work


def work_of_tidying(
    now: float, keep_seconds: float, max_rows: int
) -> "Callable[[Connection], Tidied]":
    """Return the transaction that drops what is too old or too much, and joins small blocks."""

    def work(connection: "Connection") -> Tidied:
        from server.store import labels, predictions

        dropped = predictions.drop(connection, int((now - keep_seconds) * 1e6), max_rows)
        predictions.join_small(connection)
        kept = predictions.kept(connection)
        oldest = kept.oldest_us if kept.rows else int((now - keep_seconds) * 1e6)
        labels.drop_labels(connection, oldest)
        labels.drop_series(connection, int(now // HOUR_SECONDS) - KEEP_COUNTS_HOURS)
        return Tidied(kept, dropped)

    return work


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What one transaction is to write."""

    blocks: Sequence[tuple[Version, PredictionBlock]]
    """Predictions that wait."""
    items: Sequence[Item]
    classes: Mapping[Version, int]
    """How many classes the labels of a version have named."""
    tolerances: Mapping[Version, Tolerance]
    """Of the numbers that a version answers."""
    now: float
    keep_seconds: float
    max_rows: int


def work_of_joining(order: Order, cache: BlockCache) -> "Callable[[Connection], Joined]":
    """Return the transaction that writes predictions and joins labels to all that are kept."""

    def work(connection: "Connection") -> Joined:
        from server.store import labels, predictions

        predicted: dict[SeriesKey, int] = {}
        for of, block in order.blocks:
            predictions.save(connection, of, block)
            for key, rows in _predicted(of, block):
                predicted[key] = predicted.get(key, 0) + rows
        joining, answers = _join(connection, order, cache)
        keys = predicted.keys() | joining.changes.keys()
        series = {key: Series() for key in keys} | labels.load_series(connection, keys)
        for key, rows in predicted.items():
            series[key].predicted += rows
        for key, change in joining.changes.items():
            change.apply(series[key].counts)
        labels.save_labels(connection, joining.labels)
        labels.save_series(connection, series)
        labels.add_pairs(connection, joining.pairs)
        whole = {key: one for key, one in series.items() if not key.segment}
        return Joined(answers, whole, joining.pairs, joining.evidence, joining.nearness)

    return work


def _predicted(of: Version, block: PredictionBlock) -> list[tuple[SeriesKey, int]]:
    return [
        (
            SeriesKey(of, block.plan.task, Role(role), segment, False, cell_hour(hour, segment)),
            rows,
        )
        for hour, role, segment, rows in block.cells()
    ]


def _join(
    connection: "Connection", order: Order, cache: BlockCache
) -> tuple[Joining, list[Answer]]:
    from server.store import labels, predictions

    if not order.items:
        joining = Joining({}, order.now, order.tolerances)
        _join_late(connection, order.blocks, cache, joining)
        return joining, []
    ours = [one.prediction_id.at_us for one in order.items if not one.prediction_id.is_own]
    notes = predictions.notes(
        connection, min(ours, default=1), max(ours, default=0), own=len(ours) < len(order.items)
    )
    found = locating.locate(order.items, notes, lambda note: cache.read(connection, note))
    keys: set[RowKey] = {match.key for one in found for match in one.matches}
    joining = Joining(labels.load_labels(connection, keys), order.now, order.tolerances)
    _join_late(connection, order.blocks, cache, joining)
    oldest = _oldest_us(order, predictions.kept(connection))
    return joining, [
        _answer(item, one, joining, order, oldest)
        for item, one in zip(order.items, found, strict=True)
    ]


def _join_late(
    connection: "Connection",
    blocks: Sequence[tuple[Version, PredictionBlock]],
    cache: BlockCache,
    joining: Joining,
) -> None:
    """Score answers of shadows to rows whose labels were here before them."""
    from server.store import labels, predictions

    for of, block in blocks:
        if not (block.requests["role"] == Role.SHADOW).any():
            continue
        known = labels.load_between(connection, *block.span_us)
        if not known:
            continue
        items = [late_item(key, label) for key, label in known.items()]
        here = [BlockNote(0, of, *block.span_us, has_own_ids=False)]
        late = locating.locate(items, here, dict.fromkeys(here, block).get)
        there = predictions.notes(connection, *block.span_us, own=False)
        others = locating.locate(items, there, lambda note: cache.read(connection, note))
        for item, mine, everyone in zip(items, late, others, strict=True):
            lives = [match for match in everyone.matches if match.role is Role.LIVE]
            for match in mine.matches:
                if match.role is Role.SHADOW:
                    joining.take_late(item, known[match.key], match, lives)


def _oldest_us(order: Order, kept: "Kept") -> int:
    """Return the moment before which nothing is kept any more."""
    by_age = int((order.now - order.keep_seconds) * 1e6)
    is_full = kept.rows >= FULL_SHARE * order.max_rows
    return max(by_age, kept.oldest_us) if is_full else by_age


def _answer(item: Item, found: Located, joining: Joining, order: Order, oldest_us: int) -> Answer:
    try:
        locating.check(item, found)
        if found.matches:
            return Answer(joining.take(item, found.matches, order.classes))
    except LabelRefused as refused:
        return Answer(Result.REJECTED, str(refused))
    return Answer(locating.result_without_match(item, oldest_us, order.now))
