"""Metrics of captured rows, as Prometheus reads them."""

import asyncio
from pathlib import Path

from server.controlplane import capture_metrics, capturing
from tests.support import captured
from tests.support.captured import Rig


def test_metrics_tell_what_was_taken_and_what_was_not(tmp_path: Path) -> None:
    """Every reason is there from the start; versions of models that are gone are not."""

    async def scenario() -> dict[tuple[str, ...], float]:
        rig = Rig(tmp_path)
        rig.take(captured.records_of())
        await rig.capture.close()
        rig.capture.rows["gone", "1"] = 1
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in capture_metrics.collect(rig.capture, {"m"})
            for sample in family.samples
        }

    found = asyncio.run(scenario())

    assert found["tidegate_capture_rows_total", "m", "1"] == 6
    assert ("tidegate_capture_rows_total", "gone", "1") not in found
    assert {found["tidegate_capture_dropped_batches_total", one] for one in capturing.REASONS} == {
        0
    }
    assert found["tidegate_capture_removed_files_total",] == 0
    assert found["tidegate_capture_waiting_bytes",] == 0
    assert ("tidegate_capture_bytes",) in found
