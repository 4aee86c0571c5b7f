"""What a loader writes down, for whoever finds its worker dead."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.dataplane.loader import Loader
from server.dataplane.plane import Plane
from server.dataplane.routes import Routes
from server.dataplane.telemetry import Telemetry
from server.engine.recorder import Doing, Flight, Recorder, flights
from server.engine.session import Session
from server.settings import Settings
from server.wire.desired import DesiredState, ModelPlan
from tests.support import models
from tests.support.dataplane import plan


def test_files_that_kill_whoever_opens_them_have_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a version is opened, that is written down; afterwards, also of a failure, no more."""
    recorder, seen = Recorder(), list[Flight]()

    def going_on() -> list[Flight]:
        return list(flights(lambda at, size: recorder.memory[at : at + size]))

    real = Session.open

    def spy(path: Path, **options: Any) -> Session:
        seen.extend(going_on())
        return real(path, **options)

    monkeypatch.setattr(Session, "open", spy)
    for name, content in (("good", models.affine()), ("broken", b"no model")):
        (tmp_path / f"{name}.onnx").write_bytes(content)
    wanted = {
        name: ModelPlan("1", {"1": plan(tmp_path / f"{name}.onnx")}) for name in ("good", "broken")
    }

    async def play() -> None:
        done = asyncio.Event()
        plane = Plane(Settings(), Routes(), Telemetry(0, lambda *_: True, 1 << 14))

        def changed() -> None:
            if loader.generation == 1:
                done.set()

        loader = Loader(plane, changed, recorder)
        working = asyncio.create_task(loader.run())
        loader.want(DesiredState(1, wanted))
        async with asyncio.timeout(60):
            await done.wait()
        working.cancel()
        assert list(loader.failed) == [("broken", "1")]

    asyncio.run(play())
    assert [(one.model, one.version, one.doing) for one in seen] == [
        ("good", "1", Doing.LOAD),
        ("broken", "1", Doing.LOAD),
    ]
    assert going_on() == []
