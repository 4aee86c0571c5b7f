"""Metrics of releases: parts, generations and changes of the models that are there."""

import asyncio
from pathlib import Path

from server.controlplane.release_metrics import collect
from server.controlplane.releases import Wish
from server.release.actions import Action, Verb
from server.release.route import Canary, ReleaseRoute, Shadow
from tests.support.fake_worker import known
from tests.support.releases import ReleaseBench, release_bench


def samples(bench: ReleaseBench, models: set[str]) -> dict[tuple[str, ...], float]:
    """Return name and label values of each sample, with its value."""
    return {
        (sample.name.removeprefix("tidegate_release_"), *sample.labels.values()): sample.value
        for family in collect(bench.releases, bench.keeper, models)
        for sample in family.samples
    }


def test_all_parts_are_told(tmp_path: Path) -> None:
    """Live, previous, canary and shadow; nothing of models that have gone."""
    canary = Canary("3", "cc", (100, 2500), 1, 0.0, "1", "salt")
    route = ReleaseRoute(
        "m",
        7,
        live="2",
        previous="1",
        canary=canary,
        shadows=(Shadow("4", "dd", 100, "2", 0.0),),
        held="wait",
    )

    async def main() -> None:
        async with release_bench(tmp_path) as bench:
            bench.releases.take_saved([route, ReleaseRoute("gone", 3, live="1")])
            assert samples(bench, {"m", "new"}) == {
                ("generation", "m"): 7.0,
                ("part", "m", "2", "live"): 1.0,
                ("part", "m", "1", "previous"): 1.0,
                ("part", "m", "3", "canary"): 1.0,
                ("part", "m", "4", "shadow"): 1.0,
                ("canary_weight_ratio", "m", "3"): 0.25,
                ("held", "m"): 1.0,
                ("unwritten_changes",): 0.0,
                ("lost_changes_total",): 0.0,
            }

    asyncio.run(main())


def test_changes_are_counted(tmp_path: Path) -> None:
    """By verb, and those that wait for the store by themselves."""

    async def main() -> None:
        async with release_bench(tmp_path, known("m", v1="aa")) as bench:
            bench.releases.change_now("m", Action(Verb.SET_LIVE, "1"), Wish("policy"))
            found = samples(bench, {"m"})
            assert found["changes_total", "m", "set_live"] == 1.0
            assert found["unwritten_changes",] == 1.0
            assert ("changes_total", "m", "set_live") not in samples(bench, set())

    asyncio.run(main())
