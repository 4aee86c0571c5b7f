"""A batcher on a real event loop with a real session, and callers that check what they are told."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import uvloop

from server.engine.batcher import Batcher, BatcherLimits, Owner
from server.engine.batching import BatchPolicy, Execution
from server.engine.running import Entry, FinishedBatch
from server.engine.runs import Hang
from server.engine.session import RunHandle, Session
from server.engine.watchdog import Watchdog
from server.errors import TidegateError
from server.tensors import Array, Data

T = TypeVar("T")
PATIENCE_SECONDS = 20.0


class Request:
    """One caller, who is told its fate exactly once."""

    def __init__(
        self,
        *arrays: Array,
        lives_seconds: float = math.inf,
        shape_key: object = None,
        rows: int | None = None,
    ) -> None:
        self.tensors: list[Data] = [
            array.ravel().tolist() if array.dtype == object else array.tobytes() for array in arrays
        ]
        self.shapes = tuple(array.shape for array in arrays)
        self.rows = len(arrays[0]) if rows is None else rows
        self.shape_key = shape_key
        self.arrived = time.perf_counter()
        self.deadline = self.arrived + lives_seconds
        self.is_gone = False
        self.fate: asyncio.Future[list[Array]] = asyncio.get_running_loop().create_future()
        self.drops = 0
        self.batch: FinishedBatch | None = None

    def told(self, rows: list[Array] | TidegateError | None) -> None:
        """Take the answer; a second one raises InvalidStateError."""
        if isinstance(rows, list):
            self.fate.set_result(rows)
        elif rows is None:
            self.fate.cancel()
        else:
            self.fate.set_exception(rows)

    async def answer(self) -> list[Array]:
        """Return the rows of every output, or raise what the caller was told."""
        return await asyncio.wait_for(asyncio.shield(self.fate), PATIENCE_SECONDS)

    async def error(self) -> BaseException | None:
        """Return the error that the caller was told, None if it was an answer."""
        await asyncio.wait_for(asyncio.wait([self.fate]), PATIENCE_SECONDS)
        return self.fate.exception()

    async def failure(self) -> tuple[type[BaseException], str]:
        """Return the kind and the text of the error that the caller was told."""
        error = await self.error()
        assert error is not None
        return type(error), str(error)


class Bench:
    """A batcher, what it was told to do, and what it said."""

    def __init__(
        self,
        session: Session,
        *,
        max_rows: int = 8,
        max_delay_seconds: float = 0.0,
        is_batched: bool = True,
        queue_rows: int = 1000,
        instances: int = 1,
        execution: Execution = Execution.INLINE,
        hang_kill_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.finished: list[FinishedBatch] = []
        self.dropped: list[Entry] = []
        self.hangs: list[Hang] = []
        self.watchdog = Watchdog(lambda _label: None)
        self.batcher = Batcher(
            session,
            BatchPolicy(max_rows, max_delay_seconds, is_batched),
            BatcherLimits(queue_rows, instances, execution, hang_kill_seconds),
            Owner("m/1", self._on_finished, self._on_dropped, self.hangs.append),
            self.watchdog,
        )

    def submit(self, *requests: Request) -> None:
        """Queue requests in order, all in the same turn of the loop."""
        for request in requests:
            self.batcher.submit(request)

    def _on_finished(self, batch: FinishedBatch) -> None:
        self.finished.append(batch)
        first = 0
        for request in batch.entries:
            assert isinstance(request, Request)
            request.batch = batch
            if request in batch.left:
                first += request.rows
                continue
            rows = slice(first, first + request.rows) if self.batcher.policy.is_batched else ...
            request.told(batch.error or [output[rows] for output in batch.outputs])
            first += request.rows

    def _on_dropped(self, entry: Entry, error: TidegateError | None) -> None:
        assert isinstance(entry, Request)
        self.dropped.append(entry)
        entry.told(error)


class Gate(Session):
    """A real session whose runs wait to be let through; each says when it has begun.

    Only for runs on threads: on the event loop it would wait for ever.
    """

    def run(self, inputs: Sequence[Array], handle: RunHandle | None = None) -> list[Array]:
        self.begun.release()
        assert self.may_run.acquire(timeout=PATIENCE_SECONDS)
        return super().run(inputs, handle)

    def __init__(self, session: Any, signature: Any) -> None:
        super().__init__(session, signature)
        self.begun = threading.Semaphore(0)
        self.may_run = threading.Semaphore(0)

    async def has_begun(self) -> None:
        """Wait until one more run has begun; the event loop goes on turning."""
        assert await asyncio.to_thread(self.begun.acquire, timeout=PATIENCE_SECONDS)

    def let_through(self, runs: int = 1) -> None:
        """Let runs go on, or come, without waiting."""
        self.may_run.release(runs)


class Counted(Session):
    """A real session that notes the rows of each of its runs."""

    def __init__(self, session: Any, signature: Any) -> None:
        super().__init__(session, signature)
        self.rows: list[int] = []

    def run(self, inputs: Sequence[Array], handle: RunHandle | None = None) -> list[Array]:
        self.rows.append(len(inputs[0]))
        return super().run(inputs, handle)


S = TypeVar("S", bound=Session)


def opened(folder: Path, content: bytes, kind: type[S]) -> S:
    """Open a model with a session of the given kind."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    session = kind.open(path)
    assert isinstance(session, kind)
    return session


def on_loop(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario on the event loop that workers use; what a callback raises fails it."""

    async def watched() -> T:
        running = asyncio.create_task(scenario())
        raised: list[Any] = []

        def on_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            raised.append(context.get("exception") or context["message"])
            running.cancel()

        asyncio.get_running_loop().set_exception_handler(on_error)
        await asyncio.wait([running])
        assert not raised, raised
        return await running

    return uvloop.run(watched())


def rows(*values: float, width: int = 3) -> Array:
    """Return one FP32 row for each value, filled with it."""
    return np.repeat(np.array(values, np.float32)[:, np.newaxis], width, axis=1)
