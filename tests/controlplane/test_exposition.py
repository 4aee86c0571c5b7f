"""The metrics as they are written: families, labels, values, formats."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from server.controlplane import exposition
from server.controlplane.page import render
from server.wire.status import Gauges
from server.wire.tally import DURATION_BUCKETS, BatchSize, Tally
from tests.support import models
from tests.support.control import Control, ToldWorker, running_control

Values = dict[str, float]
"""Value by sample, written as in the text."""


def _collected(
    repository: Path, prepare: Callable[[Control], None], *workers: ToldWorker
) -> Values:
    """Run control, prepare its counts, and return every sample."""

    async def run() -> list[Metric]:
        async with running_control(repository, *(workers or (ToldWorker(0),))) as control:
            prepare(control)
            return exposition.collect(control.sources())

    return _values(asyncio.run(run()))


def _values(families: list[Metric]) -> Values:
    page, _ = render(families, "")
    return {
        _name(sample.name, sample.labels): sample.value
        for family in plain_text(page.decode())
        for sample in family.samples
    }


def _name(name: str, labels: dict[str, str]) -> str:
    written = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{written}}}" if written else name


def _counts() -> Tally:
    counts = Tally()
    counts.outcomes.update({"ok": 5, "queue_full": 2, "bad_json": 1})
    counts.closed.update({"full": 1, "idle": 2})
    counts.request.observe(np.array([0.00005, 0.00006, 0.3, 11.0]))
    counts.broken["age", "range", "warn"] = 7
    counts.sizes = {1: BatchSize(2), 3: BatchSize(1), 2000: BatchSize(1)}
    return counts


def test_counts_become_samples(repository: Path) -> None:
    """Requests by outcome, what was shed of them, rows, batches: each from the tally's own."""
    models.put(repository, "m", 1, models.affine())

    def prepare(control: Control) -> None:
        control.totals.versions["m", "1"] = _counts()
        control.totals.versions["_unknown", ""] = Tally()
        control.totals.versions["_unknown", ""].outcomes["model_not_found"] = 4

    values = _collected(repository, prepare)

    def of(name: str, **labels: str) -> float:
        return values[_name(f"tidegate_{name}", {"model": "m", "version": "1", **labels})]

    assert of("requests_total", outcome="ok") == 5
    assert of("requests_total", outcome="queue_full") == 2
    assert of("shed_requests_total", reason="queue_full") == 2
    assert of("batches_total", closed="full") == 1
    assert of("rows_total") == 2 + 3 + 2000
    age = {"feature": "age", "check": "range", "policy": "warn"}
    assert of("data_check_rows_total", **age) == 7
    unknown = {"model": "_unknown", "version": "", "outcome": "model_not_found"}
    assert values[_name("tidegate_requests_total", unknown)] == 4
    shed = [name for name in values if name.startswith("tidegate_shed_requests_total")]
    assert len(shed) == 1
    assert not [name for name in values if "rows_total" in name and "_unknown" in name]


def test_buckets_are_cumulative_and_include_their_bound(repository: Path) -> None:
    """A value on a bound counts in its bucket; the last bucket holds everything."""
    models.put(repository, "m", 1, models.affine())

    def prepare(control: Control) -> None:
        control.totals.versions["m", "1"] = _counts()

    values = _collected(repository, prepare)

    def bucket(name: str, bound: str) -> float:
        labels = {"model": "m", "version": "1", "le": bound}
        return values[_name(f"tidegate_{name}_bucket", labels)]

    duration = "request_duration_seconds"
    assert [bucket(duration, bound) for bound in ("5e-05", "0.0001", "0.2", "0.5", "10.0")] == [
        1,
        2,
        2,
        3,
        3,
    ]
    assert bucket(duration, "+Inf") == 4
    assert [bucket("batch_rows", bound) for bound in ("1.0", "2.0", "4.0", "1024.0")] == [
        2,
        2,
        3,
        3,
    ]
    assert bucket("batch_rows", "+Inf") == 4
    labels = {"model": "m", "version": "1"}
    assert values[_name(f"tidegate_{duration}_sum", labels)] == pytest.approx(11.30011)
    assert values[_name("tidegate_batch_rows_sum", labels)] == 2005
    assert len([n for n in values if n.startswith(f"tidegate_{duration}_bucket")]) == (
        len(DURATION_BUCKETS) + 1
    )


def test_models_have_states(repository: Path) -> None:
    """Each version has 1 in exactly one state; failures and what is live are told apart."""
    models.put(repository, "m", 1, models.affine())
    models.put(repository, "m", 2, b"rubbish")

    values = _collected(repository, lambda _: None)

    def of(name: str, version: str, **labels: str) -> float:
        return values[_name(f"tidegate_{name}", {"model": "m", "version": version, **labels})]

    for version, state in (("1", "READY"), ("2", "UNAVAILABLE")):
        for one in ("READY", "LOADING", "UNAVAILABLE"):
            assert of("model_state", version, state=one) == (one == state)
    assert (of("model_live", "1"), of("model_live", "2")) == (1, 0)
    assert (of("model_load_failed", "1"), of("model_load_failed", "2")) == (0, 1)
    assert of("model_load_seconds", "1") == 0.25
    for outcome in ("ok", "failed"):
        labels = {"model": "m", "outcome": outcome}
        assert values[_name("tidegate_model_loads_total", labels)] == 1


def test_a_version_that_a_worker_cannot_load_has_failed(repository: Path) -> None:
    """The metric that alerts rest on also tells of failures that only workers see."""
    models.put(repository, "m", 1, models.affine())

    values = _collected(repository, lambda _: None, ToldWorker(0, fails={("m", "1"): "no memory"}))

    labels = {"model": "m", "version": "1"}
    assert values[_name("tidegate_model_load_failed", labels)] == 1


def test_workers_gauges_are_summed_or_told_apart(repository: Path) -> None:
    """Queued rows add up over workers; what belongs to a process carries its name."""
    models.put(repository, "m", 1, models.affine())
    workers = [
        ToldWorker(
            number,
            gauges=Gauges(
                in_flight=number + 1,
                resident_bytes=1000,
                records_dropped=number,
                queued_rows={"m": {"1": 5}},
            ),
        )
        for number in (0, 1)
    ]

    values = _collected(repository, lambda _: None, *workers)

    assert values[_name("tidegate_queue_rows", {"model": "m", "version": "1"})] == 10
    assert values["tidegate_workers_connected"] == 2
    for number in (0, 1):
        worker = {"worker": str(number)}
        assert values[_name("tidegate_in_flight_requests", worker)] == number + 1
        assert values[_name("tidegate_river_records_dropped_total", worker)] == number
        process = {"process": f"worker-{number}"}
        assert values[_name("tidegate_process_resident_memory_bytes", process)] == 1000
    own = {"process": "control"}
    assert values[_name("tidegate_process_resident_memory_bytes", own)] > 10_000_000
    assert values[_name("tidegate_event_loop_lag_seconds", own)] == 0.001


def test_states_of_the_whole_are_gauges(repository: Path) -> None:
    """Generation, a repository that is read and a state directory that is written have values."""
    values = _collected(repository, lambda _: None)

    assert values["tidegate_generation"] > 0
    assert values["tidegate_repository_readable"] == 1
    assert values["tidegate_state_dir_writable"] == 1
    assert values["tidegate_workers_expected"] == 1
    assert [v for name, v in values.items() if name.startswith("tidegate_build_info{")] == [1]


def test_both_formats_say_the_same(repository: Path) -> None:
    """Plain text and OpenMetrics hold the same samples, each under its own content type."""
    models.put(repository, "m", 1, models.affine())

    async def run() -> list[Metric]:
        async with running_control(repository, ToldWorker(0)) as control:
            control.totals.versions["m", "1"] = _counts()
            return exposition.collect(control.sources())

    families = asyncio.run(run())
    plain, plain_type = render(families, "text/html, */*")
    modern, modern_type = render(families, "application/openmetrics-text; version=1.0.0")

    assert plain_type.startswith("text/plain")
    assert modern_type.startswith("application/openmetrics-text")
    assert modern.endswith(b"# EOF\n")
    samples = [
        {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in parse(page.decode())
            for sample in family.samples
        }
        for parse, page in ((plain_text, plain), (openmetrics, modern))
    ]
    assert samples[0] == samples[1]
