"""Who is watched by what, and that nothing is lost when control, or the store, goes away."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.controlplane.monitor import MOST_TURNS, VERSIONS_A_TURN, in_turn
from server.errors import VersionNotFound
from server.operator_errors import MonitoringOff, StoreUnavailable
from server.store.alerts import read_log
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control
from tests.support.monitoring import Traffic, message, put_with_profile


def _run(
    repository: Path, scenario: Callable[[Control], Coroutine[Any, Any, None]], **settings: Any
) -> None:
    async def run() -> None:
        async with running_control(repository, ToldWorker(0), **settings) as control:
            await control.monitor.tick()
            await scenario(control)
            await control.monitor.close()

    asyncio.run(run())


@given(st.integers(0, 1000), st.integers(0, 100))
def test_every_version_has_its_turn_in_time(count: int, first: int) -> None:
    """Few versions have theirs each second, many of them once in five."""
    turns = 1 if count < VERSIONS_A_TURN else MOST_TURNS
    had = [one for turn in range(first, first + turns) for one in in_turn(range(count), turn)]

    assert set(had) == set(range(count))
    assert len(in_turn(range(count), first)) <= max(VERSIONS_A_TURN, -(-count // MOST_TURNS))


def test_shifted_rows_raise_and_clean_ones_do_not(repository: Path) -> None:
    """By the profile beside the model: quiet for minutes, then an alert within half a minute."""
    put_with_profile(repository)

    async def scenario(control: Control) -> None:
        traffic = Traffic(control)
        await traffic.run(120)
        assert traffic.firing() == set()
        await traffic.run(25, shift=[0.0, 0.7, 0.0])
        assert {("drift", "x[1]"), ("drift", "y[1]")} <= traffic.firing()
        assert not {name for _, name in traffic.firing()} - {"x[1]", "y[1]"}
        assert control.monitor.keeper.alarms["m", "1", "drift"] == 2

    _run(repository, scenario)


def test_a_restart_keeps_windows_and_alerts(repository: Path) -> None:
    """Another control on the same state goes on with the counts and the alerts of the first."""
    put_with_profile(repository)
    before: dict[str, Any] = {}

    async def first(control: Control) -> None:
        traffic = Traffic(control)
        await traffic.run(60)
        await traffic.run(30, shift=[0.7, 0.0, 0.0])
        before["firing"] = traffic.firing()
        before["rows"] = [int(view.counts[-1]) for view in traffic.observer.views(control.now)]
        before["now"] = control.now

    async def second(control: Control) -> None:
        traffic = Traffic(control)
        assert traffic.firing() == before["firing"] != set()
        rows = [int(view.counts[-1]) for view in traffic.observer.views(control.now)]
        assert rows[-1] == before["rows"][-1] == 9000
        await traffic.run(30, shift=[0.7, 0.0, 0.0])
        assert traffic.firing() == before["firing"]
        assert control.monitor.keeper.alarms.total() == 0
        await traffic.run(120)
        assert traffic.firing() == set()

    _run(repository, first)
    _run(repository, second)


def test_an_alert_that_was_cleared_does_not_come_back(repository: Path) -> None:
    """What is over when control ends is over when it starts again."""
    put_with_profile(repository)

    async def first(control: Control) -> None:
        traffic = Traffic(control)
        await traffic.run(30, shift=[0.7, 0.0, 0.0])
        assert traffic.firing()
        await traffic.run(60)
        assert not traffic.firing()

    async def second(control: Control) -> None:
        traffic = Traffic(control)
        assert not any(alert.is_raised for alert in traffic.observer.alerts.values())
        await traffic.run(60)
        assert not traffic.firing()

    _run(repository, first)
    _run(repository, second)


def test_changes_of_alerts_are_written_down(repository: Path) -> None:
    """The log in the store has each change, with what it rests on."""
    put_with_profile(repository)

    async def scenario(control: Control) -> None:
        traffic = Traffic(control)
        await traffic.run(30, shift=[0.7, 0.0, 0.0])
        await traffic.run(60)
        entries = await control.store.run(lambda connection: read_log(connection, "m", 100))
        changes = [entry.after.value for entry in entries if entry.key.column == "x[0]"][::-1]
        assert changes == ["pending", "firing", "inactive"]
        fired = next(entry for entry in entries if entry.after == "firing")
        assert fired.evidence["reading"]["words"].startswith("location up")

    _run(repository, scenario)


def test_versions_are_told_apart(repository: Path) -> None:
    """Each version has counts of its own; rows of other files than those loaded count nowhere."""
    (repository / "m").mkdir(parents=True)
    (repository / "m" / "model.toml").write_text('version_policy = "all"\n')
    put_with_profile(repository, 1)
    put_with_profile(repository, 2, offset=5.0)

    async def scenario(control: Control) -> None:
        one, two = Traffic(control, "1"), Traffic(control, "2")
        await one.run(5)
        await two.run(7, rows=10)
        control.records(message("2", "other files", np.zeros((11, 3), np.float32)))
        control.records(message("3", two.digest, np.zeros((4, 3), np.float32)))
        await control.monitor.tick()
        assert int(one.observer.totals[-1]) == 500
        assert int(two.observer.totals[-1]) == 70
        assert control.monitor.unwatched_rows == 15

    _run(repository, scenario)


def test_a_version_without_a_profile_learns_from_its_rows(repository: Path) -> None:
    """After the first rows it is watched by what they were; a restart does not learn again."""
    models.put(repository, "m", 1, models.affine())

    async def first(control: Control) -> None:
        traffic = Traffic(control)
        assert control.monitor.watched["m", "1"].learning is not None
        await traffic.run(6)
        assert traffic.observer.profile.is_self_reference
        await traffic.run(60)
        assert traffic.firing() == set()
        await traffic.run(30, shift=1.5)
        assert ("drift", "x[0]") in traffic.firing()

    async def second(control: Control) -> None:
        assert Traffic(control).observer.profile.is_self_reference

    _run(repository, first, monitor_self_reference_rows=500)
    _run(repository, second, monitor_self_reference_rows=500)


def test_a_profile_that_comes_later_takes_over(repository: Path) -> None:
    """A version that learns, or has learned, is watched by its profile once there is one."""
    models.put(repository, "m", 1, models.affine())

    async def scenario(control: Control) -> None:
        assert control.monitor.watched["m", "1"].observer is None
        profile = put_with_profile(repository)
        await control.look()
        await control.monitor.tick()
        traffic = Traffic(control)
        assert traffic.observer.profile.hash == profile.hash
        await traffic.run(3)
        assert int(traffic.observer.totals[-1]) == 300

    _run(repository, scenario)


def test_what_leaves_the_repository_is_forgotten(repository: Path) -> None:
    """Counts, alerts and learned references go with their version."""
    put_with_profile(repository)
    models.put(repository, "other", 1, models.affine())

    async def scenario(control: Control) -> None:
        await Traffic(control).run(12)
        for file in (repository / "m" / "1").iterdir():
            file.unlink()
        (repository / "m" / "1").rmdir()
        (repository / "m").rmdir()
        await control.look()
        await control.monitor.tick()
        assert ("m", "1") not in control.monitor.watched
        from server.store.windows import load_subjects

        subjects = await control.store.run(load_subjects)
        assert {one.model for one in subjects} <= {"other"}

    _run(repository, scenario)


def test_without_a_store_watching_goes_on(repository: Path) -> None:
    """While nothing can be written alerts are raised, and all of it is written afterwards."""
    put_with_profile(repository)

    async def scenario(control: Control) -> None:
        traffic = Traffic(control)
        whole_run, is_away = control.store.run, True

        async def run(work: Any, **options: Any) -> Any:
            if is_away:
                raise StoreUnavailable("the disk is full")
            return await whole_run(work, **options)

        control.store.run = run  # type: ignore[method-assign]
        await traffic.run(40, shift=[0.7, 0.0, 0.0])
        assert ("drift", "x[0]") in traffic.firing()
        is_away = False
        await traffic.run(12)
        entries = await whole_run(lambda connection: read_log(connection, "m", 100))
        assert "firing" in {entry.after.value for entry in entries}
        cells, _ = traffic.observer.unsaved(control.now)
        assert len(cells) <= 1

    _run(repository, scenario)


def test_monitoring_can_be_switched_off(repository: Path) -> None:
    """Then nothing is watched, counted or exported, and a report is refused."""
    put_with_profile(repository)

    async def scenario(control: Control) -> None:
        digest = Traffic(control).digest
        control.records(message("1", digest, np.zeros((5, 3), np.float32)))
        await control.monitor.run()
        assert control.monitor.metrics() == []
        assert control.monitor.unwatched_rows == 0
        with pytest.raises(MonitoringOff):
            await control.monitor.report(control.operations.find("m"), None)

    async def run() -> None:
        async with running_control(repository, ToldWorker(0), monitor="off") as control:
            await scenario(control)

    asyncio.run(run())


def test_tensors_of_another_shape_are_rows_without_values(repository: Path) -> None:
    """Answers that do not fit the signature count as rows, and spoil nothing else."""
    put_with_profile(repository)

    async def scenario(control: Control) -> None:
        traffic = Traffic(control)
        x = np.zeros((4, 3), np.float32)
        control.records(message("1", traffic.digest, x, np.zeros((4, 2), np.float32)))
        await control.monitor.tick()
        observer = traffic.observer
        rows = [int(observer.totals[one.stop - 1]) for one in observer.judge.layout.slices]
        assert rows == [4, 4, 4, 0, 0, 0]
        assert int(observer.totals[-1]) == 4

    _run(repository, scenario)


def test_a_report_is_of_versions_that_are_there(repository: Path) -> None:
    """All watched versions, or the one that is asked for; others are unknown."""
    put_with_profile(repository)

    async def scenario(control: Control) -> None:
        await Traffic(control).run(3)
        model = control.operations.find("m")
        report = await control.monitor.report(model, None)
        assert [one["version"] for one in report["versions"]] == ["1"]
        assert report["versions"][0]["rows"] == 300
        assert (await control.monitor.report(model, "1"))["versions"] == report["versions"]
        with pytest.raises(VersionNotFound, match="no version '7'"):
            await control.monitor.report(model, "7")

    _run(repository, scenario)


def test_a_fault_costs_one_version_only(repository: Path, capsys: Any) -> None:
    """Rows that cannot be taken, and a judgement that fails, are logged; the others go on."""
    (repository / "m").mkdir(parents=True)
    (repository / "m" / "model.toml").write_text('version_policy = "all"\n')
    put_with_profile(repository, 1)
    put_with_profile(repository, 2)

    async def scenario(control: Control) -> None:
        one, two = Traffic(control, "1"), Traffic(control, "2")

        def fail(*_: object) -> None:
            raise RuntimeError("a defect of ours")

        one.observer.take = fail  # type: ignore[method-assign, assignment]
        one.observer.tick = fail  # type: ignore[method-assign, assignment]
        await one.run(2)
        await two.run(15)
        assert control.monitor.unwatched_rows == 200
        assert int(two.observer.totals[-1]) == 1500
        assert two.observer.evaluated is not None
        logged = "".join(capsys.readouterr())  # Where logs go depends on who ran before
        assert "rows_not_watched" in logged
        assert "judging_failed" in logged

    _run(repository, scenario)
