"""The statistics extension of the protocol, from tallies.

Decides what each of its members means here. Durations are totals in nanoseconds. `success`, `fail`
and `queue` count requests (a request that was run in parts waits once for each); `compute_*` count
batches.

Source: Triton extension_statistics.md.
"""

from collections.abc import Iterable
from typing import Any

from server.controlplane.totals import Totals
from server.wire.tally import Tally

_NO_TIME = {"count": 0, "ns": 0}


def model_statistics(totals: Totals, versions: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the answer for the given versions; those that have not run yet have zeros."""
    empty = Tally()
    return {
        "model_stats": [
            _one(model, version, totals.versions.get((model, version), empty))
            for model, version in versions
        ]
    }


def _one(model: str, version: str, tally: Tally) -> dict[str, Any]:
    succeeded = tally.outcomes["ok"]
    failed = tally.outcomes.total() - succeeded
    failed_seconds = sum(seconds for code, seconds in tally.outcome_seconds.items() if code != "ok")
    sizes = sorted(tally.sizes.items())
    batches = tally.batches
    return {
        "name": model,
        "version": version,
        "last_inference": tally.last_milliseconds,
        "inference_count": tally.rows,
        "execution_count": batches,
        "inference_stats": {
            "success": _time(succeeded, tally.outcome_seconds["ok"]),
            "fail": _time(failed, failed_seconds),
            "queue": _time(tally.queue.total, tally.queue.seconds),
            "compute_input": _time(batches, sum(size.input_seconds for _, size in sizes)),
            "compute_infer": _time(batches, sum(size.compute_seconds for _, size in sizes)),
            "compute_output": _time(batches, sum(size.output_seconds for _, size in sizes)),
            "cache_hit": _NO_TIME,
            "cache_miss": _NO_TIME,
        },
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": _time(size.batches, size.input_seconds),
                "compute_infer": _time(size.batches, size.compute_seconds),
                "compute_output": _time(size.batches, size.output_seconds),
            }
            for rows, size in sizes
        ],
        "memory_usage": [],
    }


def _time(count: int, seconds: float) -> dict[str, int]:
    return {"count": int(count), "ns": round(seconds * 1e9)}
