"""What control knows for each page, and what it says that it does not know."""

from pathlib import Path

import httpx
import pytest

from server.controlplane.console_facts import watch_of
from server.controlplane.recent import STEP_SECONDS
from server.controlplane.watched import Watched
from server.errors import ModelNotFound, VersionNotFound
from server.operator_errors import StoreUnavailable
from tests.support import models
from tests.support.consoles import Console, play
from tests.support.monitoring import Traffic, put_with_profile


def test_what_is_not_known_yet_is_said_until_it_is(repository: Path) -> None:
    """Right after a start that is the traffic; before, the repository and the releases too."""
    models.put(repository, "m", 1, models.affine())

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        assert console.facts.unknown() == ["traffic"]
        console.control.now += 3 * STEP_SECONDS
        assert console.facts.unknown() == []

    play(repository, scenario)


def test_releases_that_are_not_read_yet_are_not_known(repository: Path) -> None:
    """The store is read while models are already served."""

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        console.control.releases.known.clear()
        assert "how releases stand" in console.facts.unknown()

    play(repository, scenario)


def test_the_overview_has_every_model_and_every_broken_folder(repository: Path) -> None:
    """In the order of their names; a folder without a version is no model."""
    models.put(repository, "b", 1, models.affine())
    models.put(repository, "a", 1, models.affine())
    (repository / "empty").mkdir()

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        found = await console.facts.overview()
        assert [one.name for one in found.models] == ["a", "b", "empty"]
        assert found.models[0].route.live == "1"
        (row,) = found.models[2].index
        assert (row["version"], row["state"]) == ("", "UNAVAILABLE")
        assert row["reason"]
        assert found.models[0].watch.state == "unwatched"

    play(repository, scenario)


def test_a_model_page_has_release_traffic_and_tensors(repository: Path) -> None:
    """Of the live version, in the words of the protocol."""
    models.put(repository, "m", 1, models.affine())

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        found = await console.facts.model("m")
        assert found.release["live"] == "1"
        assert found.signature == [
            ("inputs", "x", "FP32 [-1, 3]"),
            ("outputs", "y", "FP32 [-1, 3]"),
        ]
        assert ("max_rows", "128") in found.settings
        with pytest.raises(ModelNotFound):
            await console.facts.model("nobody")

    play(repository, scenario)


def test_drift_is_of_the_live_version_unless_another_is_asked_for(repository: Path) -> None:
    """With a history for the heat map; a version that is not there is not found."""
    put_with_profile(repository, 1)
    put_with_profile(repository, 2)

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        control = console.control
        await control.monitor.tick()
        await Traffic(control, "2").run(60, 50)
        live = await console.facts.drift("m", None, "recent")
        other = await console.facts.drift("m", "1", "day")

        assert live.version is not None
        assert other.version is not None
        assert (live.version["version"], other.version["version"]) == ("2", "1")
        assert (live.state, list(live.others)) == ("watching", ["1"])
        assert live.history is not None
        assert len(live.columns) == live.history.effects.shape[1]
        with pytest.raises(VersionNotFound):
            await console.facts.drift("m", "9", "recent")

    play(repository, scenario)


def test_a_version_without_a_profile_learns(repository: Path) -> None:
    """It has no history to draw yet."""
    models.put(repository, "m", 1, models.affine())

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        assert (await console.facts.drift("m", None, "recent")).state == "unwatched"
        await console.control.monitor.tick()
        found = await console.facts.drift("m", None, "recent")
        assert (found.state, found.history) == ("learning", None)
        assert (await console.facts.overview()).models[0].watch.state == "learning"

    play(repository, scenario)


def test_monitoring_that_is_off_is_off(repository: Path) -> None:
    """Not unknown, and not steady."""
    models.put(repository, "m", 1, models.affine())

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        assert (await console.facts.drift("m", None, "recent")).state == "off"
        assert (await console.facts.overview()).models[0].watch.state == "off"

    play(repository, scenario, monitor="off")


def test_alerts_are_told_with_their_column(repository: Path) -> None:
    """As the drift light needs them."""
    put_with_profile(repository, 1)

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        control = console.control
        await control.monitor.tick()
        traffic = Traffic(control)
        await traffic.run(60, 50, shift=[0.0, 2.0, 0.0])
        alerts = (await console.facts.overview()).models[0].watch.alerts
        assert any(one.is_firing and one.column == "x[1]" for one in alerts)

    play(repository, scenario)


def test_labels_that_cannot_be_read_are_none(repository: Path) -> None:
    """The rest of the page is there all the same."""
    put_with_profile(repository, 1)

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        await console.control.monitor.tick()
        console.performance = {"versions": [{"version": "1", "roles": []}]}
        assert (await console.facts.drift("m", None, "recent")).performance is not None
        console.performance = {"versions": []}
        assert (await console.facts.drift("m", None, "recent")).performance is None

    play(repository, scenario)


def test_a_store_that_does_not_answer_leaves_the_history_unknown(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not an empty history."""
    models.put(repository, "m", 1, models.affine())

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        assert (await console.facts.release("m")).history is not None

        async def history(*_: object, **__: object) -> None:
            raise StoreUnavailable("the disk is gone")

        monkeypatch.setattr(console.control.release_operations, "history", history)
        assert (await console.facts.release("m")).history is None

    play(repository, scenario)


def test_the_system_page_has_workers_store_and_settings(repository: Path) -> None:
    """With the memory of what the console itself keeps."""
    models.put(repository, "m", 1, models.affine())

    async def scenario(_: httpx.AsyncClient, console: Console) -> None:
        console.control.now += 100.0
        found = console.facts.system()
        (worker,) = found.workers
        assert (worker.worker, worker.loaded) == (0, 1)
        assert worker.generation == found.generation
        assert found.uptime_seconds == pytest.approx(100.0)
        assert found.settings["repository"] == repository
        assert next(name for name, _ in found.memory) == "Resident"

    play(repository, scenario)


def test_a_watched_version_that_has_just_come_learns_nothing_yet() -> None:
    """Neither an observer nor rows to learn from: it is being prepared."""
    assert watch_of(Watched("m", "1", "d", ""), 5000).learned_rows == 0
