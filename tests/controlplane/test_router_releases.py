"""From release states to desired states: who answers, and what does not have to be waited for."""

import asyncio
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from server.controlplane import release_reading, router
from server.controlplane.intents import write_whole
from server.controlplane.known import KnownModel
from server.controlplane.releases import Wish
from server.release.actions import Action, Verb
from server.release.route import ReleaseRoute
from server.repository.model_settings import ModelSetup
from server.settings import ModelSettings, ReleaseMode
from server.store import sqlite_file
from server.wire import desired
from server.wire.desired import DesiredState, ModelPlan
from server.wire.status import Failure
from tests.support.fake_worker import FakeWorker, fake_worker, known, plan
from tests.support.routing import Joined, first_state, obey, routing


def test_a_switch_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers are told after a moment, and the newest state is written when the disk is back."""
    go_on = threading.Event()
    written: list[bytes] = []

    def hang(path: Path, content: bytes) -> None:
        go_on.wait(60)
        written.append(content)
        write_whole(path, content)

    monkeypatch.setattr(router, "write_whole", hang)
    monkeypatch.setattr(router, "WRITE_PATIENCE_SECONDS", 0.01)

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": known("m", v1="aa")}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            obey(worker, await first_state(joined, worker))
            live = await worker.told()
            assert (live.models["m"].live, joined.router.store_writable) == ("1", False)

            go_on.set()
            obey(worker, live)
            await joined.router.until(lambda: joined.router.store_writable)
            await joined.router.until(lambda: joined.saved == joined.router.state)
            assert len(written) < joined.router.state.generation + 1

    asyncio.run(check())


async def begun(joined: Joined, worker: FakeWorker) -> DesiredState:
    """Have a worker obey until all is done; return the last state."""
    worker.hello(0)
    state = await worker.told()
    joined.router.settle()
    async with asyncio.timeout(60):
        while True:
            obey(worker, state)
            await joined.router.until(partial(_has_more, joined, state))
            if joined.router.state == state:
                return state
            state = await worker.told()


def _has_more(joined: Joined, state: DesiredState) -> bool:
    return joined.router.is_stable or joined.router.state != state


def manual(model: KnownModel, **more: float) -> KnownModel:
    """Return a model whose versions go live by an operator only."""
    assert model.setup is not None
    changes = {"release": "manual", **more}
    settings = model.setup.settings.model_copy(update=changes)
    model.setup = replace(model.setup, settings=settings)
    return model


def test_a_release_is_carried_out_as_it_is(tmp_path: Path) -> None:
    """Live version, canary, mirroring and generation reach the workers; shadows do not."""
    model = manual(known("m", "all", v1="aa", v2="bb", v3="cc"))

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": model}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            first = (await begun(joined, worker)).models["m"]
            assert (first.live, first.release_generation) == ("3", 1)
            model.setup = replace(
                model.setup or ModelSetup(ModelSettings()),
                settings=ModelSettings(release="manual", version_policy="specific:3"),
            )
            releases, wish = joined.releases, Wish("ann", "x")
            releases.change_now("m", Action(Verb.START_CANARY, "2", steps=(70,)), wish)
            releases.change_now("m", Action(Verb.START_SHADOW, "1", sample_bp=250), wish)
            await joined.router.until(lambda: joined.router.is_stable is False)
            state = await worker.told()
            while state.models["m"].release_generation < 3:
                state = await worker.told()
            plan = state.models["m"]
            assert plan.canary is not None
            assert (plan.canary.version, plan.canary.weight_bp) == ("2", 70)
            assert plan.canary.salt == "m/2"
            assert (plan.mirror_bp, set(plan.versions)) == (250, {"3", "2"})
            assert plan.release == joined.releases.route("m")

    asyncio.run(check())


def test_what_was_live_before_is_let_go_in_the_end(tmp_path: Path) -> None:
    """It stays loaded as long as the settings say, though the policy does not select it."""
    model = known("m", v1="aa")

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": model}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            await begun(joined, worker)
            model.versions["2"] = known("m", v2="bb").versions["2"]
            joined.router.note()
            obey(worker, await worker.told())
            switched = await worker.told()
            obey(worker, switched)
            plan = switched.models["m"]
            assert (plan.live, list(plan.versions)) == ("2", ["2", "1"])

            joined.now += 86_400
            joined.router.note()
            assert set((await worker.told()).models["m"].versions) == {"2"}

    asyncio.run(check())


def test_a_live_version_that_cannot_be_loaded_gives_way_to_the_one_before(tmp_path: Path) -> None:
    """The release state says so, by the system, and only then do workers hear of it."""
    model = manual(known("m", "all", v1="aa", v2="bb", v3="cc"))
    release = ReleaseRoute("m", 5, live="2", live_digest="bb", previous="1", previous_digest="aa")

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": model}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            joined.releases.take_saved([release])
            worker.hello(0)
            await worker.told()
            joined.router.settle()
            state = await worker.told_all()
            assert state.models["m"].live == "2"
            worker.say(
                generation=state.generation,
                loaded={"m": {"1": "aa", "3": "cc"}},
                failed={"m": {"2": Failure("bb", "no memory")}},
            )
            after = await worker.told()
            assert after.models["m"].live == "1"
            last = joined.releases.last["m"]
            assert (last.action, last.actor) == ("fall_back", "system")
            assert last.reason == "version '2' cannot be served"

    asyncio.run(check())


def test_a_roll_back_does_not_wait_for_a_look_at_the_repository(tmp_path: Path) -> None:
    """While control starts, saved plans are all there is; who answers may be changed in them."""
    versions = {"1": plan("aa"), "2": plan("bb")}
    release = ReleaseRoute("m", 5, live="2", live_digest="bb", previous="1", previous_digest="aa")
    saved = ModelPlan("2", versions, release=release)
    state = DesiredState(7, {"m": saved}, str(tmp_path / "models"), is_settled=True)
    (tmp_path / desired.FILE_NAME).write_bytes(desired.sealed(desired.encode(state)))

    async def check() -> None:
        async with (
            routing(tmp_path, {}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            worker.hello(0)
            assert (await worker.told()).models["m"].live == "2"
            joined.releases.change_now("m", Action(Verb.ROLLBACK), Wish("ann"))
            told = await worker.told()
            assert (told.models["m"].live, told.models["m"].release_generation) == ("1", 6)
            assert not told.is_settled
            assert joined.saved == told

    asyncio.run(check())


def test_nothing_is_decided_before_releases_are_known(tmp_path: Path) -> None:
    """What the store says may be another version than the newest."""

    async def check() -> None:
        async with routing(tmp_path, {"m": known("m", v1="aa")}) as joined:
            joined.releases.known.clear()
            joined.router.settle()
            await joined.router.until(lambda: joined.router._is_idle)
            assert (joined.router.state.models, joined.router.state.is_settled) == ({}, False)

            joined.releases.go_on_without()
            await joined.router.until(lambda: joined.router.state.is_settled)
            assert set(joined.router.state.models) == {"m"}

    asyncio.run(check())


@pytest.mark.parametrize(
    ("mode", "versions", "live", "held"),
    [("manual", "ab", None, True), ("latest", "ab", "2", False), ("manual", "a", "1", False)],
)
def test_a_state_that_is_lost_is_not_guessed(
    tmp_path: Path, mode: ReleaseMode, versions: str, live: str | None, held: bool
) -> None:
    """Where an operator had chosen and nobody remembers, nothing goes live by itself."""
    model = known("m", "all", **{f"v{at + 1}": one for at, one in enumerate(versions)})
    assert model.setup is not None
    settings = model.setup.settings.model_copy(update={"release": mode})
    model.setup = replace(model.setup, settings=settings)
    (tmp_path / desired.FILE_NAME).write_bytes(b"torn")

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": model}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            assert joined.router.is_state_lost
            assert (tmp_path / "desired.json.damaged").read_bytes() == b"torn"
            state = await begun(joined, worker)
            assert state.models["m"].live == live
            assert set(state.models["m"].versions) == set(model.versions)
            assert bool(joined.releases.route("m").held) is held
            if held:
                promote = Action(Verb.PROMOTE, "1")
                joined.releases.change_now("m", promote, Wish("ann", "it was"))
                assert (await worker.told()).models["m"].live == "1"

    asyncio.run(check())


@pytest.mark.parametrize(
    ("content", "live", "held"), [(b"", "2", False), (b"torn" * 999, None, True)]
)
def test_a_store_that_was_put_aside_is_lost_where_there_is_no_state_either(
    tmp_path: Path, content: bytes, live: str | None, held: bool
) -> None:
    """Of a first start nothing is lost; of a damaged store, nobody knows what it held."""
    if content:
        (tmp_path / sqlite_file.FILE_NAME).write_bytes(content)
    model = manual(known("m", "all", v1="aa", v2="bb"))

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": model}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            await release_reading.read(joined.releases, joined.keeper, tmp_path)
            state = await begun(joined, worker)
            assert state.models["m"].live == live
            assert bool(joined.releases.route("m").held) is held

    asyncio.run(check())
