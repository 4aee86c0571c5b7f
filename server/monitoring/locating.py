"""Which kept rows the items of a feedback call are about, and what to say of those of none.

Decides where to look: an id of ours tells its moment, and so the few blocks that can have it; a
caller's own id does not, and all blocks with such ids are asked. Of an own id that was used again,
the last prediction of each version counts; if it was used for several models, the item has to name
one.

Does not know where blocks are kept: it is given what tells about them, and a way to read one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from server.monitoring.label_items import Item, LabelRefused, Result
from server.monitoring.prediction_blocks import PredictionBlock, Role

EARLY_SECONDS = 600.0
"""How long a label may wait for a prediction that is not known yet."""

CLOCK_SECONDS = 300.0
"""How far the clock of a worker may be ahead of ours, after one of them was set."""


class Version(NamedTuple):
    """Whose predictions: files of another digest are another version."""

    model: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class BlockNote:
    """What is known of a block without reading it."""

    number: int
    """By which it is read."""
    of: Version
    first_us: int
    last_us: int
    has_own_ids: bool


class RowKey(NamedTuple):
    """One predicted row, whichever versions answered it."""

    at_us: int
    tag: int
    row: int
    """Within what the caller sent."""


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A kept answer to a row."""

    of: Version
    block: PredictionBlock
    key: RowKey
    request: int
    row: int
    """Within the block, as is the request."""
    role: Role


@dataclass(slots=True, eq=False)
class Located:
    """What was found of one item."""

    matches: list[Match]
    rows: int = 0
    """Of the predictions that go by its id; more than 0 without a match means a row too far."""


def locate(
    items: Sequence[Item],
    notes: Iterable[BlockNote],
    read: Callable[[BlockNote], PredictionBlock | None],
) -> list[Located]:
    """Find each item's rows; `read` returns None for a block that is damaged."""
    found = [Located([]) for _ in items]
    ours = sorted(
        (at for at, item in enumerate(items) if not item.prediction_id.is_own),
        key=lambda at: items[at].prediction_id.at_us,
    )
    times = [items[at].prediction_id.at_us for at in ours]
    own = [at for at, item in enumerate(items) if item.prediction_id.is_own]
    for note in notes:
        asked = ours[bisect_left(times, note.first_us) : bisect_right(times, note.last_us)]
        if note.has_own_ids:
            asked = asked + own
        block = read(note) if asked else None
        if block is None:
            continue
        may_have = block.matching([items[at].prediction_id for at in asked])
        for at in np.array(asked)[may_have].tolist():
            _look(items[at], note.of, block, found[at])
    for item, one in zip(items, found, strict=True):
        one.matches = _last_of_each(one.matches) if item.prediction_id.is_own else one.matches
    return found


def _look(item: Item, of: Version, block: PredictionBlock, found: Located) -> None:
    if item.model and item.model != of.model:
        return
    requests = block.requests
    for request in block.find(item.prediction_id):
        first, rows = int(requests["first_row"][request]), int(requests["rows"][request])
        found.rows = max(found.rows, first + rows)
        row = block.place(request, item.row)
        if row is not None:
            key = RowKey(int(requests["at_us"][request]), int(requests["tag"][request]), item.row)
            role = Role(int(requests["role"][request]))
            found.matches.append(Match(of, block, key, request, row, role))


def _last_of_each(matches: Iterable[Match]) -> list[Match]:
    last: dict[Version, Match] = {}
    for match in matches:
        before = last.get(match.of)
        if before is None or before.key < match.key:
            last[match.of] = match
    return list(last.values())


def check(item: Item, found: Located) -> None:
    """Refuse an item that names a row too far, or predictions of several models.

    Raises:
        LabelRefused: says which.

    """
    if found.rows and not found.matches:
        raise LabelRefused(f"row: the prediction has {found.rows} rows, got {item.row}")
    models = sorted({match.of.model for match in found.matches})
    if len(models) > 1:
        some = ", ".join(models[:5])
        raise LabelRefused(f"prediction_id: it is one of {some}; name one of them as model")


def result_without_match(item: Item, oldest_us: int, now_seconds: float) -> Result:
    """Say what becomes of an item whose prediction is not kept.

    `oldest_us` is the moment since which predictions are kept; an own id tells no moment, and so
    may always be early.
    """
    wanted = item.prediction_id
    if wanted.is_own:
        return Result.EARLY
    age = now_seconds - wanted.at_us / 1e6
    if wanted.at_us < oldest_us:
        return Result.EXPIRED
    return Result.EARLY if -CLOCK_SECONDS <= age < EARLY_SECONDS else Result.UNKNOWN
