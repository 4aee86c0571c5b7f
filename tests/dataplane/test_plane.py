"""What connections of a worker share: counts of refusals, the common head, and the sweep."""

import asyncio
from collections.abc import Callable

import pytest

from server.dataplane.plane import Plane
from server.dataplane.routes import ModelRoute, Routes, RouteTable
from server.dataplane.telemetry import UNKNOWN, Telemetry
from server.errors import ModelLoading, ModelNotFound, VersionNotFound
from server.http.port import SWEEP_SECONDS
from server.protocol.request_headers import PLAIN
from server.settings import Settings
from tests.support.quiet_client import QuietClient


def on_loop(scenario: Callable[[Plane], None]) -> None:
    """Play a scenario with a plane on a running loop."""

    async def play() -> None:
        scenario(Plane(Settings(), Routes(), Telemetry(0, lambda _kind, _parts: True, 0)))

    asyncio.run(play())


def test_models_that_do_not_exist_share_one_label() -> None:
    """Refusals are counted by model only for known ones, so nobody can make up labels."""

    def scenario(plane: Plane) -> None:
        plane.routes.table = RouteTable({"known": ModelRoute(None, {})})
        for model in ("known", "a", "b", "known", "c"):
            plane.count_refusal(model, "model_not_found")

        counted = {
            model: plane.telemetry.refusals(model).tally.outcomes["model_not_found"]
            for model in ("known", UNKNOWN, "a")
        }
        assert counted == {"known": 2, UNKNOWN: 3, "a": 0}

    on_loop(scenario)


def test_the_common_head_follows_the_date() -> None:
    """The head of most answers is put together anew when the server's headers change."""

    def scenario(plane: Plane) -> None:
        early, late = [(b"date", b"early")], [(b"date", b"late")]
        first = plane.json_ok_prefix(early)
        assert first.startswith(b"HTTP/1.1 200 OK\r\ndate: early\r\n")
        assert first.endswith(b"\r\ncontent-length: ")
        assert plane.json_ok_prefix(early) is first
        assert b"date: late\r\n" in plane.binary_ok_prefix(late)
        assert b"\r\ncontent-type: application/octet-stream\r\n" in plane.binary_ok_prefix(late)
        assert b"date: late\r\n" in plane.json_ok_prefix(late)

    on_loop(scenario)


def test_who_answers_an_inference_is_chosen_and_its_absence_counted() -> None:
    """Nobody's inferences are counted under their model, with the reason."""

    def scenario(plane: Plane) -> None:
        plane.routes.table = RouteTable({"known": ModelRoute(None, {}, {"1": True})})
        for version, error in ((None, ModelLoading), ("2", VersionNotFound)):
            with pytest.raises(error):
                plane.choose("known", version, PLAIN)
        with pytest.raises(ModelNotFound):
            plane.choose("a", None, PLAIN)

        counted = plane.telemetry.refusals("known").tally.outcomes
        assert counted == {"model_loading": 1, "version_not_found": 1}
        assert plane.telemetry.refusals(UNKNOWN).tally.outcomes == {"model_not_found": 1}

    on_loop(scenario)


def test_the_sweep_looks_at_every_connection_with_one_clock() -> None:
    """A sweep tells all connections one time, which the plane keeps; they may leave meanwhile."""

    class Leaving(QuietClient):
        def __init__(self, plane: Plane, told: list[float]) -> None:
            super().__init__()
            self.plane, self.told = plane, told

        def check_time(self, now: float) -> None:
            self.told.append(now)
            self.plane.connections.discard(self)

    async def play() -> None:
        plane = Plane(Settings(), Routes(), Telemetry(0, lambda _kind, _parts: True, 0))
        told: list[float] = []
        plane.connections |= {Leaving(plane, told), Leaving(plane, told)}
        sweeping = asyncio.create_task(plane.sweep_forever())
        await asyncio.sleep(0)
        sweeping.cancel()

        assert told == [plane.clock] * 2
        assert abs(plane.clock - asyncio.get_running_loop().time()) < SWEEP_SECONDS
        assert plane.connections == set()

    asyncio.run(play())
