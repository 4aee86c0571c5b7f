"""Labels find their predictions, on a real store, whatever happens to it in between."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from server.controlplane import feedback
from server.controlplane.feedback_work import work_of_series
from server.monitoring.label_items import Result
from server.monitoring.locating import Version
from server.monitoring.realised import LabelCounts
from server.monitoring.realised_figures import PairedCounts
from server.operator_errors import FeedbackBusy, StoreUnavailable
from server.wire.record import OwnId
from tests.support.predicted import MODEL, FeedbackRig, item, records

ONE, TWO = Version(MODEL, "1", "d1"), Version(MODEL, "2", "d2")


def run(
    tmp_path: Path, scenario: Callable[[FeedbackRig], Coroutine[Any, Any, None]], **settings: Any
) -> None:
    """Run a scenario on a state directory."""

    async def whole() -> None:
        rig = FeedbackRig(tmp_path / "state", **settings)
        try:
            await scenario(rig)
        finally:
            await rig.store.close()

    asyncio.run(whole())


def counted(rig: FeedbackRig, of: Version = ONE) -> LabelCounts:
    """Return all counts of a version."""
    counts = LabelCounts()
    for key, one in rig.feedback.series.items():
        if key.of == of:
            counts.merge(one.counts)
    return counts


def test_labels_join_repeat_and_correct(tmp_path: Path) -> None:
    """Each item has its result; wrong ones cost the others nothing; counts are exact."""

    async def scenario(rig: FeedbackRig) -> None:
        one, two, three = rig.predict([0.9, 0.2, 0.7])
        far = f"{int((rig.now - 9 * 86400) * 1e6):x}-0000002a"
        old = f"{int((rig.now - 3600) * 1e6):x}-0000002a"

        first = await rig.label(
            item(one, 1), item(two, 1), "x", item(two, 1), item(three, 7), item(far, 1),
            item(old, 1), item(one, 1, row=1), item(three, "yes"),
        )  # fmt: skip
        assert first == [
            "joined",
            "joined",
            'rejected: expected an object, got "x"',
            "duplicate",
            "rejected: label: 7 is no class of the model; 0, 1 are",
            "expired",
            "unknown",
            "rejected: row: the prediction has 1 rows, got 1",
            'rejected: label: the classes of the model are of type integer, got "yes"',
        ]
        assert (counted(rig).rows, counted(rig).right) == (2, 1)

        assert await rig.label(item(two, 0), item(one, 1)) == ["corrected", "duplicate"]
        assert (counted(rig).rows, counted(rig).right) == (2, 2)
        assert rig.feedback.totals.items[Result.REJECTED] == 4
        assert rig.feedback.totals.items[Result.JOINED] == 2

    run(tmp_path, scenario)


def test_what_was_answered_is_there_after_a_crash(tmp_path: Path) -> None:
    """Another process on the same directory knows labels, counts and predictions."""
    ids: list[str] = []

    async def first(rig: FeedbackRig) -> None:
        ids.extend(rig.predict([0.9, 0.2], sexes=["f", "m"]))
        assert await rig.label(item(ids[0], 1)) == ["joined"]
        rig.predict([0.5])  # Never written: nobody was told anything of it.

    async def second(rig: FeedbackRig) -> None:
        await rig.feedback.tick()
        assert (counted(rig).rows, counted(rig).right) == (1, 1)
        assert rig.feedback.totals.kept_rows == 2
        assert await rig.label(item(ids[0], 1), item(ids[1], 1)) == ["duplicate", "joined"]
        series = await rig.store.run(work_of_series(rig.feedback.since_hour(), MODEL))
        segments = {key.segment: one for key, one in series.items()}
        assert (segments["sex=f"].predicted, segments["sex=f"].counts.right) == (1, 1)
        assert (segments["sex=m"].predicted, segments["sex=m"].counts.right) == (1, 0)
        assert segments[""].predicted == 2

    run(tmp_path, first)
    run(tmp_path, second)


def test_a_label_may_come_before_its_prediction(tmp_path: Path) -> None:
    """It waits ten minutes, and joins when the prediction comes; what never comes is unknown."""

    async def scenario(rig: FeedbackRig) -> None:
        first = rig.next_number
        coming, never = f"{first:x}-0000002a", f"{first + 500:x}-0000002a"
        assert await rig.label(item(coming, 1), item(never, 1)) == ["early", "early"]
        assert rig.feedback.early_items == 2

        rig.predict([0.9], first=first)
        await rig.feedback.tick()
        assert (counted(rig).rows, rig.feedback.early_items) == (1, 1)
        assert await rig.label(item(coming, 1)) == ["duplicate"]

        rig.now += 601.0
        await rig.feedback.tick()
        assert rig.feedback.early_items == 0
        assert rig.feedback.totals.items[Result.UNKNOWN] == 1

    run(tmp_path, scenario)


def test_early_labels_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound they are unknown at once."""
    monkeypatch.setattr(feedback, "MAX_EARLY_ITEMS", 1)

    async def scenario(rig: FeedbackRig) -> None:
        found = await rig.label(item("order 1", 1), item("order 2", 1))
        assert found == ["early", "unknown"]

    run(tmp_path, scenario)


def test_a_callers_own_id_joins_every_version_that_has_it(tmp_path: Path) -> None:
    """Live version and another one were asked about the same order: they are compared by it."""

    async def scenario(rig: FeedbackRig) -> None:
        rig.predict([0.9], own_ids=[OwnId(0, "order 1", 0)])
        rig.predict(
            [0.2], own_ids=[OwnId(0, "order 1", 0)], version="2", digest="d2", pinned=[True]
        )

        assert await rig.label(item("order 1", 1, acted_on=True)) == ["joined"]

        assert (counted(rig, ONE).right, counted(rig, TWO).right) == (1, 0)
        assert {key.is_acted_on for key, one in rig.feedback.series.items() if one.counts.rows} == {
            True
        }
        assert rig.feedback.pairs[ONE, TWO] == PairedCounts(live_only=1)
        assert await rig.label(item("order 1", 0)) == ["corrected"]
        assert rig.feedback.pairs[ONE, TWO] == PairedCounts(live_only=1)

    run(tmp_path, scenario)


def test_a_shadow_is_scored_by_labels_that_were_here_before_its_answers(tmp_path: Path) -> None:
    """One goes by a caller's id; one is corrected in the transaction that writes the answer."""

    async def scenario(rig: FeedbackRig) -> None:
        told: Counter[tuple[Version, Version]] = Counter()
        rig.feedback.take_evidence = lambda pairs, _: told.update(
            {pair: counts.rows for pair, counts in pairs.items()}
        )
        own_ids = [OwnId(1, "order 1", 0)]
        first, _, _ = rig.predict([0.9, 0.9, 0.9], own_ids=own_ids)
        assert await rig.label(item(first, 1), item("order 1", 0)) == ["joined"] * 2
        assert not rig.feedback.pairs

        number = rig.next_number - 3
        answers = [0.1, 0.1, 0.1]
        rig.feedback.take_shadow(
            records(answers, first=number, version="2", digest="d2", own_ids=own_ids)
        )
        assert await rig.label(item(first, 0)) == ["corrected"]

        assert rig.feedback.pairs == {(ONE, TWO): PairedCounts(live_only=1, candidate_only=1)}
        assert told == {(ONE, TWO): 2}
        assert (counted(rig, ONE).right, counted(rig, ONE).rows) == (0, 2)
        assert (counted(rig, TWO).right, counted(rig, TWO).rows) == (2, 2)
        await rig.feedback.tick()
        assert counted(rig, TWO).rows == 2

    run(tmp_path, scenario)


def test_when_the_store_cannot_be_written_nothing_is_lost(tmp_path: Path) -> None:
    """Callers are told so, predictions wait, and the next try has both."""

    async def scenario(rig: FeedbackRig) -> None:
        (one,) = rig.predict([0.9])
        works = rig.store.run

        async def broken(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("the disk is full")

        rig.store.run = broken  # type: ignore[method-assign]
        asked = asyncio.ensure_future(rig.feedback.submit([item(one, 1)]))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await rig.feedback.tick()
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await asked
        rig.store.run = works  # type: ignore[method-assign]

        assert await rig.label(item(one, 1)) == ["joined"]

    run(tmp_path, scenario)


def test_too_many_waiting_labels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a call or nothing of it; what waits is written all the same."""
    monkeypatch.setattr(feedback, "MAX_WAITING_ITEMS", 3)

    async def scenario(rig: FeedbackRig) -> None:
        ids = rig.predict([0.9, 0.1])
        asked = asyncio.ensure_future(rig.feedback.submit([item(one, 1) for one in ids]))
        await asyncio.sleep(0)
        with pytest.raises(FeedbackBusy, match="2 labels wait"):
            await rig.feedback.submit([item(ids[0], 1)] * 2)
        await rig.feedback.tick()
        assert [answer.result for answer in await asked] == [Result.JOINED] * 2
        assert await rig.label(item(ids[0], 1)) == ["duplicate"]

    run(tmp_path, scenario)


def test_calls_that_wait_go_in_one_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But no more items than are written at once; each caller has the answers to its items."""
    monkeypatch.setattr(feedback, "MAX_ITEMS_AT_ONCE", 2)

    async def scenario(rig: FeedbackRig) -> None:
        ids = rig.predict([0.9, 0.1, 0.8])
        asked = [asyncio.ensure_future(rig.feedback.submit([item(one, 1)])) for one in ids]
        await asyncio.sleep(0)
        await rig.feedback.tick()
        await asyncio.sleep(0)
        assert [call.done() for call in asked] == [True, True, False]
        await rig.feedback.tick()
        assert [(await call)[0].result for call in asked] == [Result.JOINED] * 3

    run(tmp_path, scenario)


def test_old_rows_go_and_their_figures_stay(tmp_path: Path) -> None:
    """By age: a label for them is expired; what was counted is still counted while it is shown."""

    async def scenario(rig: FeedbackRig) -> None:
        (one, two) = rig.predict([0.9, 0.1])
        await rig.label(item(one, 1))
        rig.now += 1.2 * 86_400
        await rig.feedback.tick()
        assert rig.feedback.totals.dropped_rows == 2
        assert rig.feedback.totals.kept_rows == 0
        assert await rig.label(item(two, 1), item(one, 0)) == ["expired", "expired"]

    run(tmp_path, scenario, feedback_days=1.0)


def test_no_more_rows_are_kept_than_may_be(tmp_path: Path) -> None:
    """The oldest go first; labels for them are expired."""

    async def scenario(rig: FeedbackRig) -> None:
        (first, *_) = rig.predict([0.9] * 600)
        await rig.feedback.tick()
        (last, *_) = rig.predict([0.9] * 600)
        await rig.feedback.tick()
        rig.now += 31.0
        await rig.feedback.tick()
        assert (rig.feedback.totals.kept_rows, rig.feedback.totals.dropped_rows) == (600, 600)
        rig.predict([0.9] * 350)
        assert await rig.label(item(first, 1), item(last, 1)) == ["expired", "joined"]

    run(tmp_path, scenario, feedback_max_rows=1000)
