"""Records of predictions as a worker sends them, and feedback that takes them in."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from server.controlplane.feedback import Feedback
from server.controlplane.known import KnownModel, KnownVersion
from server.release.route import Canary, ReleaseRoute
from server.release.shadow_rules import Segment, ShadowRules
from server.repository.layout import ModelFolder, VersionFolder
from server.repository.verdict import Verdict
from server.settings import ModelSettings, Settings
from server.store.database import Store
from server.wire.desired import ModelPlan, VersionPlan
from server.wire.record import (
    BATCH_COLUMNS,
    BatchRecords,
    Content,
    NamedTensor,
    OwnId,
    prediction_id,
)
from tests.support.references import signature

TAG = "0000002a"
MODEL = "m"
SEX = Segment("sex", "sex", 0, ("f", "m"))


def records(
    scores: Sequence[float],
    *,
    first: int,
    rows: Sequence[int] = (),
    version: str = "1",
    digest: str = "d1",
    own_ids: Sequence[OwnId] = (),
    pinned: Sequence[bool] = (),
    sexes: Sequence[str] = (),
    content: Content = Content.ROWS,
) -> BatchRecords:
    """Return a record of one batch: probabilities of class 1, one request a row unless told."""
    request_rows = np.array(rows or [1] * len(scores), np.int32)
    batches = np.zeros(1, BATCH_COLUMNS)
    batches["rows"], batches["requests"] = len(scores), len(request_rows)
    batches["first_id"] = first
    positive = np.array(scores, np.float32)
    inputs = []
    if sexes:
        inputs.append(NamedTensor("sex", "BYTES", np.array(sexes, object).reshape(-1, 1)))
    return BatchRecords(
        MODEL,
        version,
        digest,
        0,
        1,
        batches,
        np.zeros(len(request_rows), np.float32),
        inputs,
        [NamedTensor("p", "FP32", np.stack([1.0 - positive, positive], axis=1))],
        request_rows,
        np.array(pinned or [False] * len(request_rows)),
        TAG,
        list(own_ids),
        content,
    )


def known_version(number: str, sample_bp: int = 10_000, outputs: Any = None) -> KnownVersion:
    """Return a version that answers two probabilities, or other outputs."""
    settings = ModelSettings(feedback_sample_bp=sample_bp)
    model = signature({"sex": ("BYTES", 1)}, outputs or {"p": ("FP32", 2)})
    return KnownVersion(
        VersionFolder(Path(number), (), ()),
        plan=VersionPlan(f"d{number}", "", "", settings, True, 0.001),
        verdict=Verdict(model, True, 0.001, 0, ()),
        shadow_rules=ShadowRules(segments=(SEX,)),
    )


class FeedbackRig:
    """Feedback on a real store, with a clock that a test moves."""

    def __init__(self, state_dir: Path, **settings: Any) -> None:
        self.now = time.time()
        self.models = {
            MODEL: KnownModel(
                MODEL,
                ModelFolder(Path(MODEL), {}, ()),
                versions={"1": known_version("1"), "2": known_version("2")},
            )
        }
        self.canary: Canary | None = None
        state_dir.mkdir(exist_ok=True)
        self.store = Store(state_dir)
        self.feedback = Feedback(
            Settings(state_dir=state_dir, **settings),
            self.store,
            self.models,
            self.plans,
            lambda: self.now,
        )
        self.next_number = int(self.now * 1e6)

    def plans(self) -> Mapping[str, ModelPlan]:
        """Return what is served: version 1 is live."""
        versions = {
            number: known.plan
            for number, known in self.models[MODEL].versions.items()
            if known.plan is not None
        }
        return {MODEL: ModelPlan("1", versions, release=ReleaseRoute(MODEL, 1, canary=self.canary))}

    def predict(self, scores: Sequence[float], **more: Any) -> list[str]:
        """Let a batch be answered; return the ids of its requests."""
        first = more.pop("first", self.next_number)
        record = records(scores, first=first, **more)
        self.next_number = max(self.next_number, first + len(record.request_rows))
        self.feedback.take(record)
        return [prediction_id(number, TAG) for number in record.request_numbers.tolist()]

    async def label(self, *items: Any) -> list[str]:
        """Send items; return what became of each, with the reason where it was rejected."""
        asked = asyncio.ensure_future(self.feedback.submit(items))
        await asyncio.sleep(0)
        await self.feedback.tick()
        return [
            f"{answer.result}: {answer.reason}" if answer.reason else str(answer.result)
            for answer in await asked
        ]


def item(prediction: str, label: Any, **more: Any) -> dict[str, Any]:
    """Return an item of a feedback call."""
    return {"prediction_id": prediction, "label": label, **more}
