"""Columns count what counting one batch after the other in plain Python would count."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.dataplane.batch_columns import (
    CLOSED_CODES,
    COLUMNS,
    KEYED,
    OK,
    OWN_ID,
    PINNED,
    SPLIT,
    Columns,
    Noted,
)
from server.engine.batching import Closed
from server.wire.record import OwnId
from server.wire.tally import DURATION_BUCKETS, DurationHistogram, Tally

WALL_OFFSET = 1_700_000_000.0

# Sums and differences of these are exact, so results can be compared with ==.
seconds = st.integers(0, 4096).map(lambda number: number / 1024)


@dataclass(frozen=True)
class Batch:
    """One batch, as the hot path notes it."""

    started: float
    input_seconds: float
    run_seconds: float
    output_seconds: float
    rows: int
    waits: list[float]
    closed: Closed
    all_ok: bool
    failed: bool
    group: int
    first_id: int = 0
    answered_rows: tuple[int, ...] = ()
    """Of each request, as many as there are waits."""
    marks: tuple[int, ...] = ()

    @property
    def run_started(self) -> float:
        return self.started + self.input_seconds

    @property
    def run_finished(self) -> float:
        return self.run_started + self.run_seconds

    @property
    def answered(self) -> float:
        return self.run_finished + self.output_seconds

    @property
    def arrived(self) -> list[float]:
        return [self.started - wait for wait in self.waits]

    def numbers(self) -> tuple[float, ...]:
        """Return the batch's row of the table."""
        return (
            self.started,
            self.run_started,
            self.run_finished,
            self.answered,
            self.rows,
            len(self.waits),
            CLOSED_CODES[self.closed],
            self.all_ok,
            self.failed,
            self.group,
            self.first_id,
        )


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    failed = draw(st.booleans())
    waits = draw(st.lists(seconds, min_size=1, max_size=4))
    each = len(waits)
    return Batch(
        started=10 + draw(seconds),
        input_seconds=draw(seconds),
        run_seconds=draw(seconds),
        output_seconds=draw(seconds),
        rows=draw(st.integers(1, 4)),
        waits=waits,
        closed=draw(st.sampled_from(Closed)),
        all_ok=not failed and draw(st.booleans()),
        failed=failed,
        group=0 if failed else draw(st.integers(0, 2)),
        first_id=draw(st.integers(0, 1 << 51)),
        answered_rows=tuple(draw(st.lists(st.integers(0, 4), min_size=each, max_size=each))),
        marks=tuple(draw(st.lists(st.integers(0, 15), min_size=each, max_size=each))),
    )


some_batches = st.lists(batches(), min_size=1, max_size=8)


def columns(batches: list[Batch]) -> Columns:
    noted = Noted()
    for batch in batches:
        noted.own_ids += [
            OwnId(len(noted.arrived) + at, f"{batch.first_id}-{at}", at)
            for at, marks in enumerate(batch.marks)
            if marks & OWN_ID
        ]
        noted.batches.extend(batch.numbers())
        noted.arrived.extend(batch.arrived)
        noted.rows.extend(batch.answered_rows)
        noted.marks += bytes(batch.marks)
    return Columns(noted, WALL_OFFSET)


def buckets(durations: list[float]) -> tuple[list[int], float]:
    """Count durations the slow and plain way."""
    counts = [0] * (len(DURATION_BUCKETS) + 1)
    for duration in durations:
        counts[bisect_left(DURATION_BUCKETS, duration)] += 1
    return counts, sum(durations)


def plain(histogram: DurationHistogram) -> tuple[list[int], float]:
    return histogram.counts.tolist(), histogram.seconds


def test_a_batch_has_as_many_numbers_as_there_are_columns() -> None:
    """The hot path and the table agree on the width of a row, and on the codes of reasons."""
    batch = Batch(1, 1, 1, 1, 1, [0.0], Closed.FULL, True, False, 0)

    assert len(batch.numbers()) == COLUMNS
    assert list(CLOSED_CODES) == list(Closed)
    assert list(CLOSED_CODES.values()) == list(range(len(Closed)))


@settings(max_examples=60)
@given(some_batches)
def test_counts_are_those_of_a_plain_loop(noted: list[Batch]) -> None:
    """Histograms, outcomes, reasons and sizes: each as if counted batch by batch in Python."""
    tally = Tally()
    columns(noted).count_into(tally)
    spans = [
        batch.answered - arrived for batch in noted if batch.all_ok for arrived in batch.arrived
    ]
    good = [batch for batch in noted if not batch.failed]

    assert plain(tally.queue) == buckets([wait for batch in noted for wait in batch.waits])
    assert plain(tally.compute) == buckets([batch.run_seconds for batch in noted])
    assert plain(tally.request) == buckets(spans)
    assert tally.outcomes == Counter({OK: len(spans)} if spans else {})
    assert tally.outcome_seconds == ({OK: sum(spans)} if spans else {})
    routed = [
        batch.answered - arrived
        for batch in noted
        if batch.all_ok
        for arrived, marks in zip(batch.arrived, batch.marks, strict=True)
        if marks & SPLIT
    ]
    assert plain(tally.routed.request) == buckets(routed)
    assert tally.routed.outcomes == ({OK: len(routed)} if routed else {})
    answered = [marks for batch in noted if batch.all_ok for marks in batch.marks]
    assert tally.routed.keyed == sum(marks & (SPLIT | KEYED) == SPLIT | KEYED for marks in answered)
    assert tally.closed == Counter(batch.closed.value for batch in noted)
    assert {
        rows: (size.batches, size.input_seconds, size.compute_seconds, size.output_seconds)
        for rows, size in tally.sizes.items()
    } == {
        rows: (
            len(same),
            sum(batch.input_seconds for batch in same),
            sum(batch.run_seconds for batch in same),
            sum(batch.output_seconds for batch in same),
        )
        for rows in {batch.rows for batch in good}
        for same in [[batch for batch in good if batch.rows == rows]]
    }
    newest = max(batch.answered for batch in noted) + WALL_OFFSET
    assert tally.last_milliseconds == int(newest * 1000)


@settings(max_examples=30)
@given(some_batches, some_batches)
def test_counting_twice_adds_to_what_is_there(first: list[Batch], second: list[Batch]) -> None:
    """Two flushes into one tally are the same as one flush of all the batches."""
    twice, once = Tally(), Tally()
    columns(first).count_into(twice)
    columns(second).count_into(twice)
    columns(first + second).count_into(once)

    assert plain(twice.queue) == plain(once.queue)
    assert plain(twice.request) == plain(once.request)
    assert (twice.outcomes, twice.closed, twice.sizes) == (once.outcomes, once.closed, once.sizes)
    assert twice.last_milliseconds == once.last_milliseconds


@settings(max_examples=60)
@given(some_batches, st.integers(0, 2))
def test_a_group_holds_its_good_batches_in_order(noted: list[Batch], group: int) -> None:
    """The river gets each good batch of a group once, with what is known of its own requests."""
    river = columns(noted).of_group(group)
    table, waits = river.batches, river.waits
    chosen = [batch for batch in noted if batch.group == group and not batch.failed]

    assert table["rows"].tolist() == [sum(batch.answered_rows) for batch in chosen]
    assert table["first_id"].tolist() == [batch.first_id for batch in chosen]
    assert table["requests"].tolist() == [len(batch.waits) for batch in chosen]
    assert [list(Closed)[code] for code in table["closed"]] == [batch.closed for batch in chosen]
    assert table["run_ns"].tolist() == [int(batch.run_seconds * 1e9) for batch in chosen]
    assert table["started_ns"].tolist() == [
        int((batch.started + WALL_OFFSET) * 1e9) for batch in chosen
    ]
    assert waits.dtype == np.float32
    assert waits.tolist() == [wait for batch in chosen for wait in batch.waits]
    assert river.request_rows.tolist() == [one for batch in chosen for one in batch.answered_rows]
    marks = [one for batch in chosen for one in batch.marks]
    assert river.is_pinned.tolist() == [bool(one & PINNED) for one in marks]
    assert [own.request for own in river.own_ids] == [
        at for at, one in enumerate(marks) if one & OWN_ID
    ]
    assert [own[1:] for own in river.own_ids] == [
        (f"{batch.first_id}-{at}", at)
        for batch in chosen
        for at, one in enumerate(batch.marks)
        if one & OWN_ID
    ]


def test_a_request_that_arrives_while_its_batch_starts_has_waited_for_nothing() -> None:
    """Two readings of a clock in another order never make a negative wait."""
    batch = Batch(10.0, 0.0, 1.0, 0.0, 1, [-0.001], Closed.EMPTY, True, False, 1, 0, (1,), (0,))
    tally = Tally()
    columns([batch]).count_into(tally)

    assert plain(tally.queue) == buckets([0.0])
    assert columns([batch]).of_group(1).waits.tolist() == [0.0]
    assert tally.request.seconds == pytest.approx(0.999)
