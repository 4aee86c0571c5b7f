"""Records as a worker sends them, of any signature, for what captures rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from server.capture.columns import CapturePlan
from server.capture.rows import Taken
from server.controlplane.capturing import Capture
from server.controlplane.known import KnownModel, KnownVersion
from server.repository.layout import ModelFolder, VersionFolder
from server.repository.verdict import Verdict
from server.settings import ModelSettings, Settings
from server.tensors import DATATYPES, Array, Signature, TensorSpec
from server.wire import record
from server.wire.desired import VersionPlan
from server.wire.record import BATCH_COLUMNS, BatchRecords, NamedTensor, OwnId

CLASSIFIER = Signature(
    (TensorSpec("x", DATATYPES["FP32"], (-1, 2)),),
    (TensorSpec("label", DATATYPES["INT64"], (-1,)),),
)


def plan(signature: Signature = CLASSIFIER, **fields: object) -> CapturePlan:
    """Return the plan of version 1 of model m."""
    made = CapturePlan("m", "1", "d1" * 32, signature)
    return replace(made, **fields)  # type: ignore[arg-type]


def tensor(
    spec: TensorSpec, rows: int, rng: np.random.Generator, open_size: int = 2
) -> NamedTensor:
    """Return a tensor of random values, among them those that are hard to keep."""
    shape = (rows, *(size if size >= 0 else open_size for size in spec.shape[1:]))
    return NamedTensor(spec.name, spec.datatype.name, values(spec, shape, rng))


def values(spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return random values of a datatype."""
    if spec.datatype.is_text:
        words = np.array(["", "ä", "a\0b", "twice", "twice"], object)
        return np.asarray(words[rng.integers(0, len(words), shape)], object).reshape(shape)
    kind = spec.datatype.numpy
    if spec.datatype.name == "BF16":
        return rng.integers(0, 0x7F80, shape, np.uint16)  # Any finite number.
    if spec.datatype.name == "BOOL":
        return rng.integers(0, 2, shape).astype(bool)
    if spec.datatype.is_float:
        numbers = rng.standard_normal(shape).astype(kind)
        numbers[rng.random(shape) < 0.1] = np.nan
        numbers[rng.random(shape) < 0.1] = -np.inf
        return numbers
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, kind, endpoint=True)


def records_of(
    signature: Signature = CLASSIFIER,
    requests: Sequence[Sequence[int]] = ((1, 2), (3,)),
    *,
    seed: int = 0,
    open_size: int = 2,
    own_ids: Sequence[OwnId] = (),
    first_id: int = 0x5_0000_0000,
) -> BatchRecords:
    """Return a record as it comes from the river: `requests` has the rows of each, by batch."""
    rng = np.random.default_rng(seed)
    sizes = [size for batch in requests for size in batch]
    batches = np.zeros(len(requests), BATCH_COLUMNS)
    batches["rows"] = [sum(batch) for batch in requests]
    batches["requests"] = [len(batch) for batch in requests]
    batches["started_ns"] = 1_700_000_000_000_000_000 + np.arange(len(requests)) * 1_000_000
    batches["first_id"] = first_id + np.arange(len(requests)) * 1000
    made = BatchRecords(
        "m",
        "1",
        "d1" * 32,
        0,
        1,
        batches,
        np.zeros(len(sizes), np.float32),
        [tensor(spec, sum(sizes), rng, open_size) for spec in signature.inputs],
        [tensor(spec, sum(sizes), rng, open_size) for spec in signature.outputs],
        np.array(sizes, np.int32),
        np.arange(len(sizes)) % 3 == 1,
        "cafecafe",
        list(own_ids),
    )
    # Views of a message lie where they lie: so do those of a worker.
    return record.decode(memoryview(b"".join(record.encode(made))))


def taken(of: CapturePlan, records: BatchRecords) -> Taken:
    """Return a record all of whose batches are captured."""
    return Taken(of, records, np.ones(len(records.batches), bool))


class Rig:
    """Capture of model m, whose version 1 is known."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.known = KnownVersion(
            VersionFolder(Path("1"), (), ()),
            plan=VersionPlan("d1" * 32, "", "", ModelSettings(capture_bp=10_000), True, 0.001),
            verdict=Verdict(CLASSIFIER, True, 0.001, 0, ()),
            left_out={},
        )
        folder_of = ModelFolder(Path("m"), {}, ())
        self.models = {"m": KnownModel("m", folder_of, versions={"1": self.known})}
        self.capture = Capture(Settings(state_dir=folder, **settings), self.models)

    def share(self, basis_points: int) -> None:
        assert self.known.plan is not None
        settings = ModelSettings(capture_bp=basis_points)
        self.known.plan = replace(self.known.plan, settings=settings)

    def take(self, records: BatchRecords, size: int = 100) -> None:
        self.capture.take(records, memoryview(bytes(size)))

    def files(self) -> list[Path]:
        return sorted(self.folder.rglob("*.parquet"))

    def dropped(self) -> dict[str, int]:
        return {reason: count for reason, count in self.capture.dropped.items() if count}
