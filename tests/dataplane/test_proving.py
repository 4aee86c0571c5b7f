"""A worker shows that its live versions answer, through their real queues."""

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from server.dataplane.proof import PROBE_SECONDS, STALE_SECONDS
from server.dataplane.proving import Prover
from server.dataplane.served import ServedVersion
from server.engine.session import Session
from server.repository import samples
from server.wire.desired import VersionPlan
from tests.dataplane.conftest import PlanOf
from tests.support.asking import AFFINE, ask, infer_body
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import call, eventually
from tests.support.raw import get, post

READY = "/v2/health/ready"


def with_samples(folder: Path, plan: VersionPlan) -> VersionPlan:
    """Add inputs to a plan as its check would have left them."""
    path = folder / f"{Path(plan.path).stem}.npz"
    signature = Session.open(Path(plan.path)).signature
    samples.save(path, signature, next(samples.made_inputs(signature)))
    return dataclasses.replace(plan, samples=str(path))


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> Iterator[InProcessWorker]:
    """A worker whose models can be asked: batched, unbatched, text, BF16; and one that cannot."""
    folder = tmp_path_factory.mktemp("proven")
    names = ("affine", "gather", "batch-mean", "mixed", "identity-bf16", "fixed")
    plans = {name: with_samples(folder, plan_of(name)) for name in names}
    plans["two-outputs"] = plan_of("two-outputs")
    with InProcessWorker(folder, plans) as worker:
        yield worker


def served_by(worker: InProcessWorker, model: str) -> ServedVersion:
    """Return version 1 of a model."""
    return worker.worker.loader.loaded[model, "1"]


def test_a_version_has_answered_through_its_queue_before_it_is_named(
    proven: InProcessWorker,
) -> None:
    """All that can be asked have; nothing of that is counted as a caller's."""
    for (model, _), served in proven.worker.loader.loaded.items():
        assert math.isinf(served.batcher.last_good) == (model == "two-outputs")
        if model not in ("affine", "gather"):  # Other tests ask these.
            assert not served.telemetry.tally.outcomes
            assert not served.telemetry.tally.sizes
    assert call(proven.url + READY).status == 200


def test_who_has_not_answered_for_a_while_is_asked_and_others_are_not(
    proven: InProcessWorker,
) -> None:
    """The oldest first, once; an answer to a caller counts as well as ours."""
    plane = proven.worker.plane
    ask(proven, post(AFFINE, infer_body([[1, 2, 3]])))

    def probe() -> float:
        prover = Prover(plane.routes)
        served = served_by(proven, "affine")
        prover.probe(served.batcher.last_good + PROBE_SECONDS - 0.01)
        before = served.batcher.last_good
        for _ in range(20):
            prover.probe(time.perf_counter() + PROBE_SECONDS)
        assert prover.probes == 6
        return before

    before = proven.on_loop(probe)
    eventually(lambda: served_by(proven, "affine").batcher.last_good > before)


def test_a_version_that_does_not_answer_makes_its_worker_unready_until_it_does(
    proven: InProcessWorker,
) -> None:
    """The answer names the model; other models are ready all the while, and the worker lives."""
    served = served_by(proven, "gather")
    good = served.probe_inputs
    served.probe_inputs = [np.array([99], np.int64)]
    served.batcher.last_good = time.perf_counter() - STALE_SECONDS - 1

    answer = call(proven.url + READY)
    assert answer.status == 503
    assert answer.json["reason"] == "model 'gather' version 1 has not answered for 11 seconds"
    for path in ("gather", "gather/versions/1"):
        answer = call(f"{proven.url}/v2/models/{path}/ready")
        assert (answer.status, answer.json["ready"]) == (503, False)
    assert ask(proven, get("/v2/models/affine/ready")).status == 200
    assert ask(proven, get("/v2/health/live")).status == 200

    served.probe_inputs = good
    eventually(lambda: call(proven.url + READY).status == 200)
    assert call(proven.url + "/v2/models/gather/ready").status == 200


def test_a_version_that_has_never_answered_says_so(proven: InProcessWorker) -> None:
    """There is no time to tell."""
    served = served_by(proven, "fixed")

    def unproven() -> dict[str, str]:
        before, served.batcher.last_good = served.batcher.last_good, -math.inf
        reasons = proven.worker.plane.prover.unproven(time.perf_counter())
        served.batcher.last_good = before
        return reasons

    assert proven.on_loop(unproven) == {"fixed": "model 'fixed' version 1 has not answered yet"}
