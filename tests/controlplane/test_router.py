"""From models and workers to desired states, over a real socket, with workers that a test plays."""

import asyncio
from pathlib import Path

import pytest

from server.controlplane.known import KnownModel
from server.wire import desired
from server.wire.desired import DesiredState, ModelPlan
from tests.support.fake_worker import fake_worker, known, plan
from tests.support.routing import Joined, first_state, obey, routing


def save(root: Path, generation: int, **digests: str) -> None:
    """Leave a desired state of model `m` behind, as an earlier control would have."""
    versions = {version[1:]: plan(digest) for version, digest in digests.items()}
    models = {"m": ModelPlan(next(iter(versions)), versions)}
    state = DesiredState(generation, models, str(root / "models"), is_settled=True)
    (root / desired.FILE_NAME).write_bytes(desired.sealed(desired.encode(state)))


def test_a_version_goes_live_only_when_every_worker_has_it(tmp_path: Path) -> None:
    """What was live stays so until the last worker has loaded its successor."""
    model = known("m", v1="aa")

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": model}) as joined,
            fake_worker(tmp_path / "control.sock") as first,
            fake_worker(tmp_path / "control.sock") as second,
        ):
            for number, worker in enumerate((first, second)):
                worker.hello(number)
                await worker.told()
            joined.router.settle()
            loading = await first.told_all()
            assert (loading.models["m"].live, set(loading.models["m"].versions)) == (None, {"1"})
            obey(first, loading)
            obey(second, await second.told_all())
            live = await first.told()
            assert live.models["m"].live == "1"
            obey(first, live)
            obey(second, await second.told())

            model.versions["2"] = known("m", v2="bb").versions["2"]
            joined.router.note()
            both = await first.told()
            assert (both.models["m"].live, set(both.models["m"].versions)) == ("1", {"1", "2"})
            obey(first, both)
            await joined.router.until(lambda: joined.fleet.highest_generation() == both.generation)
            assert not joined.router.is_stable
            assert joined.router.state == both

            obey(second, await second.told())
            switched = await first.told()
            plan = switched.models["m"]
            assert (plan.live, set(plan.versions)) == ("2", {"1", "2"})
            obey(first, switched)
            obey(second, await second.told())
            await joined.router.until(lambda: joined.router.is_stable)
            assert joined.saved == switched

    asyncio.run(check())


def test_a_state_is_on_disk_before_any_worker_has_it(tmp_path: Path) -> None:
    """A worker never knows more than a control that is restarted at that moment would."""

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": known("m", v1="aa")}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            assert await first_state(joined, worker) == joined.saved

    asyncio.run(check())


def test_a_restarted_control_greets_with_what_was_served_before(tmp_path: Path) -> None:
    """Until the repository has been looked at, nothing is known that could replace it."""
    save(tmp_path, 7, v1="aa")

    async def check() -> None:
        models: dict[str, KnownModel] = {}
        async with (
            routing(tmp_path, models) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            worker.hello(0)
            greeting = await worker.told()
            assert (greeting.generation, greeting.is_settled) == (8, False)
            assert (greeting.models["m"].live, set(greeting.models["m"].versions)) == ("1", {"1"})

            obey(worker, greeting)
            joined.router.note()
            await joined.router.until(lambda: joined.router.is_stable)
            assert joined.router.state == greeting
            models["m"] = known("m", v1="aa", v2="bb")
            joined.router.settle()
            after = await worker.told()
            assert after.is_settled
            assert (after.models["m"].live, set(after.models["m"].versions)) == ("1", {"1", "2"})

    asyncio.run(check())


def test_a_saved_state_is_trusted_while_the_repository_cannot_be_read(tmp_path: Path) -> None:
    """Workers may call themselves ready with it, and nothing counts as looked at."""
    save(tmp_path, 7, v1="aa")

    async def check() -> None:
        async with (
            routing(tmp_path, {}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            worker.hello(0)
            await worker.told()
            joined.router.trust_saved()
            joined.router.trust_saved()
            trusted = await worker.told()
            assert (trusted.generation, trusted.is_settled) == (9, True)
            assert set(trusted.models) == {"m"}
            assert not joined.router.is_settled
            assert joined.router.greeting() == desired.encode(trusted)

            joined.router.settle()
            assert (await worker.told()).models == {}
            assert joined.router.is_settled

    asyncio.run(check())


def test_without_a_saved_state_there_is_nothing_to_trust(tmp_path: Path) -> None:
    """A first start with an unreadable repository is not ready."""

    async def check() -> None:
        async with routing(tmp_path, {}) as joined:
            joined.router.trust_saved()
            assert not joined.router.state.is_settled

    asyncio.run(check())


def test_what_left_the_repository_while_control_was_away_is_let_go(tmp_path: Path) -> None:
    """Once the repository has been looked at, a model that is not in it is served no longer."""
    save(tmp_path, 7, v1="aa")

    async def check() -> None:
        async with (
            routing(tmp_path, {}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            worker.hello(0)
            assert set((await worker.told()).models) == {"m"}
            joined.router.settle()
            assert (await worker.told()).models == {}

    asyncio.run(check())


def test_the_state_of_another_repository_is_not_taken_over(tmp_path: Path) -> None:
    """Its plans are of no use here."""
    state = DesiredState(7, {"m": ModelPlan("1", {"1": plan("aa")})}, "/elsewhere")
    (tmp_path / desired.FILE_NAME).write_bytes(desired.sealed(desired.encode(state)))

    joined = Joined(tmp_path, {})

    assert joined.router.state.models == {}


@pytest.mark.parametrize("reached", [9, 500])
def test_a_generation_is_above_all_that_workers_have_seen(tmp_path: Path, reached: int) -> None:
    """When the file is older than what workers know, they must still take the next state."""
    save(tmp_path, 3, v1="aa")

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": known("m", v1="aa")}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            worker.hello(0)
            greeting = await worker.told()
            worker.say(generation=reached, loaded={"m": {"1": "aa"}}, live={"m": "1"})
            await joined.router.until(lambda: joined.fleet.highest_generation() == reached)
            assert greeting.generation == 4
            joined.router.settle()

            assert (await worker.told()).generation == reached + 1

    asyncio.run(check())


def test_a_state_that_could_not_be_written_is_sent_and_written_later(tmp_path: Path) -> None:
    """Workers are told although the disk refuses; it is tried again though nobody says a word."""
    obstacle = tmp_path / "desired.tmp"
    obstacle.mkdir()

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": known("m", v1="aa")}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            told = await first_state(joined, worker)
            assert (joined.saved, joined.router.store_writable) == (None, False)
            obey(worker, told)
            live = await worker.told()
            obey(worker, live)
            await joined.router.until(lambda: joined.router.is_stable)

            obstacle.rmdir()
            await joined.router.until(lambda: joined.router.store_writable)
            assert joined.saved == live

    asyncio.run(check())


def test_a_state_that_somebody_removed_is_written_anew(tmp_path: Path) -> None:
    """A control that starts later finds what is served."""

    async def check() -> None:
        async with (
            routing(tmp_path, {"m": known("m", v1="aa")}) as joined,
            fake_worker(tmp_path / "control.sock") as worker,
        ):
            told = await first_state(joined, worker)
            await joined.router.mend()
            (tmp_path / "desired.json").unlink()

            await joined.router.mend()
            await joined.router.until(lambda: joined.saved is not None)
            assert joined.saved == told

    asyncio.run(check())
