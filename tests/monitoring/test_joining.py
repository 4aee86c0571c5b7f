"""Labels join, repeat and correct; counts are always those of the labels that hold."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.monitoring import joining
from server.monitoring.joining import Joining, KeptLabel, SeriesKey, late_item
from server.monitoring.kept_answers import AnswerPlan, AnswerReader, LabelKind
from server.monitoring.label_items import Item, LabelRefused, Result
from server.monitoring.locating import Match, RowKey, Version
from server.monitoring.nearness import NearnessCounts
from server.monitoring.prediction_blocks import PredictionBlock, PredictionId, Role
from server.monitoring.realised import LabelCounts, Task
from server.monitoring.realised_figures import PairedCounts
from server.release.shadow_rules import Tolerance
from tests.support.kept import HOUR, NUMBER, START_US, block

LIVE, SHADOW, PINNED = Version("m", "1", "a"), Version("m", "2", "b"), Version("m", "3", "c")
NOW = START_US / 1e6 + 100.0
ROWS = 4
SEGMENTS = ["f", "m", "f", "m"]
LIVE_BLOCK = block(range(ROWS), [0.9, 0.1, 0.6, 0.3], segments=SEGMENTS)
SHADOW_BLOCK = block(range(ROWS), [0.8, 0.7, 0.2, 0.1], role=Role.SHADOW)


def matches(row: int, *, with_shadow: bool = True) -> list[Match]:
    """Return who answered a row."""
    key = RowKey(START_US + row, 1, 0)
    found = [Match(LIVE, LIVE_BLOCK, key, row, row, Role.LIVE)]
    if with_shadow:
        found.append(Match(SHADOW, SHADOW_BLOCK, key, row, row, Role.SHADOW))
    return found


def item(row: int, label: int, *, is_acted_on: bool = False) -> Item:
    """Return a label of a row."""
    return Item(PredictionId(START_US + row, 1), 0, label, is_acted_on=is_acted_on)


def take(joined: Joining, row: int, label: int, *, is_acted_on: bool = False) -> Result:
    """Send a label."""
    return joined.take(item(row, label, is_acted_on=is_acted_on), matches(row), {})


labels = st.lists(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, 1), st.booleans()), max_size=15
)


@given(st.lists(labels, max_size=3))
def test_counts_are_those_of_the_labels_that_hold(calls: list[list[tuple[int, int, bool]]]) -> None:
    """However often labels are corrected, in however many calls, only the last ones count."""
    counts: dict[SeriesKey, LabelCounts] = {}
    kept: dict[RowKey, KeptLabel] = {}
    last: dict[int, tuple[int, bool]] = {}
    for call in calls:
        joined = Joining(kept, NOW)
        for row, label, is_acted_on in call:
            before = last.get(row)
            found = take(joined, row, label, is_acted_on=is_acted_on)
            last[row] = (label, is_acted_on)
            expected = Result.CORRECTED if before else Result.JOINED
            assert found is (Result.DUPLICATE if before == last[row] else expected)
        kept |= joined.labels
        for key, change in joined.changes.items():
            change.apply(counts.setdefault(key, LabelCounts()))

    expected_counts: dict[SeriesKey, LabelCounts] = {}
    fresh = Joining({}, NOW)
    for row, (label, is_acted_on) in last.items():
        take(fresh, row, label, is_acted_on=is_acted_on)
    for key, change in fresh.changes.items():
        change.apply(expected_counts.setdefault(key, LabelCounts()))
    for key in counts.keys() | expected_counts.keys():
        found_json = counts.get(key, LabelCounts()).to_json() | {"delays": []}
        assert found_json == expected_counts.get(key, LabelCounts()).to_json() | {"delays": []}


def test_one_label_scores_every_version_in_each_of_its_series() -> None:
    """All rows by hour, a segment by day; what was acted on apart."""
    joined = Joining({}, NOW)

    take(joined, 1, 1)

    assert set(joined.changes) == {
        SeriesKey(LIVE, Task.BINARY, Role.LIVE, "", False, HOUR),
        SeriesKey(LIVE, Task.BINARY, Role.LIVE, "sex=m", False, HOUR - HOUR % 24),
        SeriesKey(SHADOW, Task.BINARY, Role.SHADOW, "", False, HOUR),
    }
    (delay,) = joined.changes[SeriesKey(LIVE, Task.BINARY, Role.LIVE, "", False, HOUR)].delays
    assert delay == pytest.approx(100.0, abs=0.001)


def test_versions_are_compared_by_first_labels() -> None:
    """A correction changes figures, and not what a sequential test has seen."""
    joined = Joining({}, NOW)
    for row, label in enumerate([1, 1, 1, 1]):
        assert take(joined, row, label) is Result.JOINED
    assert joined.pairs == {(LIVE, SHADOW): PairedCounts(1, 1, 1, 1)}

    assert take(joined, 0, 0) is Result.CORRECTED
    assert joined.pairs == {(LIVE, SHADOW): PairedCounts(1, 1, 1, 1)}
    assert joined.labels[RowKey(START_US, 1, 0)] == KeptLabel("0", "1", False, NOW, 1)


def test_of_a_request_one_row_is_evidence_and_only_of_a_shadow() -> None:
    """Whichever of its rows get a label first; what a caller asked twice is no evidence."""
    numbers, rows = range(0, 300, 3), 3
    live, shadow, pinned = (
        block(numbers, [0.9] * 300, role=role, rows=[rows] * len(numbers))
        for role in (Role.LIVE, Role.SHADOW, Role.PINNED)
    )
    joined, drawn = Joining({}, NOW), [0] * rows
    for request, row in product(range(len(numbers)), reversed(range(rows))):
        key = RowKey(START_US + numbers[request], 1, row)
        found = [
            Match(of, one, key, request, request * rows + row, role)
            for of, one, role in (
                (LIVE, live, Role.LIVE),
                (SHADOW, shadow, Role.SHADOW),
                (PINNED, pinned, Role.PINNED),
            )
        ]
        before = joined.evidence.get((LIVE, SHADOW), PairedCounts()).rows
        joined.take(Item(PredictionId(key.at_us, 1), row, 1), found, {})
        drawn[row] += joined.evidence.get((LIVE, SHADOW), PairedCounts()).rows - before

    assert joined.pairs.keys() == {(LIVE, SHADOW), (LIVE, PINNED)}
    assert joined.evidence == {(LIVE, SHADOW): PairedCounts(both=len(numbers))}
    assert min(drawn) > 15


def test_numbers_are_compared_by_who_is_nearer() -> None:
    """One row of each request to a shadow, by its first label, within what the live output says."""
    answers = {Role.LIVE: [10.0, 10.0, 10.0], Role.SHADOW: [11.0, 12.0, 10.5]}
    blocks = {role: block(range(3), some, plan=NUMBER, role=role) for role, some in answers.items()}

    def joined(tolerances: dict[Version, Tolerance]) -> Joining:
        found = Joining({}, NOW, tolerances)
        for row, label in enumerate([9.0, 12.5, 10.0]):
            key = RowKey(START_US + row, 1, 0)
            some = [
                Match(LIVE if role is Role.LIVE else SHADOW, one, key, row, row, role)
                for role, one in blocks.items()
            ]
            found.take(Item(PredictionId(START_US + row, 1), 0, label), some, {})
        return found

    assert joined({}).nearness == {(LIVE, SHADOW): NearnessCounts(2, 1)}
    assert (joined({}).pairs, joined({}).evidence) == ({}, {})
    wide = {LIVE: Tolerance(0.0, 1.0)}
    assert joined(wide).nearness == {(LIVE, SHADOW): NearnessCounts(0, 1, 2)}


def test_a_label_that_does_not_fit_changes_nothing() -> None:
    """Neither counts nor what is remembered."""
    joined = Joining({}, NOW)

    with pytest.raises(LabelRefused):
        take(joined, 0, 2)

    assert (joined.changes, joined.labels, joined.pairs) == ({}, {}, {})


def test_a_correction_that_does_not_fit_leaves_the_old_label() -> None:
    """The label that was there goes on counting."""
    joined = Joining({}, NOW)
    take(joined, 0, 1)
    with pytest.raises(LabelRefused):
        take(joined, 0, 7)

    assert take(joined, 0, 1) is Result.DUPLICATE


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), min_size=1, max_size=5), st.data())
def test_a_shadow_that_answers_late_counts_the_same(
    labels: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """Whatever was corrected before and after: counts and pairs are those of one in time."""
    when = data.draw(st.integers(0, len(labels)))
    in_time, late = Joining({}, NOW), Joining({}, NOW)
    mine, (live, shadow) = late.labels, matches(1)
    for place, (label, is_acted_on) in enumerate(labels):
        if 0 < place == when:
            late.take_late(
                late_item(shadow.key, mine[shadow.key]), mine[shadow.key], shadow, [live]
            )
        take(in_time, 1, label, is_acted_on=is_acted_on)
        found = [live, shadow] if place >= when else [live]
        late.take(item(1, label, is_acted_on=is_acted_on), found, {})
    if when == len(labels):
        late.take_late(late_item(shadow.key, mine[shadow.key]), mine[shadow.key], shadow, [live])

    assert (late.pairs, mine) == (in_time.pairs, in_time.labels)
    if len({is_acted_on for _, is_acted_on in labels}) == 1:
        assert late.evidence == in_time.evidence == ({} if labels[0][1] else in_time.pairs)
    assert totals(late) == totals(in_time)


def totals(joined: Joining) -> dict[SeriesKey, object]:
    """Return what came of all changes, without delays."""
    found = {}
    for key, change in joined.changes.items():
        counts = LabelCounts()
        change.apply(counts)
        found[key] = counts.to_json() | {"delays": []}
    empty = LabelCounts().to_json() | {"delays": []}
    return {key: one for key, one in found.items() if one != empty}


def test_a_shadow_that_a_label_does_not_fit_keeps_it_from_nobody() -> None:
    """What it answers is of other classes than the live version's; alone, it is asked."""
    named = replace(SHADOW_BLOCK, plan=replace(SHADOW_BLOCK.plan, label_kind=LabelKind.TEXT))
    live, shadow = matches(0)
    shadow = replace(shadow, block=named)
    joined = Joining({}, NOW)

    assert joined.take(item(0, 1), [live, shadow], {}) is Result.JOINED
    assert joined.take(item(0, 0), [live, shadow], {}) is Result.CORRECTED
    joined.take_late(
        late_item(live.key, joined.labels[live.key]), joined.labels[live.key], shadow, [live]
    )
    assert {key.of for key in joined.changes} == {LIVE}
    assert joined.pairs == {}
    with pytest.raises(LabelRefused):
        joined.take(item(1, 1), [replace(shadow, key=RowKey(START_US + 1, 1, 0))], {})


def test_classes_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody knows the classes of a model, labels may name so many, and no more."""
    monkeypatch.setattr(joining, "MAX_CLASSES", 2)
    plan = AnswerPlan(Task.MULTICLASS, LabelKind.INTEGER, labels="p")
    made = _of_labels(plan)
    key = RowKey(START_US, 1, 0)
    match = Match(LIVE, made, key, 0, 0, Role.LIVE)
    joined = Joining({}, NOW)

    with pytest.raises(LabelRefused, match="classes already"):
        joined.take(item(0, 5), [match], {LIVE: 2})
    assert joined.take(item(0, 1), [match], {LIVE: 2}) is Result.JOINED


def _of_labels(plan: AnswerPlan) -> PredictionBlock:
    import numpy as np

    reader = AnswerReader(plan)
    answers = reader.take({"p": np.array([[1]], np.int64)})
    assert answers is not None
    one = block([0], [0.5])
    return PredictionBlock(plan, reader.names, (), one.requests, answers)
