"""What reaches control of a worker's batches: every count, and the records that fit."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.dataplane.batch_columns import KEYED, OWN_ID, PINNED, SPLIT
from server.dataplane.telemetry import (
    AT_ONCE,
    FLUSH_BYTES,
    FLUSH_SECONDS,
    KEPT_BYTES,
    MAX_FLUSH_SECONDS,
    TALLY_SECONDS,
    UNKNOWN,
    Telemetry,
    flush_seconds,
    ticks_for_all,
    versions_at_once,
)
from server.errors import ModelFailed
from server.wire.frames import Kind
from server.wire.tally import Tally
from tests.support.batches import rows
from tests.support.telemetry import FIRST, River, batch, of_version, until, with_river


def test_what_was_noted_is_sent_soon_without_being_asked() -> None:
    """A timer sends records and counts, and runs no more when there is nothing to send."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        for _ in range(2):
            river.records.clear()
            version.batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
            await until(lambda: river.records)
        await until(lambda: river.totals and river.totals["m", "1"].batches == 2)
        sent = river.tallies
        await asyncio.sleep(2 * FLUSH_SECONDS + TALLY_SECONDS)

        assert river.tallies == sent

    with_river(scenario)


def test_many_versions_have_their_turns_one_after_the_other() -> None:
    """Each tick sends the news of those that have waited longest; all of them come, once each."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        names = [str(number) for number in range(4 * AT_ONCE + 5)]
        versions = [of_version(telemetry, version=name) for name in names]
        for version in versions:
            version.batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
        await until(lambda: river.records)

        assert [one.version for one in river.records] == names[:AT_ONCE]
        assert telemetry.flush_bytes == KEPT_BYTES // len(names) < FLUSH_BYTES
        versions[0].batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
        await until(lambda: len(river.records) > len(names))
        assert [one.version for one in river.records] == [*names, "0"]
        await until(lambda: len(river.totals) == len(names))
        await until(lambda: river.totals["m", "0"].batches == 2)

    with_river(scenario)


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 256))
def test_every_turn_comes_in_time(news: list[int], workers: int) -> None:
    """However many others have news before and after it, a version waits a second or so."""
    flushes = ticks_for_all(flush_seconds(workers))
    assert 0.8 <= flushes * flush_seconds(workers) <= 1.3
    waits: list[int] = []
    at_once = AT_ONCE
    for more in news:
        waits = [ticks + 1 for ticks in waits] + [1] * more
        assert max(waits, default=0) <= flushes
        at_once = versions_at_once(len(waits), flushes, at_once)
        waits = waits[at_once:]
        at_once = at_once if waits else AT_ONCE


def test_many_workers_flush_less_often() -> None:
    """All of them together send control hardly more messages than eight do."""
    assert flush_seconds(1) == flush_seconds(8) == FLUSH_SECONDS
    assert 32 / flush_seconds(32) == pytest.approx(8 / FLUSH_SECONDS)
    assert flush_seconds(256) == MAX_FLUSH_SECONDS


def test_a_good_batch_and_single_outcomes_add_up() -> None:
    """Requests of good batches and those with a fate of their own are counted once each."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        version.batch(batch(rows(1, 2), requests=2), 10.5, FIRST, all_ok=True)
        version.batch(batch(rows(1, 2, 3), requests=3), 10.5, FIRST, all_ok=False)
        for code, seconds in (("ok", 1.0), ("client_gone", 2.0), ("non_finite_output", 4.0)):
            version.request(code, seconds)
        version.batch(
            batch(rows(1), error=ModelFailed("the model failed")), 10.5, FIRST, all_ok=False
        )
        version.request("model_error", 8.0)
        version.refused("invalid_input")
        telemetry.flush()

        counts = river.totals["m", "1"]
        assert counts.outcomes == {
            "ok": 3,
            "client_gone": 1,
            "non_finite_output": 1,
            "model_error": 1,
            "invalid_input": 1,
        }
        assert counts.outcome_seconds == {
            "ok": 1.0 + 1.0 + 1.0,
            "client_gone": 2.0,
            "non_finite_output": 4.0,
            "model_error": 8.0,
        }
        assert counts.request.total == 6
        assert counts.request.seconds == 2 * 1.0 + 1.0 + 2.0 + 4.0 + 8.0
        assert (counts.batches, counts.rows) == (2, 5)
        assert counts.closed == {"queue_empty": 3}
        assert counts.queue.total == 6
        assert counts.compute.total == 3
        [sent] = river.records
        assert sent.batches["rows"].tolist() == [2, 3]

    with_river(scenario)


def test_what_came_through_a_split_is_counted_again_by_itself() -> None:
    """Good ones of a batch, those with a fate of their own, and those that reached no batch."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        noted = batch(rows(1, 2, 3), requests=3)
        noted.entries[1].marks = SPLIT | KEYED  # type: ignore[attr-defined]
        version.batch(noted, 10.5, FIRST, all_ok=True)
        version.request("model_error", 2.0, SPLIT)
        version.request("model_error", 4.0, PINNED)
        version.refused("queue_full", SPLIT | KEYED | OWN_ID)
        version.refused("queue_full")
        telemetry.flush()

        counts = river.totals["m", "1"]
        assert counts.outcomes == {"ok": 3, "model_error": 2, "queue_full": 2}
        assert counts.routed.outcomes == {"ok": 1, "model_error": 1, "queue_full": 1}
        assert (counts.routed.request.total, counts.routed.request.seconds) == (2, 3.0)
        assert counts.routed.keyed == 2

    with_river(scenario)


def test_part_of_a_large_request_is_a_batch_without_a_request() -> None:
    """A batch of parts counts as a batch; its request is counted when its last part is done."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        version.batch(batch(rows(1, 2)), 10.5, FIRST, all_ok=False)
        version.batch(batch(rows(3)), 10.5, FIRST, all_ok=False)
        version.request("ok", 1.5)
        telemetry.flush()

        counts = river.totals["m", "1"]
        assert (counts.batches, counts.rows) == (2, 3)
        assert counts.outcomes == {"ok": 1}
        assert (counts.request.total, counts.request.seconds) == (1, 1.5)

    with_river(scenario)


def test_counts_that_cannot_be_sent_are_kept_and_records_are_dropped() -> None:
    """With control away no count is lost; dropped records are counted, and not sent late."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        river.refused = {Kind.TALLY, Kind.RECORDS}
        for _ in range(3):
            version.batch(batch(rows(1, 2)), 10.5, FIRST, all_ok=True)
            telemetry.flush()
        assert (telemetry.records_sent, telemetry.records_dropped) == (0, 3)
        assert river.totals == {}
        river.refused = set()
        await until(lambda: river.totals)

        counts = river.totals["m", "1"]
        assert (counts.batches, counts.rows, counts.outcomes["ok"]) == (3, 6, 3)
        assert river.records == []

    with_river(scenario)


def test_every_version_catches_up_after_a_refusal() -> None:
    """Also the counts of versions that were behind the one refused are sent later, once."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        river.refused = {Kind.TALLY}
        for version in ("1", "2", "3"):
            of_version(telemetry, version=version).batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
        telemetry.flush()
        river.refused = set()
        telemetry.flush()
        telemetry.flush()

        assert river.tallies == 3
        assert {key: counts.batches for key, counts in river.totals.items()} == {
            ("m", "1"): 1,
            ("m", "2"): 1,
            ("m", "3"): 1,
        }

    with_river(scenario)


steps = st.lists(
    st.sampled_from(["batch", "request", "refused", "flush", "open", "close"]), max_size=30
)


@settings(max_examples=40)
@given(steps)
def test_whatever_happens_to_the_river_sums_are_exact(taken: list[str]) -> None:
    """For any order of work, refusals and flushes, control's totals are what was done."""
    done = {word: taken.count(word) for word in taken}

    async def scenario(river: River, telemetry: Telemetry) -> None:
        version = of_version(telemetry)
        for step in taken:
            if step == "batch":
                version.batch(batch(rows(1, 2), requests=2), 10.5, FIRST, all_ok=True)
            elif step == "request":
                version.request("deadline_queue", 0.5)
            elif step == "refused":
                version.refused("queue_full")
            elif step == "flush":
                telemetry.flush()
            else:
                river.refused = {Kind.TALLY} if step == "close" else set()
        river.refused = set()
        telemetry.flush()

        counts = river.totals.get(("m", "1"), Tally())
        assert counts.outcomes["ok"] == 2 * done.get("batch", 0)
        assert counts.outcomes["deadline_queue"] == done.get("request", 0)
        assert counts.outcomes["queue_full"] == done.get("refused", 0)
        assert counts.batches == done.get("batch", 0)
        assert counts.request.total == 2 * done.get("batch", 0) + done.get("request", 0)
        assert sum(one.rows for one in river.records) == counts.rows

    with_river(scenario)


def test_counts_outlive_their_version() -> None:
    """What an unloaded version did is sent as well, beside what its successor does."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        of_version(telemetry).batch(batch(rows(1)), 10.5, FIRST, all_ok=True)
        of_version(telemetry).batch(batch(rows(2)), 10.5, FIRST, all_ok=True)
        telemetry.flush()
        assert river.totals["m", "1"].batches == 2

    with_river(scenario)


def test_refusals_that_name_no_version_are_counted_by_model() -> None:
    """They have a label of their own, and each model has one place for them."""

    async def scenario(river: River, telemetry: Telemetry) -> None:
        for _ in range(2):
            telemetry.refusals("m").refused("version_not_found")
        telemetry.refusals(UNKNOWN).refused("model_not_found")
        telemetry.flush()

        assert river.totals["m", ""].outcomes == {"version_not_found": 2}
        assert river.totals[UNKNOWN, ""].outcomes == {"model_not_found": 1}
        assert river.records == []
        assert river.tallies == 2

    with_river(scenario)
