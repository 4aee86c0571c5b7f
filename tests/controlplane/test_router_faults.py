"""Versions that crash: what answers instead, and how an operator brings them back."""

import asyncio
from pathlib import Path

from server.controlplane.known import KnownModel
from server.controlplane.releases import Wish
from server.release.actions import Action, Verb
from tests.support.fake_worker import FakeWorker, fake_worker, known
from tests.support.routing import Joined, obey, routing

FAULTY = Wish("system", "3 crashes within 120 seconds")


async def begin(joined: Joined, worker: FakeWorker, live: str) -> None:
    """Bring everything up until a version is live."""
    worker.hello(0)
    await worker.told()
    joined.router.settle()
    while (state := await worker.told_all()).models["m"].live != live:
        obey(worker, state)
    while state.models["m"].release_generation == 0:
        obey(worker, state)
        state = await worker.told()
    obey(worker, state)


def model(policy: str, **digests: str) -> dict[str, KnownModel]:
    """Return one model."""
    return {"m": known("m", policy, **digests)}


def test_the_last_good_version_answers_for_one_that_crashes(tmp_path: Path) -> None:
    """It is loaded first if it has to be, takes over when it is there, and the audit says why."""

    async def check() -> None:
        models = model("latest:1", v1="aa")
        async with (
            routing(tmp_path, models) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            await begin(joined, worker, "1")
            models["m"].versions |= known("m", v2="bb").versions
            joined.router.note()
            while (state := await worker.told()).models["m"].live != "2":
                obey(worker, state)
            obey(worker, state)

            joined.releases.change_now("m", Action(Verb.FAIL, "2"), FAULTY)
            while (state := await worker.told()).models["m"].live != "1":
                obey(worker, state)

            assert list(state.models["m"].versions) == ["1"]
            assert state.models["m"].pending == {"2": False}
            last = joined.releases.last["m"]
            assert (last.action, last.actor) == ("fall_back", "system")
            words = "version '2' cannot be served: taken out: 3 crashes within 120 seconds"
            assert last.reason == words
            assert models["m"].failures["2"].error == words.partition(": ")[2]

    asyncio.run(check())


def test_a_version_that_is_alone_is_not_served_any_more(tmp_path: Path) -> None:
    """Its model is unavailable, so that others live; a load call brings it back."""

    async def check() -> None:
        models = model("all", v1="aa")
        async with (
            routing(tmp_path, models) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            await begin(joined, worker, "1")

            joined.releases.change_now("m", Action(Verb.FAIL, "1"), FAULTY)
            state = await worker.told()
            assert (state.models["m"].live, dict(state.models["m"].versions)) == (None, {})
            obey(worker, state)

            joined.router.forgive(models["m"])
            while (state := await worker.told()).models["m"].live != "1":
                obey(worker, state)
            assert list(state.models["m"].versions) == ["1"]
            assert models["m"].failures == {}

    asyncio.run(check())


def test_files_that_failed_stay_out_after_a_restart(tmp_path: Path) -> None:
    """The release state says so, and control reads that when it starts."""

    async def check() -> None:
        models = model("all", v1="aa", v2="bb")
        async with (
            routing(tmp_path, models) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            await begin(joined, worker, "2")
            joined.releases.change_now("m", Action(Verb.FAIL, "2"), FAULTY)
            while (state := await worker.told()).models["m"].live != "1":
                obey(worker, state)
            obey(worker, state)
            await joined.router.until(lambda: joined.saved == joined.router.state)

        async with (
            routing(tmp_path, model("all", v1="aa", v2="bb")) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            worker.hello(0)
            obey(worker, await worker.told())
            joined.router.settle()
            state = await worker.told_all()
            assert (state.models["m"].live, list(state.models["m"].versions)) == ("1", ["1"])

    asyncio.run(check())
