"""Which rows are captured, and what waits to be written.

Decides which batches are drawn, and what is dropped rather than waited for: what waits is bounded,
and predictions and monitoring never wait for a disk. Files are the writer's
(`capture/writer.py`); it, and pyarrow with it, is loaded when the first row is captured.

Concurrency: event loop only; files are written on one thread of its own, a round at a time.
Lifetime: `run` is one task for the life of control; `close` closes the files.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import structlog
from numpy.typing import NDArray

from server.capture.columns import CapturePlan
from server.capture.rows import Taken
from server.controlplane.known import KnownModel, KnownVersion
from server.release.route import ALL_BP
from server.settings import Settings
from server.wire.record import BatchRecords, Content

if TYPE_CHECKING:
    from server.capture.writer import CaptureWriter, Outcome

MAX_WAITING_BYTES = 64 << 20
GATHER_SECONDS = 0.1
"""What comes in so long is written together: in more, the burst would be felt by predictions."""
IDLE_SECONDS = 10.0
"""After so long without rows it is seen whether files are due."""

REASONS = ("queue_full", "disk", "failed", "not_whole", "unchecked", "not_installed")
"""Why drawn batches are dropped."""

log = structlog.get_logger()


def is_installed() -> bool:
    """Say whether there is what Parquet files are written with."""
    return find_spec("pyarrow") is not None


class Capture:
    """What is captured of all models."""

    def __init__(self, settings: Settings, models: Mapping[str, KnownModel]) -> None:
        self.rows: Counter[tuple[str, str]] = Counter()
        """Rows that were taken, by model and version."""
        self.dropped: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        """Drawn batches that were not, by reason."""
        self.removed_files = 0
        self.held_bytes = 0
        """Bytes of all files."""
        self.waiting_bytes = 0
        self._folder = settings.state_dir / settings.capture_dir
        self._max_bytes = settings.capture_max_bytes
        self._models = models
        self._plans: dict[tuple[str, str], CapturePlan] = {}
        self._waiting: list[Taken] = []
        self._woken = asyncio.Event()
        self._random = np.random.default_rng()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="capture")
        self._writer: CaptureWriter | None = None
        """The thread's."""
        self._has_begun = False
        self._is_installed: bool | None = None

    def take(self, records: BatchRecords, message: memoryview) -> None:
        """Take what is drawn of the batches of one message."""
        model = self._models.get(records.model)
        known = model.versions.get(records.version) if model is not None else None
        if known is None or known.plan is None or known.plan.digest != records.digest:
            return
        share_bp = known.plan.settings.capture_bp
        if not share_bp or records.content is Content.MIRROR or not records.rows:
            return
        is_chosen = self._random.integers(0, ALL_BP, len(records.batches)) < share_bp
        batches = int(is_chosen.sum())
        reason = batches and self._obstacle(records, known, len(message))
        if reason:
            self.dropped[reason] += batches
        elif batches:
            self._keep(records, known, is_chosen, len(message))

    def _obstacle(self, records: BatchRecords, known: KnownVersion, size: int) -> str:
        """Return why a record that was drawn cannot be captured; empty if it can."""
        if records.content is not Content.ROWS or not records.inputs:
            return "not_whole"
        if known.verdict is None or known.left_out is None:
            return "unchecked"  # As before a restart; what is to be left out is not known.
        if self.waiting_bytes + size > MAX_WAITING_BYTES:
            return "queue_full"
        if self._is_installed is None:
            self._is_installed = is_installed()
            if not self._is_installed:
                log.error("capture_needs_pyarrow", fix="pip install 'tidegate[parquet]'")
        return "" if self._is_installed else "not_installed"

    def _keep(
        self,
        records: BatchRecords,
        known: KnownVersion,
        is_chosen: NDArray[np.bool_],
        size: int,
    ) -> None:
        self._waiting.append(Taken(self._plan_of(records, known), records, is_chosen))
        self.waiting_bytes += size
        self._has_begun = True
        self._woken.set()

    def _plan_of(self, records: BatchRecords, known: KnownVersion) -> CapturePlan:
        """Return the plan of a version's files, the same one while nothing about it changes."""
        assert known.verdict is not None
        assert known.plan is not None
        assert known.left_out is not None
        key = (records.model, records.version)
        plan = self._plans.get(key)
        if (
            plan is None
            or plan.digest != records.digest
            or plan.redacted != known.left_out
            or plan.features != known.plan.features
        ):
            plan = self._plans[key] = CapturePlan(
                *key, records.digest, known.verdict.signature, known.plan.features, known.left_out
            )
        return plan

    async def run(self) -> None:
        """Write what was taken, for ever; nothing happens before there is something."""
        await self._woken.wait()
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            self._woken.clear()
            try:
                await self.write()
            except Exception:  # Nothing else depends on this task, and it may be better later.
                log.exception("capture_failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._woken.wait()

    async def write(self) -> None:
        """Write what waits now, and close the files that are due."""
        waiting, self._waiting = self._waiting, []
        size = self.waiting_bytes
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._write, waiting
            )
        except Exception:
            self.dropped["failed"] += sum(int(one.is_chosen.sum()) for one in waiting)
            raise
        finally:
            self.waiting_bytes -= size
        self.rows.update(outcome.rows)
        self.dropped.update(outcome.dropped)
        self.removed_files += outcome.removed_files
        self.held_bytes = outcome.held_bytes

    def _write(self, waiting: list[Taken]) -> "Outcome":
        from server.capture.writer import CaptureWriter

        if self._writer is None:
            self._writer = CaptureWriter(self._folder, self._max_bytes)
        return self._writer.write(waiting)

    async def close(self) -> None:
        """Write what is left, and close the files."""
        if self._has_begun:
            await self.write()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._threads, self._close)
        self._threads.shutdown(wait=False)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
