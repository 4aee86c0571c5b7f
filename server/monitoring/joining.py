"""What one label after another changes: which counts, and what is remembered of each row's label.

Decides what is a new label, the same again, and a correction. A label counts for every version that
answered its row. A correction takes the old label out of the counts and puts the new one in;
what compares versions row by row takes the first label only, because a sequential test must not see
its evidence change: of classes who was right, of numbers who was nearer. As evidence of a shadow
one row of each request counts, drawn by the request's number: rows of one request resemble each
other, and would make chance look like proof. Rows that were acted on are none: what came true of
them is the live version's doing.

A shadow never decides what becomes of a label: one that does not fit its answer, but that of the
live version, counts for that one alone. It may also answer after the label has come, and is scored
then.

Rows are counted by version, role, hour of the prediction, and whether they were acted on; and by
day in each of their segments. Does not know where counts and labels are kept.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from server.monitoring.kept_answers import MAX_CLASSES
from server.monitoring.label_items import (
    Item,
    Label,
    LabelRefused,
    Result,
    classes_of,
    label_json,
    pair_of,
    read_label,
    same_label,
)
from server.monitoring.locating import Match, RowKey, Version
from server.monitoring.nearness import NearnessCounts, nearness
from server.monitoring.prediction_blocks import HOUR_US, PredictionId, Role
from server.monitoring.realised import AnyPair, LabelCounts, NumberPair, Pair, Task
from server.monitoring.realised_figures import PairedCounts, paired
from server.release.shadow_rules import Tolerance

DAY_HOURS = 24

Pairs = dict[tuple[Version, Version], PairedCounts]
"""Who was right on rows that a live version (first) and another one answered, by first labels."""

Nearness = dict[tuple[Version, Version], NearnessCounts]
"""The same of versions that answer numbers: who was nearer."""

_USUAL = Tolerance()


@dataclass(frozen=True, slots=True)
class KeptLabel:
    """What is remembered of a row's label."""

    label: str
    """JSON, as `label_json` writes it; the one that counts."""
    first_label: str
    is_acted_on: bool
    received_seconds: float
    """When the first one came."""
    corrections: int = 0


class SeriesKey(NamedTuple):
    """Whose counts."""

    of: Version
    task: Task
    role: Role
    segment: str
    """`feature=value`; empty for all rows."""
    is_acted_on: bool
    hour: int
    """Of the predictions, in hours since 1970; in a segment, the first one of their day."""


@dataclass(slots=True)
class Series:
    """What is kept under one key."""

    predicted: int = 0
    """Rows that were kept, labelled or not; under the key of rows that were not acted on."""
    counts: LabelCounts = field(default_factory=LabelCounts)


def late_item(key: RowKey, kept: KeptLabel) -> Item:
    """Return the label of a row as if it came again, for an answer that came after it."""
    prediction_id, label = PredictionId(key.at_us, key.tag), read_label(kept.label)
    known, is_acted_on = kept.received_seconds, kept.is_acted_on
    return Item(prediction_id, key.row, label, known, is_acted_on=is_acted_on)


def cell_hour(hour: int, segment: str) -> int:
    """Return the hour under which rows of `hour` are counted."""
    return hour - hour % DAY_HOURS if segment else hour


@dataclass(slots=True)
class Change:
    """What is to be added to the counts of a series, and what taken out."""

    added: list[AnyPair] = field(default_factory=list)
    removed: list[AnyPair] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    def apply(self, counts: LabelCounts) -> None:
        """Change counts."""
        counts.remove(self.removed)
        counts.add(self.added, self.delays)


class Joining:
    """The labels of one call, or of some calls, one after another. Changes nothing it is given."""

    def __init__(
        self,
        kept: Mapping[RowKey, KeptLabel],
        now_seconds: float,
        tolerances: Mapping[Version, Tolerance] | None = None,
    ) -> None:
        """Begin with what is remembered of the rows that will come.

        `tolerances` are of the numbers that live versions answer, where they are not the usual one.
        """
        self.changes: dict[SeriesKey, Change] = {}
        self.labels: dict[RowKey, KeptLabel] = {}
        """Those that are new or have changed."""
        self.pairs: Pairs = {}
        self.evidence: Pairs = {}
        """Of these, one row of each request to which a shadow answered, if it was not acted on."""
        self.nearness: Nearness = {}
        """The same rows of versions that answer numbers."""
        self._kept = kept
        self._now = now_seconds
        self._tolerances = tolerances or {}

    def take(self, item: Item, matches: Sequence[Match], classes: Mapping[Version, int]) -> Result:
        """Take in a label of some rows, one at least; say what it was.

        `classes` is how many classes the counts of a version have, where nobody knows them all.

        Raises:
            LabelRefused: it does not fit the answers; nothing has changed.

        """
        pairs: list[AnyPair | None] = []
        has_others = any(match.role is not Role.SHADOW for match in matches)
        for match in matches:
            if has_others and match.role is Role.SHADOW:
                pairs.append(_pair_or_none(match, item.label))
            else:
                pairs.append(pair_of(match.block, match.row, item.label))
                _check_classes(match, pairs[-1], classes.get(match.of, 0))
        before = {match.key: self._before(match.key) for match in matches}
        is_new = [one is None for one in before.values()]
        if not any(is_new) and all(_is_same(item, one) for one in before.values() if one):
            return Result.DUPLICATE
        for match, pair in zip(matches, pairs, strict=True):
            self._count(match, pair, item, before[match.key])
        for key, one in before.items():
            self._remember(key, one, item)
        if not all(is_new):
            return Result.CORRECTED
        self._compare(matches, pairs, is_acted_on=item.is_acted_on)
        return Result.JOINED

    def take_late(self, item: Item, kept: KeptLabel, late: Match, lives: Sequence[Match]) -> None:
        """Take in an answer of a shadow to a row whose label is known, as `late_item` returns it.

        Comes before any label of the same row that is new; `lives` are the live answers to it.
        """
        self._count(late, _pair_or_none(late, item.label), item, None)
        matches, first = [*lives, late], read_label(kept.first_label)
        pairs = [_pair_or_none(match, first) for match in matches]
        self._compare(matches, pairs, is_acted_on=item.is_acted_on)

    def _before(self, key: RowKey) -> KeptLabel | None:
        return self.labels.get(key) or self._kept.get(key)

    def _count(
        self, match: Match, pair: AnyPair | None, item: Item, before: KeptLabel | None
    ) -> None:
        if before is not None:
            if _is_same(item, before):
                return
            old = _pair_or_none(match, read_label(before.label))
            if old is not None:
                for key in _series(match, is_acted_on=before.is_acted_on):
                    self._change(key).removed.append(old)
        if pair is None:
            return
        for key in _series(match, is_acted_on=item.is_acted_on):
            change = self._change(key)
            change.added.append(pair)
            if before is None:
                known = self._now if item.known_seconds is None else item.known_seconds
                change.delays.append(max(0.0, known - match.key.at_us / 1e6))

    def _change(self, key: SeriesKey) -> Change:
        return self.changes.setdefault(key, Change())

    def _remember(self, key: RowKey, before: KeptLabel | None, item: Item) -> None:
        label = label_json(item.label)
        if before is None:
            self.labels[key] = KeptLabel(label, label, item.is_acted_on, self._now)
        elif not _is_same(item, before):
            self.labels[key] = KeptLabel(
                label,
                before.first_label,
                item.is_acted_on,
                before.received_seconds,
                before.corrections + 1,
            )

    def _compare(
        self, matches: Sequence[Match], pairs: Sequence[AnyPair | None], *, is_acted_on: bool
    ) -> None:
        """Count who was right, or nearer, where a live version and others answered a row."""
        answered = [
            (match, pair) for match, pair in zip(matches, pairs, strict=True) if pair is not None
        ]
        for live, ours in answered:
            if live.role is not Role.LIVE:
                continue
            for other, theirs in answered:
                if other.role is Role.LIVE or other.of.model != live.of.model:
                    continue
                is_evidence = other.role is Role.SHADOW and not is_acted_on and _is_drawn(other)
                match ours, theirs:
                    case Pair(), Pair():
                        self._note_right(live.of, other.of, ours, theirs, is_evidence=is_evidence)
                    case NumberPair(), NumberPair() if is_evidence:
                        self._note_nearer(live.of, other.of, ours, theirs)

    def _note_right(
        self, live: Version, other: Version, ours: Pair, theirs: Pair, *, is_evidence: bool
    ) -> None:
        key, one = (live, other), paired([(ours.is_right, theirs.is_right)])
        self.pairs[key] = self.pairs.get(key, PairedCounts()).plus(one)
        if is_evidence:
            self.evidence[key] = self.evidence.get(key, PairedCounts()).plus(one)

    def _note_nearer(
        self, live: Version, other: Version, ours: NumberPair, theirs: NumberPair
    ) -> None:
        key, one = (live, other), nearness(ours, theirs, self._tolerances.get(live, _USUAL))
        self.nearness[key] = self.nearness.get(key, NearnessCounts()).plus(one)


def _is_drawn(match: Match) -> bool:
    """Say whether a row is the one that stands for its request, or for its part of a large one."""
    requests = match.block.requests
    number = f"{match.key.at_us}-{match.key.tag}".encode()
    drawn = zlib.crc32(number) % int(requests["rows"][match.request])
    return match.key.row == drawn + int(requests["first_row"][match.request])


def _series(match: Match, *, is_acted_on: bool) -> Iterable[SeriesKey]:
    hour, task = match.key.at_us // HOUR_US, match.block.plan.task
    yield SeriesKey(match.of, task, match.role, "", is_acted_on, hour)
    for feature, value in match.block.segment_values(match.row):
        segment = f"{feature}={value}"
        day = cell_hour(hour, segment)
        yield SeriesKey(match.of, task, match.role, segment, is_acted_on, day)


def _is_same(item: Item, kept: KeptLabel) -> bool:
    return same_label(item.label, kept.label) and item.is_acted_on == kept.is_acted_on


def _pair_or_none(match: Match, label: Label) -> AnyPair | None:
    try:
        return pair_of(match.block, match.row, label)
    except LabelRefused:
        return None


def _check_classes(match: Match, pair: AnyPair | None, classes: int) -> None:
    """Refuse labels of ever new classes, where nobody knows which ones there are."""
    if classes >= MAX_CLASSES and isinstance(pair, Pair) and not classes_of(match.block):
        words = match.block.names.words
        if pair.label not in words:
            raise LabelRefused(f"label: there are labels of {MAX_CLASSES} classes already")
