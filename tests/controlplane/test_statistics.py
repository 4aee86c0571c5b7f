"""The statistics extension, written from tallies."""

import numpy as np

from server.controlplane.statistics import model_statistics
from server.controlplane.totals import Totals
from server.wire.tally import BatchSize, Tally


def _totals() -> Totals:
    counts = Tally(last_milliseconds=1_700_000_000_123)
    counts.outcomes.update({"ok": 7, "bad_json": 2, "model_error": 1})
    counts.outcome_seconds.update({"ok": 0.007, "model_error": 0.25})
    counts.queue.observe(np.full(8, 0.001))
    counts.sizes = {4: BatchSize(1, 0.001, 0.01, 0.1), 1: BatchSize(3, 0.003, 0.03, 0.3)}
    totals = Totals()
    totals.versions["m", "1"] = counts
    return totals


def test_members_mean_what_the_extension_says() -> None:
    """Requests, rows and batches stand where Triton puts them, durations in nanoseconds."""
    (row,) = model_statistics(_totals(), [("m", "1")])["model_stats"]

    assert row == {
        "name": "m",
        "version": "1",
        "last_inference": 1_700_000_000_123,
        "inference_count": 7,
        "execution_count": 4,
        "inference_stats": {
            "success": {"count": 7, "ns": 7_000_000},
            "fail": {"count": 3, "ns": 250_000_000},
            "queue": {"count": 8, "ns": 8_000_000},
            "compute_input": {"count": 4, "ns": 4_000_000},
            "compute_infer": {"count": 4, "ns": 40_000_000},
            "compute_output": {"count": 4, "ns": 400_000_000},
            "cache_hit": {"count": 0, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": 1,
                "compute_input": {"count": 3, "ns": 3_000_000},
                "compute_infer": {"count": 3, "ns": 30_000_000},
                "compute_output": {"count": 3, "ns": 300_000_000},
            },
            {
                "batch_size": 4,
                "compute_input": {"count": 1, "ns": 1_000_000},
                "compute_infer": {"count": 1, "ns": 10_000_000},
                "compute_output": {"count": 1, "ns": 100_000_000},
            },
        ],
        "memory_usage": [],
    }


def test_a_version_that_has_not_run_has_zeros() -> None:
    """Asking about an idle version gives the same members, and counts nothing by asking."""
    totals = _totals()

    rows = model_statistics(totals, [("m", "2"), ("m", "1")])["model_stats"]

    assert [row["version"] for row in rows] == ["2", "1"]
    assert (rows[0]["inference_count"], rows[0]["batch_stats"]) == (0, [])
    assert rows[0].keys() == rows[1].keys()
    assert set(totals.versions) == {("m", "1")}
