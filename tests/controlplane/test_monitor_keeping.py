"""What monitoring keeps, and what it does while the store cannot be used."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np

from server.controlplane import self_references
from server.controlplane.monitor_keeping import MAX_LOGGED, Keeper
from server.controlplane.watched import Watched
from server.monitoring.alerts import AlertEvent, Change, DriftAlert
from server.monitoring.drift import Limits, Reading
from server.monitoring.observer import Observer, Pace
from server.monitoring.rate_plans import Rule
from server.operator_errors import StoreUnavailable
from server.statistics.sequential import Alert, AlertState
from server.store.alerts import read_log
from server.store.database import Store
from server.store.windows import load_subjects
from tests.support.references import normal_blocks, normal_profile

KEY = ("m", "1")
PROFILE = normal_profile(2, 500)
FIRING = DriftAlert(
    AlertState(Alert.FIRING, 5.0, 6.0, 2), reading=Reading(0, 300, 5.0, 1e-9, 3.0, "location up")
)
RAISED = AlertEvent((Rule.DRIFT, 0), Change.RAISED, FIRING)


def _watched(rows: int = 50) -> Watched:
    observer = Observer(PROFILE, Limits(), Pace(), 0.0)
    observer.take(rows, *normal_blocks(PROFILE, np.zeros((rows, 2), np.float32)))
    observer.alerts = {(Rule.DRIFT, 0): FIRING}
    return Watched(*KEY, "d", PROFILE.hash, observer)


def _run(folder: Path, scenario: Callable[[Store, Keeper], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        store = Store(folder)
        await scenario(store, Keeper(store, folder))
        await store.close()

    asyncio.run(run())


def test_what_was_flushed_is_loaded_by_the_next_process(tmp_path: Path) -> None:
    """Counts of the open sub-window, and alerts as they were."""

    async def first(_: Store, keeper: Keeper) -> None:
        await keeper.flush({KEY: _watched()}, {}, 10.0)

    async def second(_: Store, keeper: Keeper) -> None:
        cells, alerts = await keeper.load(KEY, PROFILE, 20.0)
        assert [int(cell.counts[-1]) for cell in cells] == [50]
        assert alerts == {(Rule.DRIFT, 0): FIRING}

    _run(tmp_path, first)
    _run(tmp_path, second)


def test_nothing_new_is_no_transaction(tmp_path: Path) -> None:
    """A version without rows and alerts does not even open the store."""

    async def scenario(_: Store, keeper: Keeper) -> None:
        watched = _watched(0)
        assert watched.observer is not None
        watched.observer.alerts = {}
        await keeper.flush({KEY: watched, ("n", "1"): Watched("n", "1", "d", "")}, {}, 10.0)

    _run(tmp_path, scenario)
    assert not list(tmp_path.iterdir())


def test_what_happens_while_the_store_is_away_is_written_later(tmp_path: Path) -> None:
    """Loading gives nothing, flushing keeps everything, and the log has all of it afterwards."""

    async def scenario(store: Store, keeper: Keeper) -> None:
        whole_run = store.run

        async def away(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("the disk is full")

        store.run = away  # type: ignore[method-assign]
        assert await keeper.load(KEY, PROFILE, 1.0) == ([], {})
        watched = _watched()
        keeper.note(KEY, PROFILE, RAISED, 6.0)
        await keeper.flush({KEY: watched}, {}, 10.0)
        await keeper.forget_all_but({})
        store.run = whole_run  # type: ignore[method-assign]
        await keeper.flush({KEY: watched}, {}, 20.0)
        await keeper.flush({KEY: watched}, {}, 30.0)
        entries = await whole_run(lambda connection: read_log(connection, "m", 10))
        assert [(one.at_seconds, one.after.value) for one in entries] == [(6.0, "firing")]

    _run(tmp_path, scenario)


def test_changes_are_counted_logged_and_bounded(tmp_path: Path, capsys: Any) -> None:
    """However many wait for the store, so many are remembered; each that fires is counted."""

    async def scenario(store: Store, keeper: Keeper) -> None:
        for at in range(MAX_LOGGED + 5):
            keeper.note(KEY, PROFILE, RAISED, float(at))
        assert keeper.alarms["m", "1", "drift"] == MAX_LOGGED + 5
        await keeper.flush({KEY: _watched()}, {}, 10.0)
        entries = await store.run(lambda connection: read_log(connection, "m", 2 * MAX_LOGGED))
        assert len(entries) == MAX_LOGGED
        assert entries[-1].at_seconds == 5.0

    _run(tmp_path, scenario)
    logged = "".join(capsys.readouterr())  # Where logs go depends on who ran before
    assert "alert_raised" in logged
    assert "location up" in logged


def test_versions_that_are_gone_are_forgotten_everywhere(tmp_path: Path) -> None:
    """Their counts leave the store, and what was learned of them leaves the disk."""

    async def scenario(store: Store, keeper: Keeper) -> None:
        self_references.write(tmp_path, PROFILE)
        await keeper.flush({KEY: _watched()}, {}, 10.0)
        await keeper.forget_all_but({KEY: "d"})
        assert len(await store.run(load_subjects)) == 1
        assert self_references.read(tmp_path, *KEY, "d") is not None
        await keeper.forget_all_but({("m", "2"): "d"})
        assert await store.run(load_subjects) == set()
        assert self_references.read(tmp_path, *KEY, "d") is None

    _run(tmp_path, scenario)
