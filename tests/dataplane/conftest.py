"""Workers that the tests of the data plane share, each on real sockets with real models."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from server.wire.desired import VersionPlan
from tests.support import models
from tests.support.dataplane import InProcessWorker, plan

MODELS: dict[str, bytes] = {
    "affine": models.affine(),
    "open": models.identity("FP32", ("N", "M")),
    "two-outputs": models.two_outputs(),
    "mixed": models.mixed(),
    "gather": models.gather(),
    "reciprocal": models.reciprocal(),
    "batch-mean": models.batch_mean(),
    "fixed": models.identity("FP32", (1, 3)),
    "slow": models.slow(),
    **{f"identity-{kind.lower()}": models.identity(kind) for kind in models.ELEMENT_TYPES},
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "slow": {"execution": "thread"},
    "batch-mean": {"is_batched": False},
    "fixed": {"is_batched": False},
}

PlanOf = Callable[..., VersionPlan]
StartWorker = Callable[..., AbstractContextManager[InProcessWorker]]


@pytest.fixture(scope="session")
def plan_of(tmp_path_factory: pytest.TempPathFactory) -> PlanOf:
    """Make the plan for one of MODELS, with settings of the model."""
    folder = tmp_path_factory.mktemp("model-files")

    def make(name: str, **settings: Any) -> VersionPlan:
        path = folder / f"{name}.onnx"
        if not path.exists():
            path.write_bytes(MODELS[name])
        # On a busy machine much may wait for small batches: that is not what most tests are about.
        return plan(path, **{"max_queue_ms": 60_000, **_SETTINGS.get(name, {}), **settings})

    return make


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker with all of MODELS, for tests that leave it as they found it.

    Answers of a few hundred bytes are compressed for those who accept it, and a request may have
    20 rows.
    """
    plans = {name: plan_of(name, max_rows=8, max_request_rows=20) for name in MODELS}
    folder = tmp_path_factory.mktemp("shared-worker")
    with InProcessWorker(folder, plans, compress_min_bytes=300, workers=1) as shared:
        yield shared


@pytest.fixture
def start_worker(tmp_path: Path) -> StartWorker:
    """Start a worker of one's own with plans and settings; see InProcessWorker."""

    def begin(plans: Mapping[str, VersionPlan], **settings: Any) -> InProcessWorker:
        return InProcessWorker(tmp_path, plans, **settings)

    return begin
