"""Counts of candidates: those of the present epochs, over restarts, whatever the store does."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection

from server.controlplane.evidence_book import EvidenceBook, current_keys, live_epoch
from server.monitoring.locating import Version
from server.monitoring.nearness import NearnessCounts
from server.monitoring.realised_figures import PairedCounts
from server.release.canary_evidence import CanaryEvidence, Requests
from server.release.evidence import ShadowEvidence
from server.release.route import Canary, ReleaseRoute, Shadow
from server.store import evidence
from server.store.keys import EvidenceKey
from tests.support.evidence import requests, shadow_evidence
from tests.support.releases import TrickyStore

ROUTE = ReleaseRoute(
    "m",
    7,
    live="1",
    live_since_seconds=50.0,
    canary=Canary("2", "d2", (100, 500), 1, 60.0, "5", "salt"),
    shadows=(Shadow("3", "d3", 10_000, "6", 70.0),),
)
SHADOW, CANARY = EvidenceKey("m", "3", "6"), EvidenceKey("m", "2", "5")
LIVE = EvidenceKey("m", "1", "live/50.000")
PAIRS = shadow_evidence(100)
NEAR = NearnessCounts(live_nearer=1)


class Bench:
    """A store, and books on it, one after another."""

    def __init__(self, state_dir: Path) -> None:
        self.store = TrickyStore(state_dir)
        self.route = ROUTE

    def book(self) -> EvidenceBook:
        return EvidenceBook(self.store, lambda _: self.route)

    async def stored(self) -> set[EvidenceKey]:
        def work(connection: Connection) -> set[EvidenceKey]:
            return set(evidence.load_all(connection))

        return set(await self.store.run(work))


def play(tmp_path: Path, scenario: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        bench = Bench(tmp_path)
        try:
            await scenario(bench)
        finally:
            await bench.store.close()

    asyncio.run(main())


def test_a_release_has_counts_for_each_part() -> None:
    """Shadows, the canary, and what was promoted; each in its own epoch."""
    assert current_keys(ROUTE) == {SHADOW, CANARY, LIVE}
    assert live_epoch(ROUTE) == LIVE.epoch
    assert current_keys(ReleaseRoute("m")) == set()


def test_counts_add_up_in_their_own_part(tmp_path: Path) -> None:
    """Those of a canary in the step that it is in."""

    async def scenario(bench: Bench) -> None:
        book = bench.book()
        book.add("m", "3", "6", PAIRS)
        book.add("m", "3", "6", PAIRS)
        book.set_slow(CANARY, 0.05)
        book.add_routed(CANARY, requests(5), requests(95))
        book.add_lost_workers(CANARY, 1)
        book.add_live(LIVE, requests(10, failures=1))

        assert book.of(SHADOW).shadow.pairs == Counter(same=200)
        canary = CanaryEvidence(0.05)
        canary.add(1, 500, requests(5), requests(95))
        canary.lost_workers = 1
        assert book.of(CANARY).canary == canary
        assert book.of(LIVE).live == requests(10, failures=1)
        assert book.has(LIVE)

    play(tmp_path, scenario)


def test_labels_count_for_the_shadows_of_now(tmp_path: Path) -> None:
    """Of the files that are live and tried; each epoch begins with none, and keeps its own."""

    async def scenario(bench: Bench) -> None:
        live, shadow = Version("m", "1", "d1"), Version("m", "3", "d3")
        bench.route = replace(ROUTE, live_digest="d1")
        book = bench.book()
        book.add_labels(
            {
                (live, shadow): PairedCounts(5, 1),
                (live, Version("m", "2", "d2")): PairedCounts(7),
                (live, shadow._replace(digest="other")): PairedCounts(7),
                (live._replace(digest="other"), shadow): PairedCounts(7),
            },
            {(live, shadow): NearnessCounts(3, 2, 1), (live, Version("m", "2", "d2")): NEAR},
        )
        book.add_labels({(live, shadow): PairedCounts(0, 0, 2)}, {(live, shadow): NEAR})
        await book.flush(100.0)
        again = bench.book()
        again.add_labels({(live, shadow): PairedCounts(neither=1)}, {})
        await again.open()
        assert again.of(SHADOW).labels == PairedCounts(5, 1, 2, 1)
        assert again.of(SHADOW).nearness == NearnessCounts(4, 2, 1)
        assert again.of(CANARY).labels == PairedCounts()

        bench.route = replace(bench.route, shadows=(replace(ROUTE.shadows[0], epoch="8"),))
        again.add_labels({(live, shadow): PairedCounts(1)}, {})
        assert again.of(EvidenceKey("m", "3", "8")).labels == PairedCounts(1)

    play(tmp_path, scenario)


def test_what_has_no_part_any_more_is_not_counted(tmp_path: Path) -> None:
    """A message that comes late must not begin the epoch of another one."""

    async def scenario(bench: Bench) -> None:
        book = bench.book()
        book.add("m", "3", "5", PAIRS)
        book.add("m", "9", "6", PAIRS)
        bench.route = ReleaseRoute("m", 8, live="1")
        book.add_routed(CANARY, requests(5), requests(95))
        book.set_slow(CANARY, 0.05)
        await book.flush(100.0)

        assert not any(book.has(key) for key in (SHADOW, CANARY))
        assert await bench.stored() == set()

    play(tmp_path, scenario)


def test_counts_outlive_a_restart(tmp_path: Path) -> None:
    """What came before they were read is added; what is stored is never overwritten by less."""

    async def scenario(bench: Bench) -> None:
        first = bench.book()
        first.add("m", "3", "6", PAIRS)
        first.set_slow(CANARY, 0.05)
        first.add_routed(CANARY, requests(5), requests(95))
        first.add_live(LIVE, Requests())
        await first.flush(100.0)

        second = bench.book()
        second.add("m", "3", "6", PAIRS)
        await second.flush(200.0)
        await second.open()
        third = bench.book()
        await third.open()
        for book in (second, third):
            assert book.of(SHADOW).shadow.pairs == Counter(same=200)
            assert book.of(CANARY) == first.of(CANARY)
            assert book.has(LIVE)

    play(tmp_path, scenario)


def test_counts_wait_for_a_store_that_cannot_be_used(tmp_path: Path) -> None:
    """And go on meanwhile."""

    async def scenario(bench: Bench) -> None:
        book = bench.book()
        book.add("m", "3", "6", PAIRS)
        bench.store.is_broken = True
        await book.flush(100.0)
        book.add("m", "3", "6", PAIRS)
        bench.store.is_broken = False
        await book.flush(110.0)

        again = bench.book()
        await again.open()
        assert again.of(SHADOW).shadow.pairs == Counter(same=200)

    play(tmp_path, scenario)


def test_what_comes_while_the_store_writes_is_written_the_next_time(tmp_path: Path) -> None:
    """The store's thread has a copy."""

    async def scenario(bench: Bench) -> None:
        book = bench.book()
        await book.open()
        book.add("m", "3", "6", PAIRS)
        bench.store.may_go.clear()
        writing = asyncio.create_task(book.flush(100.0))
        await asyncio.sleep(0)
        book.add("m", "3", "6", PAIRS)
        bench.store.may_go.set()
        await writing
        await book.flush(110.0)

        again = bench.book()
        await again.open()
        assert again.of(SHADOW).shadow.pairs == Counter(same=200)

    play(tmp_path, scenario)


def test_earlier_epochs_are_kept_in_the_store_only(tmp_path: Path) -> None:
    """For whoever asks why something was decided."""

    async def scenario(bench: Bench) -> None:
        book = bench.book()
        book.add("m", "3", "6", PAIRS)
        bench.route = ReleaseRoute("m", 8, live="1")
        await book.flush(100.0)
        await book.flush(110.0)

        assert not book.has(SHADOW)
        assert await bench.stored() == {SHADOW}
        again = bench.book()
        await again.open()
        assert not again.has(SHADOW)

    play(tmp_path, scenario)


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """Counts of another version of the gateway, for example: the others are taken over."""

    async def scenario(bench: Bench) -> None:
        def work(connection: Connection) -> None:
            evidence.save(connection, {CANARY: {"strange": 1}}, 100.0)

        book = bench.book()
        book.add("m", "3", "6", PAIRS)
        await book.flush(100.0)
        await bench.store.run(work)
        again = bench.book()
        await again.open()

        assert again.has(SHADOW)
        assert not again.has(CANARY)
        assert again.of(CANARY).shadow == ShadowEvidence()

    play(tmp_path, scenario)
