"""What /metrics says of whether models answer."""

from dataclasses import dataclass
from typing import Any, cast

from server.controlplane.fleet import Fleet, WorkerState
from server.controlplane.readiness_metrics import readiness
from server.wire.status import Gauges, Hello, Status


@dataclass
class Workers:
    """A fleet of which only the workers are looked at."""

    workers: list[WorkerState]


def test_each_live_version_is_ready_or_not_on_each_worker() -> None:
    """A worker that has not said anything yet has no samples; one model's silence is its own."""
    busy = Status(1, {}, {"a": "1", "b": "2"}, {}, {}, Gauges(probes=7), unready={"b": "why"})
    idle = Status(1, {}, {"a": "1"}, {}, {}, Gauges())
    fleet = Workers(
        [
            WorkerState(Hello(0, 1), busy),
            WorkerState(Hello(1, 2), idle),
            WorkerState(Hello(2, 3)),
        ]
    )
    samples: dict[tuple[str, ...], Any] = {
        (sample.name, *sample.labels.values()): sample.value
        for family in readiness(cast("Fleet", fleet))
        for sample in family.samples
    }
    assert samples == {
        ("tidegate_model_ready", "a", "0"): 1,
        ("tidegate_model_ready", "b", "0"): 0,
        ("tidegate_model_ready", "a", "1"): 1,
        ("tidegate_probes_total", "0"): 7,
        ("tidegate_probes_total", "1"): 0,
    }
