"""Answers about releases: what is known, who lags, and what a store that fails leaves unsaid."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.controlplane import release_operations
from server.controlplane.release_calls import Call, Headers, read_call
from server.errors import ModelNotFound, VersionNotFound
from server.release.mismatches import Mismatch
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control

SETTINGS: dict[str, Any] = {"version_policy": "all", "release": "manual"}


def call(name: str, body: bytes = b"") -> Call:
    """Read a call of model `m`."""
    return read_call("m", name, body, Headers(actor="ann"))


def two_versions(repository: Path) -> None:
    """Put model `m` with two versions."""
    for version in (1, 2):
        models.put(repository, "m", version, models.affine(offset=version))


def test_a_status_tells_all_there_is(repository: Path) -> None:
    """State, versions, workers, gates, and who changed it last."""
    two_versions(repository)

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), **SETTINGS) as control:
            control.release_operations.gates = lambda model: {"of": model}
            status = await control.release_operations.status("m")
            assert (status["live"], status["generation"], status["mode"]) == ("2", 1, "manual")
            found = {one["version"]: one["state"] for one in status["versions"]}
            assert found == {"2": "live", "1": "loaded"}
            assert status["workers"] == [{"worker": 0, "pid": 1000, "generation": 1}]
            assert (status["gates"], status["unwritten_changes"]) == ({"of": "m"}, 1)
            assert status["last_change"]["reason"] == "first version"

            with pytest.raises(ModelNotFound):
                await control.release_operations.status("nobody")

    asyncio.run(main())


def test_who_changed_something_before_a_restart_is_asked_of_the_store(repository: Path) -> None:
    """The audit knows what this control has not seen."""
    two_versions(repository)

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), **SETTINGS) as control:
            await control.release_operations.call("m", call("hold", b'{"reason":"wait"}'), "r1")
            control.releases.last.clear()
            told = (await control.release_operations.status("m"))["last_change"]
            assert (told["action"], told["actor"], told["reason"]) == ("hold", "ann", "wait")

    asyncio.run(main())


def test_workers_that_lag_are_named(repository: Path) -> None:
    """A call does not wait for ever; the change holds all the same."""
    two_versions(repository)
    settings = {**SETTINGS, "load_timeout_seconds": 0.05}

    async def main() -> None:
        deaf = ToldWorker(1)
        async with running_control(repository, ToldWorker(0), deaf, **settings) as control:
            deaf.is_obedient = False
            body = b'{"version":"1","reason":"x"}'
            answer = await control.release_operations.call("m", call("promote", body), "r1")
            assert (answer["acknowledged"], answer["durable"]) == (False, True)
            assert answer["workers_behind"] == [{"worker": 1, "pid": 1001, "generation": 1}]
            assert control.releases.route("m").live == "1"

    asyncio.run(main())


def test_nobody_acknowledges_while_there_is_no_worker(repository: Path) -> None:
    """Who is not there has not said anything."""
    two_versions(repository)
    settings = {**SETTINGS, "load_timeout_seconds": 0.05}

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), **settings) as control:
            for stream in [*control.fleet._streams.values()]:
                control.fleet.lost(stream)
            answer = await control.release_operations.call("m", call("hold", _WAIT), "r1")
            assert (answer["acknowledged"], answer["workers_behind"]) == (False, [])

    asyncio.run(main())


_WAIT = b'{"reason":"wait"}'


def test_a_model_that_is_unloaded_has_a_release_too(repository: Path) -> None:
    """Nobody answers for it, so workers have only to know."""
    two_versions(repository)

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), **SETTINGS) as control:
            await control.operations.unload("m")
            answer = await control.release_operations.call("m", call("hold", _WAIT), "r1")
            assert answer["acknowledged"]

    asyncio.run(main())


def test_a_promotion_without_a_version_means_the_canary(repository: Path) -> None:
    """There is one canary at most, so it needs no name."""
    two_versions(repository)

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), **SETTINGS) as control:
            operations = control.release_operations
            await operations.call("m", call("canary", b'{"version":"1"}'), "r1")
            told = await operations.call("m", call("promote", b'{"reason":"x"}'), "r2")
            assert told["after"]["live"] == "1"

    asyncio.run(main())


def test_a_canary_takes_its_steps_from_the_models_settings(repository: Path) -> None:
    """Unless the call gives others; an approval that the settings ask for cannot be left out."""
    two_versions(repository)
    (repository / "m" / "model.toml").write_text("[canary]\nsteps = [70, 700]\napproval = true\n")

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), **SETTINGS) as control:
            operations = control.release_operations
            usual = (await operations.call("m", call("canary", b'{"version":"1"}'), "r1"))["after"]
            assert usual["canary"]["steps"] == (70, 700)
            assert usual["canary"]["needs_approval"]
            await operations.call("m", call("canary", b'{"stop":true}'), "r2")
            body = b'{"version":"1","steps":[5]}'
            other = (await operations.call("m", call("canary", body), "r3"))["after"]
            assert (other["canary"]["steps"], other["canary"]["needs_approval"]) == ((5,), True)

    asyncio.run(main())


def test_samples_are_those_of_present_shadows(repository: Path) -> None:
    """Each shadow has its own, of its present epoch."""
    two_versions(repository)
    sample = Mismatch(0.5, "label_flip", 1000.0, "p1", 0, {}, {}, {})

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), **SETTINGS) as control:
            operations = control.release_operations
            operations.mismatches = lambda key: [sample] if key == ("m", "1", "2") else []
            await operations.call("m", call("shadow", b'{"version":"1"}'), "r1")
            shadows = operations.samples("m", None)["shadows"]
            assert shadows == [{"version": "1", "epoch": "2", "mismatches": [sample.to_json()]}]
            with pytest.raises(VersionNotFound, match="version '2' of model 'm' is no shadow"):
                operations.samples("m", "2")
            with pytest.raises(ModelNotFound):
                operations.samples("nobody", None)
            with pytest.raises(ModelNotFound):
                await operations.history("nobody", 1, None, is_verified=False)

    asyncio.run(main())


def test_an_answer_does_not_wait_for_a_store_that_hangs(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How a release stands is told at once, but for who has changed it."""
    monkeypatch.setattr(release_operations, "LAST_CHANGE_SECONDS", 0.01)
    two_versions(repository)

    async def main() -> None:
        async with running_control(repository, ToldWorker(0), **SETTINGS) as control:
            control.releases.last.clear()
            await _while_hanging(control)

    asyncio.run(main())


async def _while_hanging(control: Control) -> None:
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(_: object) -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    hanging = asyncio.create_task(control.store.run(wait))
    await asyncio.sleep(0)
    status = await control.release_operations.status("m")
    release.set()
    await hanging
    assert (status["live"], status["last_change"]) == ("2", None)
