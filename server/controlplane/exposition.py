"""The metrics of serving, made from control's state at the moment of a scrape.

Decides names, labels and help texts. Labels come from models in the repository and from closed
sets, never from what callers send. Metrics of monitoring, of the store and of the webhook are made
in files of their own (`…_metrics.py`, `monitor_counters.py`).

Concurrency: `collect` runs on the event loop, where the state lives; turning families into text
(`page.py`) runs on a thread, because it takes long when there are many models.
"""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

import server
from server import machine
from server.controlplane.catalog import Catalog
from server.controlplane.check_metrics import broken_checks
from server.controlplane.fleet import Fleet
from server.controlplane.known import State
from server.controlplane.operations import Operations
from server.controlplane.readiness_metrics import readiness
from server.controlplane.router import Router
from server.controlplane.totals import Totals
from server.repository.verdicts import RUNTIME_VERSION
from server.wire.shadow import ShadowStatus
from server.wire.tally import DURATION_BUCKETS, DurationHistogram, Tally

BATCH_ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

SHED = frozenset(
    {
        "deadline_queue",
        "memory_budget",
        "overloaded",
        "queue_full",
        "quota_exceeded",
        "shutting_down",
        "too_many_connections",
    }
)
"""Outcomes of requests that were refused because there was no room or no time for them."""

_VERSION = ("model", "version")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from."""

    totals: Totals
    fleet: Fleet
    catalog: Catalog
    router: Router
    operations: Operations
    expected_workers: int
    lag_seconds: float
    """How late control's own event loop came since the last scrape."""
    shadow: ShadowStatus | None = None
    """How the shadow process is; None while there is none."""


def collect(sources: Sources) -> list[Metric]:
    """Return all metric families as they are now."""
    return [
        *_requests(sources.totals),
        broken_checks(sources.totals, sources.router.state.models),
        *_models(sources),
        *_workers(sources),
        *readiness(sources.fleet),
        *_processes(sources),
        *_river(sources),
        *_build(),
    ]


def _requests(totals: Totals) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "tidegate_requests",
        "Answered requests by outcome: ok, client_gone, or the code of the error",
        labels=(*_VERSION, "outcome"),
    )
    shed = CounterMetricFamily(
        "tidegate_shed_requests",
        "Requests refused for lack of room or time, by reason; also in tidegate_requests_total",
        labels=(*_VERSION, "reason"),
    )
    rows = CounterMetricFamily("tidegate_rows", "Rows computed by models", labels=_VERSION)
    batches = CounterMetricFamily(
        "tidegate_batches",
        "Batches by the reason for which they took no more requests",
        labels=(*_VERSION, "closed"),
    )
    durations = {
        "request": _duration_family(
            "request", "From a request's last byte to its answer, for requests that were queued"
        ),
        "queue": _duration_family("queue", "From a request's last byte to the start of its batch"),
        "compute": _duration_family("compute", "Run time of the model, once per batch"),
    }
    sizes = HistogramMetricFamily("tidegate_batch_rows", "Rows per batch", labels=_VERSION)
    for labels, tally in sorted(totals.versions.items()):
        for outcome, count in sorted(tally.outcomes.items()):
            requests.add_metric((*labels, outcome), count)
            if outcome in SHED:
                shed.add_metric((*labels, outcome), count)
        if not labels[1]:
            continue  # Only refusals are counted without a version.
        rows.add_metric(labels, tally.rows)
        for reason, count in sorted(tally.closed.items()):
            batches.add_metric((*labels, reason), count)
        for name, family in durations.items():
            _add_durations(family, labels, getattr(tally, name))
        _add_sizes(sizes, labels, tally)
    yield from (requests, shed, rows, batches, *durations.values(), sizes)


def _duration_family(name: str, text: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"tidegate_{name}_duration_seconds", text, labels=_VERSION)


def _bound(value: float) -> str:
    """Write a bucket's bound as Prometheus does."""
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _add_durations(
    family: HistogramMetricFamily, labels: tuple[str, str], histogram: DurationHistogram
) -> None:
    bounds = [*map(_bound, DURATION_BUCKETS), "+Inf"]
    cumulative = accumulate(map(int, histogram.counts))
    family.add_metric(labels, list(zip(bounds, cumulative, strict=True)), histogram.seconds)


def _add_sizes(family: HistogramMetricFamily, labels: tuple[str, str], tally: Tally) -> None:
    buckets = [
        (
            _bound(bound),
            sum(size.batches for rows, size in tally.sizes.items() if rows <= bound),
        )
        for bound in BATCH_ROWS_BUCKETS
    ]
    family.add_metric(labels, [*buckets, ("+Inf", tally.batches)], tally.rows)


def _models(sources: Sources) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "tidegate_model_state",
        "1 for the state that a version is in",
        labels=(*_VERSION, "state"),
    )
    live = GaugeMetricFamily(
        "tidegate_model_live", "1 for the version that answers for its model", labels=_VERSION
    )
    failed = GaugeMetricFamily(
        "tidegate_model_load_failed",
        "1 for a version that cannot be served as it is now: its files, or a worker's try, failed",
        labels=_VERSION,
    )
    for model in sources.catalog.models.values():
        for row in sources.operations.model_rows(model):
            labels = (row["name"], row["version"])
            for one in State:
                state.add_metric((*labels, one.value), float(row["state"] == one))
            live.add_metric(labels, float(row["live"]))
            known = model.versions[row["version"]]
            has_failed = known.error or model.setup_error or row["version"] in model.failures
            failed.add_metric(labels, float(bool(has_failed)))
    loads = CounterMetricFamily(
        "tidegate_model_loads",
        "Versions copied and checked, by outcome",
        labels=("model", "outcome"),
    )
    for labels, count in sorted(sources.catalog.loads.items()):
        loads.add_metric(labels, count)
    seconds = GaugeMetricFamily(
        "tidegate_model_load_seconds",
        "How long the slowest worker took to open and warm up a version",
        labels=_VERSION,
    )
    for labels, slowest in sorted(_slowest_loads(sources.fleet).items()):
        seconds.add_metric(labels, slowest)
    generation = GaugeMetricFamily(
        "tidegate_generation", "Number of the desired state that workers were last told"
    )
    generation.add_metric((), sources.router.state.generation)
    writable = GaugeMetricFamily(
        "tidegate_state_dir_writable", "1 while the state directory can be written"
    )
    writable.add_metric((), float(sources.router.store_writable))
    damaged = GaugeMetricFamily(
        "tidegate_state_file_damaged",
        "1 if a file of the state directory could not be read when control started",
        labels=("file",),
    )
    damaged.add_metric(("desired.json",), float(sources.router.is_state_lost))
    damaged.add_metric(("intents.json",), float(sources.operations.is_intent_lost))
    readable = GaugeMetricFamily(
        "tidegate_repository_readable", "1 while the model repository can be read"
    )
    readable.add_metric((), float(not sources.catalog.repository_error))
    yield from (state, live, failed, loads, seconds, generation, writable, damaged, readable)


def _slowest_loads(fleet: Fleet) -> dict[tuple[str, str], float]:
    slowest: dict[tuple[str, str], float] = {}
    for worker in fleet.workers:
        for model, versions in (worker.status.load_seconds if worker.status else {}).items():
            for version, seconds in versions.items():
                key = (model, version)
                slowest[key] = max(seconds, slowest.get(key, 0.0))
    return slowest


_WORKER_GAUGES = (
    ("tidegate_in_flight_requests", "Requests that wait or run", "in_flight"),
    ("tidegate_in_flight_bytes", "Request bytes held", "in_flight_bytes"),
    ("tidegate_connections", "Open client connections", "connections"),
)


def _workers(sources: Sources) -> Iterator[Metric]:
    fleet = sources.fleet
    expected = GaugeMetricFamily("tidegate_workers_expected", "Workers that should be there")
    expected.add_metric((), sources.expected_workers)
    connected = GaugeMetricFamily("tidegate_workers_connected", "Workers that are there")
    connected.add_metric((), len(fleet.workers))
    restarts = CounterMetricFamily(
        "tidegate_worker_restarts", "How often a worker was replaced", labels=("worker",)
    )
    reached = GaugeMetricFamily(
        "tidegate_worker_generation",
        "Number of the desired state that a worker has carried out",
        labels=("worker",),
    )
    for worker in fleet.workers:
        number = str(worker.hello.worker)
        restarts.add_metric((number,), worker.hello.restarts)
        if worker.status is not None:
            reached.add_metric((number,), worker.status.generation)
    yield from (expected, connected, restarts, reached)
    for name, text, attribute in _WORKER_GAUGES:
        family = GaugeMetricFamily(name, text, labels=("worker",))
        for worker in fleet.workers:
            if worker.status is not None:
                value = getattr(worker.status.gauges, attribute)
                family.add_metric((str(worker.hello.worker),), value)
        yield family
    queued = GaugeMetricFamily("tidegate_queue_rows", "Rows that wait", labels=_VERSION)
    for labels, number_of_rows in sorted(_queued(fleet).items()):
        queued.add_metric(labels, number_of_rows)
    yield queued


def _queued(fleet: Fleet) -> dict[tuple[str, str], int]:
    rows: dict[tuple[str, str], int] = {}
    for worker in fleet.workers:
        for model, versions in (worker.status.gauges.queued_rows if worker.status else {}).items():
            for version, count in versions.items():
                rows[model, version] = rows.get((model, version), 0) + count
    return rows


def _processes(sources: Sources) -> Iterator[Metric]:
    memory = GaugeMetricFamily(
        "tidegate_process_resident_memory_bytes", "Physical memory", labels=("process",)
    )
    cpu = CounterMetricFamily(
        "tidegate_process_cpu_seconds", "Processor time used", labels=("process",)
    )
    files = GaugeMetricFamily(
        "tidegate_process_open_fds", "Open file descriptors", labels=("process",)
    )
    lag = GaugeMetricFamily(
        "tidegate_event_loop_lag_seconds",
        "How late the event loop came, at most, in the last second or since the last scrape",
        labels=("process",),
    )

    def add(process: str, values: tuple[float, float, float, float]) -> None:
        memory.add_metric((process,), values[0])
        cpu.add_metric((process,), values[1])
        files.add_metric((process,), values[2])
        lag.add_metric((process,), values[3])

    own = (machine.resident_bytes(), machine.cpu_seconds(), machine.open_files())
    add("control", (*own, sources.lag_seconds))
    for worker in sources.fleet.workers:
        if worker.status is not None:
            gauges = worker.status.gauges
            add(
                f"worker-{worker.hello.worker}",
                (
                    gauges.resident_bytes,
                    gauges.cpu_seconds,
                    gauges.open_files,
                    gauges.loop_lag_seconds,
                ),
            )
    if sources.shadow is not None:
        one = sources.shadow
        add("shadow", (one.resident_bytes, one.cpu_seconds, one.open_files, one.loop_lag_seconds))
    yield from (memory, cpu, files, lag)


def _river(sources: Sources) -> Iterator[Metric]:
    totals = sources.totals
    for name, text, value in (
        ("records", "Messages of batch records that control has read", totals.record_messages),
        ("batches", "Batches in those records", totals.record_batches),
        ("rows", "Rows in those records", totals.record_rows),
    ):
        yield CounterMetricFamily(f"tidegate_river_{name}", text, value=value)
    dropped = CounterMetricFamily(
        "tidegate_river_records_dropped",
        "Messages of batch records that a worker could not send",
        labels=("worker",),
    )
    for worker in sources.fleet.workers:
        if worker.status is not None:
            number = str(worker.hello.worker)
            dropped.add_metric((number,), worker.status.gauges.records_dropped)
    yield dropped


def _build() -> Iterator[Metric]:
    labels: dict[str, Any] = {
        "version": server.__version__,
        "onnxruntime": RUNTIME_VERSION,
        "python": platform.python_version(),
    }
    yield InfoMetricFamily("tidegate_build", "What this is built of", value=labels)
