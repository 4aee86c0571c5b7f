"""One worker inside the test's process, without supervisor and control: real sockets, real ONNX."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import uvloop

from server.dataplane.process import Worker
from server.settings import ModelSettings, Settings
from server.wire.channel import Charter
from server.wire.desired import DesiredState, ModelPlan, VersionPlan


class SilentChannel:
    """A channel to nobody."""

    def report(self, **_: object) -> None:
        """Tell nobody."""

    def take_lag(self) -> float:
        return 0.0


def plan(path: Path, *, is_batched: bool = True, **settings: Any) -> VersionPlan:
    """Return the plan for a model file, as control would make it."""
    return VersionPlan(
        digest=str(path),
        path=str(path),
        samples="",
        settings=ModelSettings(**settings),
        is_batched=is_batched,
        batch_seconds=0.0,
    )


def desired(
    generation: int, plans: Mapping[str, VersionPlan], *, is_settled: bool = True
) -> DesiredState:
    """Return a desired state with version 1 of each model."""
    models = {name: ModelPlan("1", {"1": one}) for name, one in plans.items()}
    return DesiredState(generation, models, is_settled=is_settled)


class InProcessWorker:
    """A worker on an event loop of its own, on a thread of its own."""

    def __init__(
        self,
        state_dir: Path,
        plans: Mapping[str, VersionPlan],
        *,
        is_settled: bool = True,
        **settings: Any,
    ) -> None:
        # Held for as long as the worker is there, as the supervisor does: nobody else gets it.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port: int = self._held.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._charter = Charter(
            settings=Settings(state_dir=state_dir, **settings),
            name="worker-0",
            worker=0,
            workers=1,
            port=self.port,
            socket_path=str(state_dir / "nobody.sock"),
        )
        self._state = desired(1, plans, is_settled=is_settled)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker")
        self.exit_code: int | None = None
        self.worker: Worker
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except ConnectionRefusedError:
                continue
            return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._held.close()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        """Do what SIGTERM does: drain, then end; `exit_code` is set at the end of the block."""
        with contextlib.suppress(RuntimeError):  # It has ended since it was first told to.
            self.loop.call_soon_threadsafe(self._stop.set)

    def _run(self) -> None:
        uvloop.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.worker = Worker(self._charter, SilentChannel())  # type: ignore[arg-type]
        self.worker.loader.want(self._state)
        self._ready.set()
        self.exit_code = await self.worker.run(self._stop)

    def on_loop(self, function: Any, *arguments: Any) -> Any:
        """Call a function on the worker's event loop and return its result."""
        result: Future[Any] = Future()

        def run() -> None:
            try:
                result.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001 - handed to the test
                result.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return result.result(30)
