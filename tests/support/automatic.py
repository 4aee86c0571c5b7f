"""A release that goes on by itself, without a gateway: real states, store and gates."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from server.controlplane.evidence_book import EvidenceBook
from server.controlplane.known import KnownModel
from server.controlplane.release_controller import ReleaseController
from server.controlplane.release_judge import Judge
from server.controlplane.releases import Wish
from server.controlplane.totals import Totals
from server.release.actions import Action, Verb
from server.release.gate_settings import CanarySettings, GateSettings
from server.release.route import ReleaseRoute
from server.settings import ReleaseMode
from server.wire.status import Status
from server.wire.tally import Tally
from tests.support.fake_worker import known
from tests.support.releases import ReleaseBench, release_bench

GATES = GateSettings(min_seconds=10.0, max_seconds=100.0)
STEPS = CanarySettings(
    steps=(1000, 5000), min_seconds=10.0, min_requests=50, max_seconds=100.0, bake_seconds=60.0
)


def two_versions(mode: ReleaseMode, gates: GateSettings | None = GATES) -> KnownModel:
    """Return a model with two sound versions; it is unknown whether it answers labels."""
    model = known("m", "all", v1="aa", v2="bb")
    assert model.setup is not None
    settings = model.setup.settings.model_copy(update={"release": mode})
    model.setup = replace(model.setup, settings=settings, gates=gates, canary=STEPS)
    return model


class FakeWorkers:
    """Workers that split by what they were told at once, unless a test says otherwise."""

    def __init__(self) -> None:
        self.replaced = {0: 0, 1: 0}
        self.late = 0

    def replacements(self) -> dict[int, int]:
        """Return how often each was replaced."""
        return dict(self.replaced)

    def behind(self, has_done: Callable[[Status], bool]) -> list[None]:
        """Return as many as are late."""
        del has_done
        return [None] * self.late


class AutomaticBench:
    """All parts, a clock that is set, and counts that a test adds to."""

    def __init__(self, bench: ReleaseBench) -> None:
        self.bench = bench
        self.releases = bench.releases
        self.totals = Totals()
        self.workers = FakeWorkers()
        self.book = EvidenceBook(bench.store, self.releases.route)
        self.judge = Judge(bench.models, self.releases.route, self.book)
        self.releases.unproven = self.judge.unproven
        self.controller = self.another_controller()

    def another_controller(self) -> ReleaseController:
        """Return what a restarted control would have."""
        return ReleaseController(
            self.releases,
            self.judge,
            self.book,
            self.totals,
            self.workers,
            lambda: self.bench.now,
        )

    @property
    def route(self) -> ReleaseRoute:
        """The state of the only model."""
        return self.releases.route("m")

    async def pass_seconds(self, seconds: int, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass, with what `each` does a second."""
        for _ in range(seconds):
            self.bench.now += 1.0
            each()
            await self.controller.tick()

    def serve(self, version: str, requests: int, code: str = "ok", seconds: float = 0.003) -> None:
        """Let a version answer requests that came through the split."""
        tally = self.totals.versions.setdefault(("m", version), Tally())
        durations = np.full(requests, seconds)
        tally.outcomes[code] += requests
        tally.request.observe(durations)
        tally.routed.outcomes[code] += requests
        tally.routed.request.observe(durations)

    def traffic(self, code: str = "ok", seconds: float = 0.003) -> None:
        """Let requests come for a second: a thousand, split as the route says."""
        canary = self.route.canary
        share = 0 if canary is None else canary.weight_bp // 10
        assert self.route.live is not None
        self.serve(self.route.live, 1000 - share)
        if canary is not None:
            self.serve(canary.version, share, code, seconds)


def play(
    tmp_path: Path,
    model: KnownModel,
    scenario: Callable[[AutomaticBench], Awaitable[None]],
) -> None:
    """Play a scenario in which version 1 is live."""
    tmp_path.mkdir(exist_ok=True)

    async def main() -> None:
        async with release_bench(tmp_path, model) as bench:
            bench.releases.change_now("m", Action(Verb.SET_LIVE, "1"), Wish("policy"))
            async with asyncio.timeout(60):
                await scenario(AutomaticBench(bench))

    asyncio.run(main())
