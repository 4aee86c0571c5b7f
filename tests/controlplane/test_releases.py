"""How release states change: who waits for whom, and what outlives a store that fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.controlplane import releases
from server.controlplane.known import KnownModel
from server.controlplane.releases import Outcome, Wish
from server.errors import InvalidRequest, ModelNotFound, VersionNotFound
from server.operator_errors import (
    IdempotencyConflict,
    ReleaseRefused,
    StaleGeneration,
    StoreUnavailable,
)
from server.release.actions import Action, Verb
from server.release.route import ReleaseRoute
from server.store.keys import IdempotencyKey
from tests.support.fake_worker import known
from tests.support.releases import ReleaseBench, release_bench

PROMOTE_2 = Action(Verb.PROMOTE, "2")
PROMOTE_3 = Action(Verb.PROMOTE, "3")
ROLLBACK = Action(Verb.ROLLBACK)
ANN = Wish("ann", "because")
BOB = Wish("bob", "because")

Scenario = Callable[[ReleaseBench], Awaitable[None]]


def three_versions(mode: str = "manual") -> KnownModel:
    """Return a model with three sound versions."""
    model = known("m", "all", v1="aa", v2="bb", v3="cc")
    assert model.setup is not None
    settings = model.setup.settings.model_copy(update={"release": mode})
    model.setup = type(model.setup)(settings)
    return model


def play(tmp_path: Path, scenario: Scenario, mode: str = "manual") -> None:
    """Play a scenario in which version 1 is live."""

    async def main() -> None:
        async with release_bench(tmp_path, three_versions(mode)) as bench:
            bench.releases.change_now("m", Action(Verb.SET_LIVE, "1"), Wish("policy"))
            async with asyncio.timeout(60):
                await scenario(bench)

    asyncio.run(main())


def test_a_change_is_committed_then_in_place(tmp_path: Path) -> None:
    """The caller hears of it when it is in the store and in memory, with who and why."""

    async def scenario(bench: ReleaseBench) -> None:
        changes = bench.changes
        outcome = await bench.releases.change("m", PROMOTE_2, ANN)

        route = bench.releases.route("m")
        assert (outcome.is_durable, outcome.change.after) == (True, route)
        assert (route.live, route.previous, route.generation) == ("2", "1", 2)
        assert (await bench.keeper.load())["m"] == route
        assert await bench.history() == [("set_live", "policy", 1), ("promote", "ann", 2)]
        assert (bench.changes, bench.releases.last["m"]) == (changes + 1, outcome.change)
        assert bench.releases.counts["m", "promote"] == 1

    play(tmp_path, scenario)


def test_a_change_says_when_it_was_and_lasts_by_what_passes(tmp_path: Path) -> None:
    """The audit has the time of the machine's clock; what lasts for a time does not go by it."""

    async def scenario(bench: ReleaseBench) -> None:
        bench.now = 500.0
        outcome = await bench.releases.change("m", PROMOTE_2, ANN)

        assert outcome.change.at_seconds == pytest.approx(time.time(), abs=60.0)
        assert bench.releases.route("m").live_since_seconds == 500.0

    play(tmp_path, scenario)


def test_what_cannot_be_changes_nothing(tmp_path: Path) -> None:
    """Unknown names, missing reasons, versions that are not loaded: each says what is wrong."""

    async def scenario(bench: ReleaseBench) -> None:
        before = bench.releases.route("m")
        bench.fleet.missing.add(("m", "3"))
        for model, action, wish, error in (
            ("nobody", ROLLBACK, ANN, ModelNotFound),
            ("m", Action(Verb.PROMOTE, "9"), ANN, VersionNotFound),
            ("m", PROMOTE_2, Wish("ann"), InvalidRequest),
            ("m", PROMOTE_2, Wish("ann", "x", expected=0), StaleGeneration),
            ("m", PROMOTE_3, ANN, ReleaseRefused),
            ("m", ROLLBACK, ANN, ReleaseRefused),
        ):
            with pytest.raises(error):
                await bench.releases.change(model, action, wish)

        bench.releases.unproven = lambda model, version: [f"gates of {model} {version}"]
        with pytest.raises(ReleaseRefused, match="gates of m 2"):
            await bench.releases.change("m", PROMOTE_2, ANN)
        assert bench.releases.route("m") == before

    play(tmp_path, scenario)


def test_a_preview_changes_nothing(tmp_path: Path) -> None:
    """It says what would follow, and leaves it at that."""

    async def scenario(bench: ReleaseBench) -> None:
        before = bench.releases.route("m")
        assert bench.releases.preview("m", PROMOTE_2, ANN).after.live == "2"
        assert bench.releases.route("m") == before

    play(tmp_path, scenario)


def test_of_two_that_race_one_wins(tmp_path: Path) -> None:
    """Both have looked at the same generation; the second one is told that it has passed."""

    async def scenario(bench: ReleaseBench) -> None:
        results = await asyncio.gather(
            bench.releases.change("m", PROMOTE_2, Wish("ann", "x", expected=1)),
            bench.releases.change("m", PROMOTE_3, Wish("bob", "x", expected=1)),
            return_exceptions=True,
        )
        assert [type(one) for one in results] == [Outcome, StaleGeneration]
        assert bench.releases.route("m").live == "2"

    play(tmp_path, scenario)


def test_a_roll_back_overtakes_a_promotion_that_is_being_committed(tmp_path: Path) -> None:
    """It is in place at once; the promotion never is, and its caller hears so."""

    async def scenario(bench: ReleaseBench) -> None:
        await bench.releases.change("m", PROMOTE_2, ANN)
        bench.store.may_go.clear()
        while not bench.store.asked.locked():
            await bench.store.asked.acquire()
        promoting = asyncio.create_task(bench.releases.change("m", PROMOTE_3, BOB))
        await bench.store.asked.acquire()

        rolling = asyncio.create_task(bench.releases.change("m", ROLLBACK, ANN))
        await asyncio.sleep(0)
        assert (bench.releases.route("m").live, promoting.done()) == ("1", False)
        bench.store.may_go.set()

        assert (await rolling).is_durable
        with pytest.raises(StaleGeneration):
            await promoting
        route = bench.releases.route("m")
        assert (route.live, route.previous, route.generation) == ("1", "2", 4)
        assert (await bench.keeper.load())["m"] == route
        assert (await bench.history())[-1] == ("rollback", "ann", 4)

    play(tmp_path, scenario)


def test_a_roll_back_needs_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in place while the store is broken, says so, and is written when the store is back."""
    monkeypatch.setattr("server.controlplane.release_keeper.RETRY_SECONDS", 0.01)

    async def scenario(bench: ReleaseBench) -> None:
        await bench.releases.change("m", PROMOTE_2, ANN)
        monkeypatch.setattr(releases, "ROLLBACK_COMMIT_SECONDS", 0.01)
        bench.store.is_broken = True
        with pytest.raises(StoreUnavailable):
            await bench.releases.change("m", PROMOTE_3, ANN)

        outcome = await bench.releases.change("m", ROLLBACK, Wish("ann"))
        assert (outcome.is_durable, bench.keeper.unwritten) == (False, 1)
        assert bench.releases.route("m").live == "1"

        bench.store.is_broken = False
        assert await bench.keeper.written(outcome.change, 10)
        assert bench.keeper.unwritten == 0
        assert (await bench.keeper.load())["m"] == bench.releases.route("m")
        await bench.releases.change("m", PROMOTE_3, ANN)

    play(tmp_path, scenario)


def test_a_second_roll_back_needs_a_look_at_the_first(tmp_path: Path) -> None:
    """Two people who roll back at once do not bring back what both want to be rid of."""

    async def scenario(bench: ReleaseBench) -> None:
        await bench.releases.change("m", PROMOTE_2, ANN)
        await bench.releases.change("m", ROLLBACK, ANN)
        with pytest.raises(ReleaseRefused, match="version '1' is live"):
            await bench.releases.change("m", ROLLBACK, BOB)
        assert bench.releases.route("m").live == "1"

        await bench.releases.change("m", ROLLBACK, Wish("bob", expected=3))
        assert bench.releases.route("m").live == "2"

    play(tmp_path, scenario)


def test_a_store_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told, and the change is not made behind its back a minute later."""
    monkeypatch.setattr(releases, "COMMIT_SECONDS", 0.01)

    async def scenario(bench: ReleaseBench) -> None:
        bench.store.may_go.clear()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await bench.releases.change("m", PROMOTE_2, ANN)
        bench.store.may_go.set()

        monkeypatch.setattr(releases, "COMMIT_SECONDS", 10.0)
        await bench.releases.change("m", PROMOTE_3, ANN)
        assert (bench.releases.route("m").live, bench.releases.route("m").previous) == ("3", "1")

    play(tmp_path, scenario)


def test_a_call_with_a_key_is_made_once(tmp_path: Path) -> None:
    """A client that heard nothing asks again, and gets the same change, not another one."""

    async def scenario(bench: ReleaseBench) -> None:
        for action, body in ((PROMOTE_2, "b1"), (ROLLBACK, "b2")):
            key = IdempotencyKey(f"key {body}", "m", body)
            first = await bench.releases.change("m", action, Wish("ann", "x", key=key))
            again = await bench.releases.change("m", action, Wish("ann", "x", 0, key=key))
            assert (first.is_repeated, again.is_repeated) == (False, True)
            assert again.change.after == first.change.after == bench.releases.route("m")

            other = IdempotencyKey(key.key, "m", "another body")
            with pytest.raises(IdempotencyConflict):
                await bench.releases.change("m", action, Wish("ann", "x", key=other))

    play(tmp_path, scenario)


@pytest.mark.parametrize(("mode", "refused"), [("latest", {"cc"}), ("manual", set())])
def test_what_an_operator_passes_over_stays_down(
    tmp_path: Path, mode: str, refused: set[str]
) -> None:
    """Where the policy would bring a higher version back at once, it is told not to."""

    async def scenario(bench: ReleaseBench) -> None:
        await bench.releases.change("m", PROMOTE_2, ANN)
        assert bench.releases.route("m").refused.keys() == refused

    play(tmp_path, scenario, mode)


def test_the_higher_generation_is_the_truth_at_the_start(tmp_path: Path) -> None:
    """A change that the store has missed is taken from the desired state, and written."""

    async def main() -> None:
        async with release_bench(tmp_path, three_versions()) as bench:
            ahead = ReleaseRoute("ahead", 5, live="1")
            bench.releases.take_saved([ahead, ReleaseRoute("behind", 2, live="1")])
            behind = ReleaseRoute("behind", 3, live="2")
            bench.releases.take_stored({"ahead": ReleaseRoute("ahead", 4), "behind": behind})

            assert bench.releases.routes == {"ahead": ahead, "behind": behind}
            assert bench.keeper.unwritten == 1
            late = bench.releases.change_now("m", Action(Verb.SET_LIVE, "1"), Wish("policy"))
            assert await bench.keeper.written(late, 10)
            assert await bench.history("ahead") == [("recover", "system", 5)]

    asyncio.run(main())


def test_a_roll_back_before_the_store_is_read_is_written_once(tmp_path: Path) -> None:
    """It is on its way to the store: to find it in place there is nothing to recover."""

    async def main() -> None:
        async with release_bench(tmp_path, three_versions()) as bench:
            stored = ReleaseRoute("m", 4, "2", "bb", previous="1", previous_digest="aa")
            bench.releases.take_saved([stored])
            made = bench.releases.change_now("m", ROLLBACK, ANN)
            bench.releases.take_stored({"m": stored})

            assert await bench.keeper.written(made, 10)
            assert bench.keeper.unwritten == 0
            assert await bench.history("m") == [("rollback", "ann", 5)]
            assert bench.releases.route("m") == made.after

    asyncio.run(main())
