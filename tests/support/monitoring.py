"""Rows as a worker would send them to a monitor whose clock a test moves, and their profile."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.monitoring.columns import layout_of
from server.monitoring.drift import WHOLE
from server.monitoring.observer import Observer
from server.monitoring.profile import Profile
from server.statistics.sequential import Alert
from server.tensors import Array
from server.wire import record
from server.wire.record import BATCH_COLUMNS, BatchRecords, NamedTensor
from tests.support import models
from tests.support.control import Control
from tests.support.references import profile_of, signature

WIDTH = 3
LAYOUT = layout_of(signature({"x": ("FP32", WIDTH)}, {"y": ("FP32", WIDTH)}), {})


def affine_profile(rows: int = 20_000, seed: int = 1, offset: float = 1.0) -> Profile:
    """Return the profile of `models.affine` on standard normal rows."""
    x = np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)
    return profile_of(LAYOUT, {"x": x}, {"y": 2.0 * x + np.float32(offset)})


def put_with_profile(repository: Path, version: int = 1, offset: float = 1.0) -> Profile:
    """Write a version of `m` with its profile into a repository."""
    profile = affine_profile(offset=offset)
    folder = models.put(repository, "m", version, models.affine(offset=offset))
    (folder / "profile.json").write_bytes(profile.to_json())
    return profile


def message(
    version: str, digest: str, x: NDArray[np.float32], y: Array | None = None
) -> memoryview:
    """Return a message of batch records, one batch of `m` with these rows."""
    batches = np.zeros(1, BATCH_COLUMNS)
    batches["rows"], batches["requests"] = len(x), len(x)
    answers = 2.0 * x + np.float32(1.0) if y is None else y
    inputs = [NamedTensor("x", "FP32", x)]
    outputs = [NamedTensor("y", "FP32", answers.astype(np.float32))]
    waits = np.zeros(len(x), np.float32)
    each, none = np.ones(len(x), np.int32), np.zeros(len(x), np.bool_)
    records = BatchRecords(
        "m", version, digest, 0, 1, batches, waits, inputs, outputs, each, none, "tag", []
    )
    return memoryview(b"".join(record.encode(records)))


class Traffic:
    """Rows that a worker would send, second by second."""

    def __init__(self, control: Control, version: str = "1", seed: int = 5) -> None:
        self.control = control
        self.version = version
        self._rng = np.random.default_rng(seed)

    @property
    def digest(self) -> str:
        plan = self.control.catalog.models["m"].versions[self.version].plan
        assert plan is not None
        return plan.digest

    @property
    def observer(self) -> Observer:
        found = self.control.monitor.watched["m", self.version].observer
        assert found is not None
        return found

    async def run(self, seconds: int, rows: int = 100, shift: Any = 0.0) -> None:
        """Let seconds pass, each with rows of which the inputs are shifted."""
        for _ in range(seconds):
            self.control.now += 1.0
            if rows:
                x = self._rng.standard_normal((rows, WIDTH)) + shift
                self.control.records(message(self.version, self.digest, x.astype(np.float32)))
            await self.control.monitor.tick()

    def firing(self) -> set[tuple[str, str]]:
        """Return rule and column of the alerts that fire."""
        columns = self.observer.profile.columns
        return {
            (rule.value, "" if place == WHOLE else columns[place].column.name)
            for (rule, place), alert in self.observer.alerts.items()
            if alert.state.alert is Alert.FIRING
        }
