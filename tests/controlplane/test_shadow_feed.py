"""What is mirrored and what is counted instead, with a shadow process in the hands of the test."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.controlplane import shadow_feed
from server.controlplane.evidence_book import Evidence
from server.controlplane.shadow_feed import ShadowFeed
from server.controlplane.shadow_findings import MAX_FINDINGS
from server.release.evidence import SCORE_BINS, ShadowEvidence
from server.release.mismatches import Mismatch
from server.release.route import ReleaseRoute
from server.settings import Settings
from server.store.keys import EvidenceKey
from server.wire import record, shadow
from server.wire.frames import FrameReader, Kind, frame
from server.wire.record import BatchRecords, Content
from server.wire.shadow import EvidenceDelta, Run, ShadowStatus
from tests.controlplane.test_shadow_plans import known_model, route
from tests.controlplane.test_shadow_plans import shadow as a_shadow
from tests.support import models
from tests.support.batches import on_loop
from tests.support.shadow import opened, record_of

SAMPLE = Mismatch(0.5, "nan", 0.0, "", 0, {}, {}, {})


class Book:
    """Evidence by version and epoch, and what an earlier control has left of it."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], ShadowEvidence] = {}

    def add(self, model: str, version: str, epoch: str, evidence: ShadowEvidence) -> None:
        assert model == "m"
        self.kept.setdefault((version, epoch), ShadowEvidence()).add(evidence)

    def of(self, key: EvidenceKey) -> Evidence:
        return Evidence(self.kept.get((key.version, key.epoch), ShadowEvidence()))


class FakeShadow:
    """The other end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._frames = FrameReader()
        self._got: list[tuple[Kind, memoryview]] = []

    async def next(self, kind: Kind) -> memoryview:
        """Return the next message, which must be of a kind."""
        while not self._got:
            chunk = await asyncio.wait_for(self._reader.read(1 << 20), 60)
            assert chunk
            self._got += self._frames.feed(chunk)
        found, payload = self._got.pop(0)
        assert found is kind
        return payload

    def say(self, kind: Kind, message: bytes) -> None:
        self.writer.write(frame(kind, message))

    def say_loaded(self, *epochs: str, cpu_seconds: float = 0.0) -> None:
        status = ShadowStatus(1, loaded={"m": epochs}, cpu_seconds=cpu_seconds)
        self.say(Kind.SHADOW_STATUS, shadow.encode_status(status))


class Scene:
    """A feed, what it reports, and the record of a batch of its live version."""

    def __init__(self, folder: Path) -> None:
        self.book = Book()
        self.reports: list[bool] = []
        self.unmirrored: Counter[str] = Counter(size=5)
        self.path = str(folder / "shadow.sock")
        self.feed = ShadowFeed(
            Settings(),
            {"m": known_model("1", "2", "3")},
            self.book,
            unmirrored=lambda *key: self.unmirrored if key == ("m", "1") else Counter(),
            lag_seconds=lambda: 0.0,
            report=self.reports.append,
        )
        live = opened(folder, "1", models.identity())
        self.record = record_of(live, {"x": np.ones((4, 3), np.float32)}, [1, 3])

    def take(self, times: int = 1, sent: BatchRecords | None = None) -> None:
        """Have the feed take a record as often as that."""
        message = memoryview(b"".join(record.encode(sent or self.record)))
        for _ in range(times):
            self.feed.take(record.decode(message), message)

    def evidence(self, version: str) -> ShadowEvidence:
        """Return what the book has of a version."""
        self.feed.flush()
        return self.book.kept.get((version, f"e{version}"), ShadowEvidence())

    async def until(self, condition: Any) -> None:
        """Let the loop turn until a condition holds."""
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    @contextlib.asynccontextmanager
    async def connected(self, *epochs: str) -> AsyncIterator[FakeShadow]:
        """Connect a shadow process that has loaded epochs; its plan has been read."""
        fake = FakeShadow(*await asyncio.open_unix_connection(self.path))
        await fake.next(Kind.SHADOW_PLAN)
        fake.say_loaded(*epochs)
        await self.until(lambda: self.feed.status is not None)
        try:
            yield fake
        finally:
            fake.writer.close()


@contextlib.asynccontextmanager
async def scene(folder: Path, routes: dict[str, ReleaseRoute]) -> AsyncIterator[Scene]:
    """Have a feed that follows routes and listens."""
    made = Scene(folder)
    server = await made.feed.link.listen(made.path)
    made.feed.want(routes)
    made.feed.start()
    try:
        yield made
    finally:
        server.close()


def test_a_record_reaches_the_candidates_that_it_is_drawn_for(tmp_path: Path) -> None:
    """It is the worker's own bytes; each candidate is given its share of the records."""

    async def check() -> None:
        async with (
            scene(tmp_path, route(a_shadow("2"), a_shadow("3", 1000))) as at,
            at.connected("e2", "e3") as fake,
        ):
            at.take(400)
            drawn: Counter[str] = Counter()
            for _ in range(400):
                versions, message = shadow.split_mirror(await fake.next(Kind.MIRROR))
                drawn.update(versions)
                assert message == b"".join(record.encode(at.record))
            assert drawn["2"] == 400
            assert 10 < drawn["3"] < 90
            assert at.evidence("3").sampled_batches == drawn["3"]
            assert not at.evidence("2").dropped

    on_loop(check)


def test_what_is_not_evidence_is_not_mirrored(tmp_path: Path) -> None:
    """Other versions, other files, and rows that were reduced; nothing is counted."""

    async def check() -> None:
        async with scene(tmp_path, route(a_shadow("2"))) as at, at.connected("e2"):
            changes: tuple[dict[str, Any], ...] = (
                {"version": "2"},
                {"model": "n"},
                {"digest": "other"},
                {"content": Content.REDUCED},
                {"inputs": []},
            )
            for change in changes:
                at.take(sent=replace(at.record, **change))
            assert at.evidence("2") == ShadowEvidence()

    on_loop(check)


def test_a_record_that_cannot_be_sent_is_counted_by_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process, not loaded, too large, predictions that suffer, no budget, a full socket."""

    async def check() -> None:
        async with scene(tmp_path, route(a_shadow("2"))) as at:
            at.take()
            async with at.connected("e3"):
                at.take()
            await at.until(lambda: at.feed.status is None)
            async with at.connected("e2"):
                with monkeypatch.context() as patch:
                    patch.setattr(shadow_feed, "MAX_MIRROR_BYTES", 10)
                    at.take()
                at.feed.throttle.share = 0.0
                at.take()
                at.feed.throttle.share = 1.0
                with monkeypatch.context() as patch:
                    patch.setattr(at.feed.throttle, "_tokens_seconds", -1.0)
                    at.take()
                with monkeypatch.context() as patch:
                    patch.setattr("server.controlplane.shadow_link.MAX_WAITING_BYTES", -1)
                    at.take()
            expected = ("down", "not_loaded", "size", "pressure", "budget", "queue_full")
            assert at.evidence("2").dropped == Counter(expected)
            assert at.evidence("2").sampled_batches == len(expected)

    on_loop(check)


def test_what_the_process_has_seen_goes_into_the_book_and_into_the_totals(tmp_path: Path) -> None:
    """Counts add up; samples are kept while the candidate is a shadow."""

    async def check() -> None:
        async with scene(tmp_path, route(a_shadow("2"))) as at, at.connected("e2") as fake:
            seen = EvidenceDelta("m", "2", "e2", ShadowEvidence(pairs=Counter(nan=2)), [SAMPLE])
            fake.say(Kind.SHADOW_EVIDENCE, shadow.encode_evidence(seen))
            fake.say(Kind.SHADOW_EVIDENCE, shadow.encode_evidence(seen))
            await at.until(lambda: at.evidence("2").pairs["nan"] == 4)
            assert at.feed.totals["m", "2"].pairs == Counter(nan=4)
            assert [one.draw for one in at.feed.mismatches(("m", "2", "e2"))] == [0.5, 0.5]

            at.feed.want(route())
            assert at.feed.mismatches(("m", "2", "e2")) == []
            at.feed.keep_only(["n"])
            assert not at.feed.totals

    on_loop(check)


def test_how_candidates_answered_is_passed_on_for_labels(tmp_path: Path) -> None:
    """A record as it would have come from a worker of the candidate."""

    async def check() -> None:
        async with scene(tmp_path, route(a_shadow("2"))) as at, at.connected("e2") as fake:
            told: list[BatchRecords] = []
            at.feed.take_answers = told.append
            fake.say(Kind.SHADOW_ANSWERS, b"".join(record.encode(at.record)))
            await at.until(lambda: told)
            assert told[0].rows == at.record.rows
            assert told[0].request_numbers.tolist() == at.record.request_numbers.tolist()

    on_loop(check)


def test_the_end_of_the_process_is_a_finding_of_the_candidate_that_ran(tmp_path: Path) -> None:
    """A crash, with the pairs that it ran on as errors; if nothing ran, nobody is to blame."""

    async def check() -> None:
        async with scene(tmp_path, route(a_shadow("2"), a_shadow("3"))) as at:
            async with at.connected("e2", "e3") as fake:
                fake.say(Kind.SHADOW_RUN, shadow.encode_run(Run("m", "2", "e2", 7)))
            await at.until(lambda: at.feed.status is None)
            assert at.evidence("2").findings == Counter(crash=1)
            assert at.evidence("2").pairs == Counter(error=7)

            async with at.connected("e2", "e3") as fake:
                fake.say(Kind.SHADOW_RUN, shadow.encode_run(Run("m", "3", "e3", 7)))
                fake.say(Kind.SHADOW_RUN, shadow.encode_run(None))
            await at.until(lambda: at.feed.status is None)
            assert at.evidence("3").findings == Counter()

    on_loop(check)


def test_a_candidate_that_fails_again_and_again_is_suspended_and_others_go_on(
    tmp_path: Path,
) -> None:
    """It is planned no more, and what it is drawn for is counted; a new epoch begins anew."""

    async def check() -> None:
        async with (
            scene(tmp_path, route(a_shadow("2"), a_shadow("3"))) as at,
            at.connected("e2", "e3") as fake,
        ):
            hang = EvidenceDelta("m", "2", "e2", ShadowEvidence(findings=Counter(hang=1)))
            for _ in range(MAX_FINDINGS):
                fake.say(Kind.SHADOW_EVIDENCE, shadow.encode_evidence(hang))
            (plan,) = shadow.decode_plans(await fake.next(Kind.SHADOW_PLAN))
            assert [one.epoch for one in plan.candidates] == ["e3"]
            at.take()
            versions, _ = shadow.split_mirror(await fake.next(Kind.MIRROR))
            assert versions == ["3"]
            assert at.evidence("2").dropped == Counter(suspended=1)
            assert at.evidence("2").findings == Counter(hang=MAX_FINDINGS, suspended=1)

            at.feed.want(route(replace(a_shadow("2"), epoch="new")))
            (plan,) = shadow.decode_plans(await fake.next(Kind.SHADOW_PLAN))
            assert [one.epoch for one in plan.candidates] == ["new"]

    on_loop(check)


def test_the_process_is_wanted_while_there_is_something_to_compare(tmp_path: Path) -> None:
    """The supervisor is told when that changes, and only then."""

    async def check() -> None:
        async with scene(tmp_path, route()) as at:
            assert at.reports == []
            for routes in (route(a_shadow("2")), route(a_shadow("3")), route(a_shadow("9")), {}):
                at.feed.want(routes)
            assert at.reports == [True, False]

    on_loop(check)


def test_a_new_process_is_told_how_scores_were_counted_so_far(tmp_path: Path) -> None:
    """It goes on between the same edges."""

    async def check() -> None:
        async with scene(tmp_path, route(a_shadow("2"))) as at, at.connected("e2") as fake:
            seen = ShadowEvidence(live_scores=[1] * SCORE_BINS, score_low=-3.0, score_high=4.0)
            delta = EvidenceDelta("m", "2", "e2", seen)
            fake.say(Kind.SHADOW_EVIDENCE, shadow.encode_evidence(delta))
            fake.writer.close()
            await at.until(lambda: at.feed.status is None)
            again = FakeShadow(*await asyncio.open_unix_connection(at.path))
            (plan,) = shadow.decode_plans(await again.next(Kind.SHADOW_PLAN))
            assert plan.candidates[0].score_range == (-3.0, 4.0)
            again.writer.close()

    on_loop(check)


def test_what_workers_could_not_send_whole_is_counted_too(tmp_path: Path) -> None:
    """From when the candidate became a shadow; each candidate has lost its share."""

    async def check() -> None:
        async with scene(tmp_path, route(a_shadow("2"), a_shadow("3", 5000))) as at:
            assert at.evidence("2") == ShadowEvidence()
            at.unmirrored = Counter(size=15, river=4)
            assert at.evidence("2").dropped == Counter(size=10, river=4)
            assert at.evidence("3").dropped == Counter(size=5, river=2)
            assert at.evidence("3").sampled_batches == 7

    on_loop(check)


def test_nothing_is_mirrored_before_the_start(tmp_path: Path) -> None:
    """What an earlier control has counted must be known first."""

    async def check() -> None:
        at = Scene(tmp_path)
        at.feed.want(route(a_shadow("2")))
        at.take()
        assert at.evidence("2") == ShadowEvidence()
        assert at.reports == []
        at.feed.start()
        assert at.reports == [True]

    on_loop(check)


def test_a_busy_second_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits, run times and the processor time of the shadow process go into the throttle."""
    monkeypatch.setattr(shadow_feed, "FLUSH_SECONDS", 0.01)

    async def check() -> None:
        async with scene(tmp_path, route(a_shadow("2"))) as at, at.connected("e2") as fake:
            slow = replace(at.record, waits=np.full(2, 9.0, np.float32))
            fake.say_loaded("e2", cpu_seconds=1.0)
            task = asyncio.create_task(at.feed.run())
            cpu_seconds = 1.0
            while at.feed.throttle.share == 1.0:
                cpu_seconds += 1.0
                fake.say_loaded("e2", cpu_seconds=cpu_seconds)
                at.take(sent=slow)
                await asyncio.sleep(0.002)
            task.cancel()

    on_loop(check)
