"""A worker that mirrors the large rows of a live version, while its release state asks for it."""

from pathlib import Path

import numpy as np

from server.release.route import ReleaseRoute, Shadow
from server.wire.desired import DesiredState, ModelPlan
from server.wire.record import BatchRecords, Content
from tests.dataplane.conftest import PlanOf
from tests.support.asking import ask, check_nothing_left, infer_body
from tests.support.dataplane import InProcessWorker
from tests.support.gateway import eventually
from tests.support.raw import post


def test_the_live_version_is_mirrored_and_no_other(tmp_path: Path, plan_of: PlanOf) -> None:
    """Beside the record that monitoring reads, until the state asks for no share any more."""
    records: list[BatchRecords] = []

    def take(one: BatchRecords) -> bool:
        records.append(one)
        return True

    versions = {"1": plan_of("open"), "2": plan_of("open", max_rows=8)}
    with InProcessWorker(tmp_path, {}, river_max_row_bytes=64) as worker:
        worker.worker.telemetry.send_records = take  # type: ignore[assignment,method-assign]
        loader = worker.worker.loader
        sent = []
        for generation, mirror_bp in ((2, 10_000), (3, 0)):
            shadows = (Shadow("9", "d9", mirror_bp, "e", 0.0),) if mirror_bp else ()
            plan = ModelPlan("1", versions, release=ReleaseRoute("m", generation, shadows=shadows))
            state = DesiredState(generation, {"m": plan}, is_settled=True)
            worker.on_loop(loader.want, state)
            eventually(lambda: loader.generation == generation)  # noqa: B023 - waited for here
            for version in versions:
                wide = np.arange(100.0).reshape(1, 100).tolist()
                path = f"/v2/models/m/versions/{version}/infer"
                assert ask(worker, post(path, infer_body(wide))).status == 200
                check_nothing_left(worker)
                worker.on_loop(worker.worker.telemetry.flush)
                sent.append([(one.version, one.content) for one in records])
                if mirror_bp and version == "1":
                    assert records[1].inputs[0].array.tolist() == wide
                records.clear()

    both, only = [Content.REDUCED, Content.MIRROR], [Content.REDUCED]
    assert [[content for _, content in each] for each in sent] == [both, only, only, only]
    assert [version for each in sent for version, _ in each] == ["1", "1", "2", "1", "2"]
