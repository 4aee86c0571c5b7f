"""A worker that says to control what a test tells it to say, and keeps what control says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from server.controlplane.known import KnownModel, KnownVersion
from server.repository.layout import ModelFolder, VersionFolder
from server.repository.model_settings import ModelSetup
from server.settings import ModelSettings
from server.wire import desired, status
from server.wire.desired import DesiredState, VersionPlan
from server.wire.frames import FrameReader, Kind, frame
from server.wire.status import Gauges, Hello, Status

SILENT = Status(-1, {}, {}, {}, {}, Gauges())
PATIENCE_SECONDS = 60.0


class FakeWorker:
    """One connection to control."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.status = SILENT
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._received: list[tuple[Kind, bytes]] = []

    def send(self, kind: Kind, payload: bytes) -> None:
        """Send any message."""
        self._writer.write(frame(kind, payload))

    def hello(self, number: int, pid: int = 1, restarts: int = 0) -> None:
        """Say who this is."""
        self.send(Kind.HELLO, status.encode_hello(Hello(number, pid, restarts)))

    def say(self, **changes: object) -> None:
        """Say the state, with these changes to what was said before."""
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]
        self.send(Kind.STATUS, status.encode_status(self.status))

    async def next(self, kind: Kind) -> bytes:
        """Return the next message of a kind; others before it are let go."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                while self._received:
                    got, payload = self._received.pop(0)
                    if got is kind:
                        return payload
                chunk = await self._reader.read(1 << 16)
                assert chunk, "control closed the connection"
                self._received += [(one, bytes(rest)) for one, rest in self._frames.feed(chunk)]

    async def told(self) -> DesiredState:
        """Return the next desired state."""
        return desired.decode(await self.next(Kind.DESIRED))

    async def told_all(self) -> DesiredState:
        """Return the next desired state that is made with the whole repository in view."""
        while not (state := await self.told()).is_settled:
            pass
        return state

    async def close(self) -> None:
        """Leave."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def fake_worker(path: Path) -> AsyncIterator[FakeWorker]:
    """Connect to control's socket."""
    worker = FakeWorker(*await asyncio.open_unix_connection(str(path)))
    try:
        yield worker
    finally:
        await worker.close()


def plan(digest: str) -> VersionPlan:
    """Return a plan that differs from others by its digest."""
    return VersionPlan(digest, f"/store/{digest}/model.onnx", "", ModelSettings(), True, 0.0)


def known(name: str, policy: str = "latest:1", **digests: str) -> KnownModel:
    """Return a model whose versions have been checked; versions are named v1, v2 and so on."""
    folder = ModelFolder(Path(name), {}, ())
    model = KnownModel(name, folder, ModelSetup(ModelSettings(version_policy=policy)))
    for version, digest in digests.items():
        lying = VersionFolder(Path(name) / version[1:], ("model.onnx",), ())
        model.versions[version[1:]] = KnownVersion(lying, plan=plan(digest))
    return model
