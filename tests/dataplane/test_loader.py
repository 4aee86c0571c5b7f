"""From desired states to what is loaded: in what order, with what left of what went before."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.dataplane import loader
from server.dataplane.loader import Loader
from server.dataplane.plane import Plane
from server.dataplane.routes import Routes, RouteTable
from server.dataplane.telemetry import Telemetry
from server.engine.session import Session
from server.errors import ModelLoading, ModelNotFound, ModelUnavailable, VersionNotFound
from server.release.route import ReleaseRoute
from server.repository import samples
from server.settings import Settings
from server.wire.desired import DesiredState, ModelPlan, VersionPlan
from tests.dataplane.conftest import PlanOf
from tests.support import models
from tests.support.asking import AFFINE, ask, data_of, infer_body, leftovers
from tests.support.dataplane import InProcessWorker, plan
from tests.support.gateway import eventually
from tests.support.raw import connected, post


class RecordedRoutes(Routes):
    """The place of the route table, which remembers every table it has held."""

    def __init__(self) -> None:
        self.history: list[RouteTable] = []
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "table":
            self.history.append(value)


class Bench:
    """A loader at work, and what it has done."""

    def __init__(self) -> None:
        self.routes = RecordedRoutes()
        telemetry = Telemetry(0, lambda _kind, _parts: True, 0)
        self.plane = Plane(Settings(), self.routes, telemetry)
        self.loader = Loader(self.plane, self._changed)
        self._news = asyncio.Event()

    def _changed(self) -> None:
        self._news.set()

    async def reach(self, generation: int, **wanted: ModelPlan) -> None:
        """Want a state, and wait until it has been carried out."""
        self.loader.want(DesiredState(generation, wanted))
        await self.until(lambda: self.loader.generation == generation)

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def lives(self, model: str) -> list[str | None]:
        """Return who answered for a model, table by table, without repetitions."""
        found: list[str | None] = []
        for table in self.routes.history:
            live = table.models[model].live if model in table.models else None
            if not found or found[-1] != live:
                found.append(live)
        return found


def run(scenario: Callable[[Bench], Awaitable[None]]) -> None:
    """Play a scenario with a loader at work."""

    async def play() -> None:
        bench = Bench()
        working = asyncio.create_task(bench.loader.run())
        await scenario(bench)
        working.cancel()

    asyncio.run(play())


def serving(live: str | None, versions: Mapping[str, VersionPlan], **pending: bool) -> ModelPlan:
    """Return a plan of a model; `v3=True` says that version 3 is on its way."""
    return ModelPlan(live, versions, {name[1:]: value for name, value in pending.items()})


@pytest.fixture
def broken(tmp_path: Path) -> VersionPlan:
    """The plan of a version that no worker can load."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    return plan(path)


def test_a_state_is_carried_out_and_its_generation_reached(plan_of: PlanOf) -> None:
    """All versions of a state are loaded, the live ones answer, and what failed is told apart."""

    async def scenario(bench: Bench) -> None:
        one, two = plan_of("affine"), plan_of("open")
        assert bench.loader.generation == -1
        await bench.reach(3, a=serving("2", {"1": one, "2": two}, v3=True, v4=False))

        assert bench.loader.loaded.keys() == {("a", "1"), ("a", "2")}
        assert bench.loader.load_seconds.keys() == {("a", "1"), ("a", "2")}
        assert bench.plane.telemetry.generation == 3
        table = bench.routes.table
        loaded = bench.loader.loaded["a", "2"]
        assert table.find("a", None).served is table.find("a", "2").served is loaded
        with pytest.raises(ModelLoading):
            table.find("a", "3")
        with pytest.raises(ModelUnavailable):
            table.find("a", "4")
        with pytest.raises(VersionNotFound):
            table.find("a", "5")

    run(scenario)


def test_versions_are_listed_by_their_numbers(plan_of: PlanOf) -> None:
    """Whatever is loaded first: a plan begins with the live version."""

    async def scenario(bench: Bench) -> None:
        one = plan_of("affine")
        await bench.reach(1, a=serving("10", {"10": one, "2": one, "1": one}))
        assert list(bench.routes.table.models["a"].versions) == ["1", "2", "10"]

    run(scenario)


def test_an_older_state_is_not_carried_out(plan_of: PlanOf) -> None:
    """A state that comes late, or twice, changes nothing."""

    async def scenario(bench: Bench) -> None:
        await bench.reach(3, a=serving("1", {"1": plan_of("affine")}))
        bench.loader.want(DesiredState(3, {}))
        bench.loader.want(DesiredState(2, {}))
        await bench.reach(4, a=serving("1", {"1": plan_of("affine")}), b=serving(None, {}))
        assert bench.lives("a") == [None, "1"]

    run(scenario)


def test_the_old_version_answers_until_the_new_one_can(plan_of: PlanOf) -> None:
    """However much is loaded on the way to a state, no model is without an answer meanwhile."""

    async def scenario(bench: Bench) -> None:
        old = {"1": plan_of("affine")}
        await bench.reach(1, a=serving("1", old), b=serving("1", old))
        new = {"2": plan_of("affine", max_rows=2), "3": plan_of("affine", max_rows=3)}
        await bench.reach(2, b=serving("3", new), a=serving("2", new))

        assert bench.lives("a") == [None, "1", "2"]
        assert bench.lives("b") == [None, "1", "3"]
        assert bench.routes.table.models["a"].versions.keys() == {"2", "3"}
        with pytest.raises(VersionNotFound):
            bench.routes.table.find("a", "1")

    run(scenario)


def test_a_switch_between_loaded_versions_does_not_wait_for_a_load(plan_of: PlanOf) -> None:
    """A roll back takes effect at once, and is reported, whatever else is being loaded."""

    def at(generation: int) -> ReleaseRoute:
        return ReleaseRoute("a", generation)

    async def scenario(bench: Bench) -> None:
        loaded = {"1": plan_of("affine"), "2": plan_of("affine", max_rows=2)}
        await bench.reach(1, a=ModelPlan("2", loaded, release=at(6)))
        assert bench.loader.released() == {"a": 6}

        more = {**loaded, "3": plan_of("affine", max_rows=3)}
        bench.loader.want(DesiredState(2, {"a": ModelPlan("3", more, release=at(7))}))
        assert bench.lives("a")[-1] == "2"
        assert bench.loader.released() == {}
        await asyncio.sleep(0)  # The load begins.
        bench.loader.want(DesiredState(3, {"a": ModelPlan("1", more, release=at(8))}))

        assert bench.lives("a")[-1] == "1"
        assert bench.loader.released() == {"a": 8}
        await bench.until(lambda: bench.loader.generation == 3)

    run(scenario)


def test_a_version_that_cannot_be_loaded_changes_nothing(
    plan_of: PlanOf, broken: VersionPlan
) -> None:
    """A broken version is reported with cause and fix; it disturbs neither others nor itself."""

    async def scenario(bench: Bench) -> None:
        good = plan_of("affine")
        await bench.reach(1, a=serving("1", {"1": good}), z=serving("1", {"1": good}))
        first = bench.loader.loaded["a", "1"]
        await bench.reach(
            2,
            a=serving("1", {"1": replace(broken, digest="new"), "2": broken}),
            n=serving("1", {"1": broken}),
            z=serving("2", {"1": good, "2": plan_of("open")}),
        )

        assert bench.loader.failed.keys() == {("a", "1"), ("a", "2"), ("n", "1")}
        failure = bench.loader.failed["a", "2"]
        assert failure.digest == broken.digest
        assert "ONNX Runtime cannot load it" in failure.error
        assert "export the model again" in failure.fix
        assert bench.routes.table.find("a", None).served is first
        assert bench.lives("a") == [None, "1"]
        assert bench.lives("z") == [None, "1", "2"]
        for version in (None, "1"):
            with pytest.raises(ModelUnavailable):
                bench.routes.table.find("n", version)

    run(scenario)


def test_a_failure_is_not_tried_again_until_the_version_changes(
    plan_of: PlanOf, broken: VersionPlan
) -> None:
    """The same files are not loaded twice; other ones are, and then the failure is forgotten."""

    async def scenario(bench: Bench) -> None:
        await bench.reach(1, a=serving("1", {"1": broken}))
        failure = bench.loader.failed["a", "1"]
        await bench.reach(2, a=serving("1", {"1": broken}), b=serving(None, {}))
        assert bench.loader.failed["a", "1"] is failure
        await bench.reach(3, a=serving("1", {"1": plan_of("affine")}))
        assert bench.loader.failed == {}
        assert bench.routes.table.models["a"].live == "1"

    run(scenario)


@pytest.mark.parametrize("back", [True, False])
def test_the_failure_of_what_is_not_wanted_is_forgotten(
    plan_of: PlanOf, broken: VersionPlan, *, back: bool
) -> None:
    """When a broken version is taken back or away, nothing is reported as failed any more."""

    async def scenario(bench: Bench) -> None:
        good = {"1": plan_of("affine")}
        await bench.reach(1, a=serving("1", good))
        await bench.reach(2, a=serving("1", {"1": broken}))
        assert bench.loader.failed.keys() == {("a", "1")}
        await bench.reach(3, **({"a": serving("1", good)} if back else {}))
        assert bench.loader.failed == {}

    run(scenario)


def test_an_unforeseen_fault_of_a_load_is_reported_without_details(
    plan_of: PlanOf, tmp_path: Path
) -> None:
    """Samples that cannot be read fail the version with a text that shows nothing of ours."""
    (tmp_path / "torn.npz").write_bytes(b"torn")

    async def scenario(bench: Bench) -> None:
        torn = replace(plan_of("affine"), samples=str(tmp_path / "torn.npz"))
        await bench.reach(1, a=serving("1", {"1": torn}))
        failure = bench.loader.failed["a", "1"]
        assert (failure.error, failure.fix) == (
            "a worker could not load it",
            "see the worker's log",
        )

    run(scenario)


def test_a_version_whose_copy_comes_back_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control makes a private copy anew, and nobody has to tell the worker."""
    monkeypatch.setattr(loader, "COPY_SECONDS", 0.01)
    path = tmp_path / "model.onnx"
    missing = plan(path)

    async def scenario(bench: Bench) -> None:
        await bench.reach(1, a=serving("1", {"1": missing}))
        assert bench.loader.failed["a", "1"].error == loader.COPY_GONE
        path.write_bytes(models.affine())
        await bench.until(lambda: ("a", "1") in bench.loader.loaded)
        assert bench.loader.failed == {}
        assert bench.routes.table.models["a"].live == "1"

    run(scenario)


@pytest.mark.parametrize("is_batched", [True, False])
def test_recorded_samples_warm_a_version_up(
    plan_of: PlanOf, tmp_path: Path, *, is_batched: bool
) -> None:
    """A version is run on its samples before it answers; samples that it fails on fail it."""
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    signature = Session.open(Path(plan_of("gather").path)).signature
    samples.save(good, signature, [np.array([0, 1, 3])])
    samples.save(bad, signature, [np.array([0, 99])])

    async def scenario(bench: Bench) -> None:
        base = replace(plan_of("gather"), is_batched=is_batched)
        versions = {"1": replace(base, samples=str(good)), "2": replace(base, samples=str(bad))}
        await bench.reach(1, a=serving("1", versions))
        assert bench.loader.loaded.keys() == {("a", "1")}
        assert bench.loader.failed["a", "2"].error == "the model failed on this input"

    run(scenario)


@pytest.mark.parametrize("is_replaced", [True, False])
def test_memory_of_a_version_goes_when_it_is_drained(plan_of: PlanOf, *, is_replaced: bool) -> None:
    """A session nobody needs is freed at once, without waiting for the cyclic collector."""

    async def scenario(bench: Bench) -> None:
        await bench.reach(1, a=serving("1", {"1": plan_of("affine")}))
        freed = asyncio.Event()
        loop = asyncio.get_running_loop()
        session = bench.loader.loaded["a", "1"]._session
        weakref.finalize(session, loop.call_soon_threadsafe, freed.set)
        del session
        bench.routes.history.clear()
        other = {"1": plan_of("affine", max_rows=2)}
        await bench.reach(2, **({"a": serving("1", other)} if is_replaced else {}))
        async with asyncio.timeout(60):
            await freed.wait()
        assert len(bench.loader.loaded) == is_replaced

    gc.disable()
    try:
        run(scenario)
    finally:
        gc.enable()


def test_a_model_that_is_not_wanted_is_gone(plan_of: PlanOf) -> None:
    """What a state does not name is not found any more, and takes its figures with it."""

    async def scenario(bench: Bench) -> None:
        one = plan_of("affine")
        await bench.reach(1, a=serving("1", {"1": one}), b=serving("1", {"1": one}))
        await bench.reach(2, b=serving("1", {"1": one}))
        with pytest.raises(ModelNotFound):
            bench.routes.table.find("a", None)
        assert bench.loader.load_seconds.keys() == {("b", "1")}

    run(scenario)


def test_what_waits_for_a_replaced_version_is_answered_by_it(tmp_path: Path) -> None:
    """Requests that were queued before a swap get that version's numbers, later ones the new."""
    paths = []
    for offset in (1.0, 5.0):
        paths.append(tmp_path / f"{offset}.onnx")
        paths[-1].write_bytes(models.affine(offset=offset))
    old = plan(paths[0], max_rows=2, max_delay_ms=1500)
    with InProcessWorker(tmp_path, {"affine": old}) as worker:
        loader = worker.worker.loader
        with connected(worker.url) as client:
            client.send(post(AFFINE, infer_body([[1, 2, 3]])))
            eventually(lambda: leftovers(worker)["queued_rows"] == 1)
            new = DesiredState(2, {"affine": serving("1", {"1": plan(paths[1])})}, is_settled=True)
            worker.on_loop(loader.want, new)
            eventually(lambda: loader.generation == 2)
            assert data_of(ask(worker, post(AFFINE, infer_body([[1, 2, 3]])))) == [7, 9, 11]
            assert data_of(client.read()) == [3, 5, 7]


def test_no_request_fails_while_versions_are_switched(tmp_path: Path) -> None:
    """Through fifty switches, every answer has the numbers of the version that it names."""
    plans = {}
    for version in range(1, 5):
        path = tmp_path / f"{version}.onnx"
        path.write_bytes(models.affine(scale=1.0, offset=float(version)))
        plans[str(version)] = plan(path)
    with InProcessWorker(tmp_path, {}) as worker, connected(worker.url) as client:
        loader = worker.worker.loader
        answers: set[tuple[str, float]] = set()
        for generation in range(2, 52):
            live = str(generation % 4 + 1)
            state = DesiredState(
                generation, {"affine": serving(live, {live: plans[live]})}, is_settled=True
            )
            worker.on_loop(loader.want, state)
            while generation == 2 and loader.generation < 2:
                worker.on_loop(lambda: None)
            for _ in range(1 + 4 * (loader.generation < generation)):
                client.send(post(AFFINE, infer_body([[0, 0, 0]])))
                answer = client.read()
                (value, *_) = data_of(answer)
                answers.add((str(answer.body).split('"model_version":"')[1][0], value))
        assert answers == {(version, float(version)) for version in plans}
