"""Results to be shown and compared."""

from collections.abc import Sequence
from dataclasses import replace

from loadtests.proof.results import FORMAT, Measured, Outcome, Results, Run

RUN = Run(
    requests=1000,
    errors=0,
    checked=10,
    wrong=0,
    requests_per_second=500.0,
    p50_seconds=0.001,
    p90_seconds=0.002,
    p99_seconds=0.003,
    p999_seconds=0.004,
    cpu_seconds_per_request=0.0001,
    pss_bytes=2**26,
)


def measured(target: str, rates: Sequence[float], **others: object) -> Measured:
    """Return runs of these rates; all else is that of every run, or of `others`."""
    run = replace(RUN, **others)  # type: ignore[arg-type]
    return Measured(target, tuple(replace(run, requests_per_second=rate) for rate in rates))


def outcome(*targets: Measured, scenario: str = "mlp-json-1/64") -> Outcome:
    """Return one scenario."""
    workload, connections, *_ = scenario.split("/")
    return Outcome(scenario, workload, int(connections), 1, 0.0, targets)


def results(*outcomes: Outcome, **others: object) -> Results:
    """Return what a command measured."""
    found = Results(
        format=FORMAT,
        when="2026-11-26T12:00:00+00:00",
        command="python -m loadtests run mlp-json-1/64",
        commit="0123456789ab",
        machine={"cores": "2 cores", "kernel": "Linux 6.18"},
        versions={"numpy": "2.4.6"},
        rounds=3,
        seconds=4,
        outcomes=outcomes,
    )
    return replace(found, **others)  # type: ignore[arg-type]
