"""The numbers of /metrics and of the statistics extension, held against the clients' own ledger."""

import http.client
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from tests.support import models
from tests.support.gateway import Gateway, call, eventually, is_running
from tests.support.workshop import Workshop, workshop

Key = tuple[str, str, str]
"""Model, version and outcome."""

WORKERS = 2
CLIENTS = 8
ROUNDS = 4


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A gateway of two workers with models that can fail in every way."""
    prepared = {
        "affine": models.affine(),
        "gather": models.gather(),
        "reciprocal": models.reciprocal(),
        "slow": models.slow(),
    }
    with workshop(tmp_path_factory, prepared, workers=WORKERS) as made:
        made.configure("slow", 'queue_rows = 8\nexecution = "thread"\nmax_rows = 4\n')
        assert made.gateway.load("slow").status == 200
        yield made


@dataclass
class Ledger:
    """What clients sent and got, by their own count."""

    outcomes: Counter[Key] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, model: str, version: str, outcome: str, rows: int) -> None:
        """Note one answer; `rows` are those that the model computed for it."""
        with self.lock:
            self.outcomes[model, version, outcome] += 1
            self.rows[model] += rows


def tensor(name: str, datatype: str, rows: list[Any]) -> bytes:
    """Return the body of a request with one input of one or two dimensions."""
    shape = [len(rows), len(rows[0])] if isinstance(rows[0], list) else [len(rows)]
    value = {"name": name, "datatype": datatype, "shape": shape, "data": rows}
    return json.dumps({"inputs": [value]}).encode()


@dataclass(frozen=True)
class Kind:
    """One kind of request, and what must come of it."""

    path: str
    body: bytes
    status: int
    key: Key
    rows: int = 0
    headers: dict[str, str] = field(default_factory=dict)


AFFINE = "/v2/models/affine"
ROW = [1.0, 2.0, 3.0]

MIX = [
    Kind(f"{AFFINE}/infer", tensor("x", "FP32", [ROW]), 200, ("affine", "1", "ok"), 1),
    Kind(f"{AFFINE}/versions/1/infer", tensor("x", "FP32", [ROW]), 200, ("affine", "1", "ok"), 1),
    Kind(f"{AFFINE}/infer", tensor("x", "FP32", [ROW] * 5), 200, ("affine", "1", "ok"), 5),
    Kind(f"{AFFINE}/infer", tensor("x", "FP32", [ROW] * 150), 200, ("affine", "1", "ok"), 150),
    Kind("/v1/models/affine:predict", b'{"instances":[[1,2,3]]}', 200, ("affine", "1", "ok"), 1),
    Kind(f"{AFFINE}/infer", b"{", 400, ("affine", "1", "bad_json")),
    Kind(f"{AFFINE}/infer", b"{}", 400, ("affine", "1", "invalid_request")),
    Kind(f"{AFFINE}/infer", tensor("z", "FP32", [ROW]), 400, ("affine", "1", "invalid_input")),
    Kind(
        f"{AFFINE}/infer",
        tensor("x", "FP32", [ROW]),
        415,
        ("affine", "1", "unsupported_encoding"),
        headers={"Content-Encoding": "br"},
    ),
    Kind(
        f"{AFFINE}/infer",
        tensor("x", "FP32", [ROW]),
        400,
        ("affine", "1", "bad_binary"),
        headers={"Inference-Header-Content-Length": "99999"},
    ),
    Kind("/v1/models/affine:predict", b'{"instances":3}', 400, ("affine", "1", "invalid_request")),
    Kind(
        f"{AFFINE}/versions/7/infer",
        tensor("x", "FP32", [ROW]),
        404,
        ("affine", "", "version_not_found"),
    ),
    Kind("/v2/models/gather/infer", tensor("index", "INT64", [1]), 200, ("gather", "1", "ok"), 1),
    Kind(
        "/v2/models/gather/infer",
        tensor("index", "INT64", [9]),
        500,
        ("gather", "1", "model_error"),
    ),
    Kind(
        "/v2/models/reciprocal/infer",
        tensor("x", "FP32", [[0.0, 1.0]]),
        500,
        ("reciprocal", "1", "non_finite_output"),
        1,
    ),
    *(
        Kind(f"/v2/models/{name}/infer", b"{}", 404, ("_unknown", "", "model_not_found"))
        for name in ("nobody", "%61ffin", "x" * 200, 'quo"te', "_unknown")
    ),
    Kind("/v1/models/stranger:predict", b"{}", 404, ("_unknown", "", "model_not_found")),
]


def send(gateway: Gateway, kinds: Iterable[Kind], ledger: Ledger) -> None:
    """Send requests one after the other on one connection, and note what comes."""
    parts = urlsplit(gateway.data)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as link:
        for kind in kinds:
            link.request("POST", kind.path, kind.body, kind.headers)
            answer = link.getresponse()
            content = answer.read()
            assert answer.status == kind.status, (kind, content)
            outcome = json.loads(content).get("code", "ok")
            assert outcome == kind.key[2], (kind, content)
            ledger.note(*kind.key, kind.rows)


def outcomes(gateway: Gateway) -> Counter[Key]:
    """Return tidegate_requests_total as a ledger."""
    return Counter(
        {
            (labels["model"], labels["version"], labels["outcome"]): int(value)
            for labels, value in samples(gateway, "tidegate_requests_total")
        }
    )


def samples(gateway: Gateway, name: str) -> list[tuple[dict[str, str], float]]:
    """Return the labels and values of a metric's samples."""
    return [
        (sample.labels, sample.value)
        for family in plain_text(gateway.metrics())
        for sample in family.samples
        if sample.name == name
    ]


def of_model(gateway: Gateway, name: str, model: str) -> float:
    """Return the sum of a metric over the samples of one model."""
    return sum(value for labels, value in samples(gateway, name) if labels["model"] == model)


@pytest.fixture(scope="module")
def ledger(shop: Workshop) -> Ledger:
    """Send the whole mix over several connections at once, and wait until it is counted."""
    ledger = Ledger()
    with ThreadPoolExecutor(CLIENTS) as pool:
        jobs = [pool.submit(send, shop.gateway, MIX * ROUNDS, ledger) for _ in range(CLIENTS)]
        for job in jobs:
            job.result()
    assert ledger.outcomes.total() == len(MIX) * ROUNDS * CLIENTS
    eventually(lambda: outcomes(shop.gateway).total() >= ledger.outcomes.total())
    return ledger


def test_requests_are_counted_exactly(shop: Workshop, ledger: Ledger) -> None:
    """Every answer is in `requests_total` once, under its outcome, whatever the worker."""
    assert outcomes(shop.gateway) == ledger.outcomes


def test_rows_and_batches_add_up(shop: Workshop, ledger: Ledger) -> None:
    """Rows are those that clients sent, and the batches' sizes, reasons and rows agree."""
    gateway = shop.gateway
    for model in ("affine", "gather", "reciprocal"):
        rows = ledger.rows[model]
        assert of_model(gateway, "tidegate_rows_total", model) == rows
        assert of_model(gateway, "tidegate_batch_rows_sum", model) == rows
    batches = of_model(gateway, "tidegate_batch_rows_count", "affine")
    assert of_model(gateway, "tidegate_batches_total", "affine") == batches
    assert of_model(gateway, "tidegate_compute_duration_seconds_count", "affine") == batches


def test_durations_are_those_of_the_requests_that_ran(shop: Workshop, ledger: Ledger) -> None:
    """The request histogram counts what was queued; queue and compute fit inside of it."""
    gateway = shop.gateway
    ran = {"ok", "model_error", "non_finite_output"}
    for model in ("affine", "gather", "reciprocal"):
        expected = sum(
            count
            for (name, _, outcome), count in ledger.outcomes.items()
            if name == model and outcome in ran
        )
        assert of_model(gateway, "tidegate_request_duration_seconds_count", model) == expected
    seconds = {
        part: of_model(gateway, f"tidegate_{part}_duration_seconds_sum", "gather")
        for part in ("request", "queue", "compute")
    }
    assert 0 < seconds["queue"] < seconds["request"]
    assert 0 < seconds["compute"] < seconds["request"]


def test_statistics_say_the_same_as_the_metrics(shop: Workshop, ledger: Ledger) -> None:
    """Triton's statistics are another view of the same counts, on both ports."""
    path = "/v2/models/affine/versions/1/stats"
    (stats,) = call(shop.gateway.control + path).json["model_stats"]
    assert call(shop.gateway.data + path).json["model_stats"] == [stats]

    succeeded = ledger.outcomes["affine", "1", "ok"]
    failed = (
        sum(
            n
            for (model, version, _), n in ledger.outcomes.items()
            if (model, version) == ("affine", "1")
        )
        - succeeded
    )
    batches = of_model(shop.gateway, "tidegate_batch_rows_count", "affine")
    times = stats["inference_stats"]
    assert stats["inference_count"] == ledger.rows["affine"]
    assert stats["execution_count"] == batches
    assert (times["success"]["count"], times["fail"]["count"]) == (succeeded, failed)
    assert times["compute_infer"]["count"] == batches
    assert sum(one["compute_infer"]["count"] for one in stats["batch_stats"]) == batches
    assert (
        sum(one["batch_size"] * one["compute_infer"]["count"] for one in stats["batch_stats"])
        == ledger.rows["affine"]
    )
    request_seconds = of_model(shop.gateway, "tidegate_request_duration_seconds_sum", "affine")
    assert times["success"]["ns"] / 1e9 == pytest.approx(request_seconds, abs=1e-6)
    compute_seconds = of_model(shop.gateway, "tidegate_compute_duration_seconds_sum", "affine")
    assert times["compute_infer"]["ns"] / 1e9 == pytest.approx(compute_seconds, abs=1e-6)


def test_the_river_carried_every_batch(shop: Workshop, ledger: Ledger) -> None:
    """With nothing dropped, batch records hold every batch that ran, and the rows answered."""
    gateway = shop.gateway
    dropped = samples(gateway, "tidegate_river_records_dropped_total")
    assert [value for _, value in dropped] == [0.0] * WORKERS
    batches = sum(value for _, value in samples(gateway, "tidegate_batch_rows_count"))
    refused = ledger.outcomes["reciprocal", "1", "non_finite_output"]
    assert refused > 0
    assert gateway.metric("tidegate_river_rows_total") == ledger.rows.total() - refused
    assert gateway.metric("tidegate_river_batches_total") == batches


def test_unknown_names_never_become_labels(shop: Workshop, ledger: Ledger) -> None:
    """Labels are the repository's models and one word for all others, whatever callers send."""
    assert ledger.outcomes["_unknown", "", "model_not_found"] == 6 * ROUNDS * CLIENTS
    names = {
        sample.labels["model"]
        for family in plain_text(shop.gateway.metrics())
        for sample in family.samples
        if "model" in sample.labels
    }

    assert names == {"affine", "gather", "reciprocal", "slow", "_unknown"}


def test_what_is_shed_is_counted_by_reason(shop: Workshop, ledger: Ledger) -> None:
    """A full queue and too little time are counted as requests and as shed, each once.

    Whether a deadline passes in the queue or is foreseen to depends on what is known of the speed.
    """
    del ledger  # Its requests come first.
    gateway, seen = shop.gateway, Counter[str]()
    body = tensor("x", "FP32", [[1.0]] * 4)

    status = {"ok": 200, "queue_full": 503, "overloaded": 503}
    status |= {"deadline_queue": 504, "deadline_run": 504}

    def ask(timeout_ms: int) -> None:
        reply = call(
            gateway.data + "/v2/models/slow/infer", body, X_Request_Timeout_Ms=str(timeout_ms)
        )
        outcome = reply.json.get("code", "ok")
        assert reply.status == status[outcome]
        assert ("retry-after" in reply.headers) == (status[outcome] == 503)
        assert ("x-shed-reason" in reply.headers) == (status[outcome] == 503)
        seen[outcome] += 1

    with ThreadPoolExecutor(16) as pool:
        while not (seen["queue_full"] and seen["overloaded"]):
            list(pool.map(ask, [30_000, 1] * 8))
    counted = Counter({("slow", "1", outcome): count for outcome, count in seen.items()})
    eventually(lambda: _only("slow", outcomes(gateway)).total() >= counted.total())

    assert _only("slow", outcomes(gateway)) == counted
    shed = {
        labels["reason"]: value
        for labels, value in samples(gateway, "tidegate_shed_requests_total")
        if labels["model"] == "slow"
    }
    assert shed == {one: seen[one] for one in seen.keys() - {"ok", "deadline_run"}}
    rows = of_model(gateway, "tidegate_rows_total", "slow")
    assert 4 * seen["ok"] <= rows <= 4 * (seen["ok"] + seen["deadline_run"])
    queued = of_model(gateway, "tidegate_request_duration_seconds_count", "slow")
    # Who was too late when it came was not queued.
    ran = seen["ok"] + seen["deadline_run"]
    assert ran <= queued <= ran + seen["deadline_queue"]


def _only(model: str, ledger: Counter[Key]) -> Counter[Key]:
    return Counter({key: count for key, count in ledger.items() if key[0] == model})


def test_a_killed_worker_takes_no_counts_with_it(shop: Workshop, ledger: Ledger) -> None:
    """What control has counted stays, through a SIGKILL, and the next worker's answers are added.

    Promised is: an answer is counted within a second of it; only what a worker answered in the
    last moments before it was killed may be missing.
    """
    del ledger
    gateway = shop.gateway
    more = Ledger()
    kinds = [kind for kind in MIX if kind.key[0] == "affine"]
    before = outcomes(gateway)
    send(gateway, kinds * 5, more)
    eventually(lambda: outcomes(gateway) == before + more.outcomes)
    victim = gateway.workers()[0]

    os.kill(victim, signal.SIGKILL)
    eventually(lambda: not is_running(victim))
    assert outcomes(gateway) == before + more.outcomes
    eventually(
        lambda: (
            gateway.metric("tidegate_workers_connected") == WORKERS
            and sum(value for _, value in samples(gateway, "tidegate_worker_restarts_total")) == 1
        )
    )
    with ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(send, gateway, kinds, more) for _ in range(8)]:
            job.result()

    eventually(lambda: outcomes(gateway).total() >= (before + more.outcomes).total())
    assert outcomes(gateway) == before + more.outcomes


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain", plain_text),
        ("text/plain;version=0.0.4", "text/plain", plain_text),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text", openmetrics),
    ],
)
def test_every_family_is_well_formed(
    shop: Workshop, ledger: Ledger, accept: str, content_type: str, parse: Any
) -> None:
    """Both formats parse; families have a help, a type and the prefix; buckets are cumulative."""
    del ledger
    reply = call(shop.gateway.control + "/metrics", accept=accept)
    assert reply.headers["content-type"].startswith(content_type)
    text = reply.body.decode()
    families: list[Metric] = list(parse(text))

    assert len(families) > 25
    for family in families:
        assert family.name.startswith("tidegate_")
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram", "info")
        assert text.count(f"# HELP {family.name}") >= 1
    for family in families:
        if family.type == "histogram":
            _check_histogram(family)


def _check_histogram(family: Metric) -> None:
    """Check that buckets rise, end with +Inf, and that +Inf is the count."""
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    counts = {}
    for sample in family.samples:
        key = (sample.labels["model"], sample.labels["version"])
        if sample.name.endswith("_bucket"):
            series.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[key] = sample.value
    # No version has a shadow here.
    assert bool(series) is not family.name.startswith("tidegate_shadow_")
    for key, buckets in series.items():
        bounds, values = zip(*buckets, strict=True)
        assert list(bounds) == sorted(set(bounds))
        assert list(values) == sorted(values)
        assert bounds[-1] == float("inf")
        assert values[-1] == counts[key]
