"""Counts of all workers: sums, and nothing else."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.controlplane.totals import Totals
from server.wire import tally
from server.wire.record import BATCH_COLUMNS, BatchRecords, Content
from server.wire.tally import BatchSize, Tally

COUNTS = st.dictionaries(st.sampled_from(["ok", "queue_full", "bad_json"]), st.integers(1, 99))


def _message(model: str, version: str, counts: Tally) -> memoryview:
    return memoryview(tally.encode(model, version, counts))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12"), COUNTS), max_size=12))
def test_totals_are_the_sums_of_what_came(messages: list[tuple[str, str, dict[str, int]]]) -> None:
    """For all messages in any order, each version has the sum of its own, and no other's."""
    totals = Totals()
    for model, version, counts in messages:
        sent = Tally()
        sent.outcomes.update(counts)
        totals.add(_message(model, version, sent))

    for key in {(model, version) for model, version, _ in messages}:
        for outcome in ("ok", "queue_full", "bad_json"):
            assert totals.versions[key].outcomes[outcome] == sum(
                counts.get(outcome, 0)
                for model, version, counts in messages
                if (model, version) == key
            )


def test_every_part_of_a_tally_is_added() -> None:
    """Histograms, batch sizes, reasons, durations and the last time are summed or renewed."""
    one = Tally(last_milliseconds=5)
    one.closed["full"] = 2
    one.outcome_seconds["ok"] = 0.5
    one.request.observe(np.array([0.001, 20.0]))
    one.sizes[4] = BatchSize(1, 0.1, 0.2, 0.3)
    older = Tally(last_milliseconds=3)
    totals = Totals()

    for counts in (one, one, older):
        totals.add(_message("m", "1", counts))

    got = totals.versions["m", "1"]
    assert got.closed == {"full": 4}
    assert got.outcome_seconds["ok"] == 1.0
    assert (got.request.total, got.request.seconds) == (4, 40.002)
    assert got.sizes == {4: BatchSize(2, 0.2, 0.4, 0.6)}
    assert (got.rows, got.batches, got.last_milliseconds) == (8, 2, 5)


def test_what_was_routed_is_read_by_version() -> None:
    """Sums of all workers; of a version that nothing was routed to, nothing."""
    sent = Tally()
    sent.routed.outcomes.update({"ok": 3, "model_error": 1})
    sent.routed.request.observe(np.array([0.001, 2.0]))
    totals = Totals()
    for _ in range(2):
        totals.add(_message("m", "2", sent))
    totals.add(_message("m", "1", Tally()))

    assert totals.routed("m", "2").outcomes == {"ok": 6, "model_error": 2}
    assert totals.routed("m", "2").request.total == 4
    assert [totals.routed(*key).outcomes for key in (("m", "1"), ("n", "1"))] == [{}, {}]


def test_batch_records_are_counted() -> None:
    """A message adds one message, its batches and their rows; those of a mirror came before."""
    batches = np.zeros(3, BATCH_COLUMNS)
    batches["rows"] = [1, 2, 4]
    waits, each, none = np.zeros(3, np.float32), np.ones(3, np.int32), np.zeros(3, np.bool_)
    records = BatchRecords("m", "1", "d", 0, 1, batches, waits, [], [], each, none, "tag", [])
    mirror = replace(records, content=Content.MIRROR)
    totals = Totals()

    for _ in range(2):
        totals.take_records(records)
    totals.take_records(mirror)

    assert (totals.record_messages, totals.record_batches, totals.record_rows) == (3, 6, 14)


def test_models_that_are_gone_are_forgotten() -> None:
    """Counts go with their model; those of requests that named no model stay."""
    totals = Totals()
    for model, version in (("kept", "1"), ("kept", ""), ("gone", "1"), ("_unknown", "")):
        totals.add(_message(model, version, Tally()))

    totals.keep_only({"kept"})

    assert set(totals.versions) == {("kept", "1"), ("kept", ""), ("_unknown", "")}
