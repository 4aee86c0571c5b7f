"""p99 of one model while another one of 100 MB is copied, checked and loaded.

In each round a load generator at a fixed, moderate rate runs for some seconds without and some
with a load going on; the second part ends when the load does.
"""

import contextlib
import json
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

from loadtests import bench_models, targets
from loadtests.clients import Clients

THREADS = 4
QUIET_SECONDS = 4.0


def measure(rounds: int) -> str:
    """Return p99 without and with loads, and their ratio."""
    workload = bench_models.workloads()["tabular-json-1"]
    body, _ = workload.body()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        repository = scratch / "models"
        bench_models.write_repository(repository)
        control_port = targets.free_port()
        target = stack.enter_context(
            targets.tidegate(
                scratch, repository, 2, "tidegate", "--control-port", str(control_port),
                "--watch", "off",
            )
        )  # fmt: skip
        url = f"http://127.0.0.1:{target.port}"
        spans: list[tuple[float, float]] = []
        with Clients(url, "/v2/models/tabular/infer", body, lambda _: "", THREADS) as clients:
            for number in range(rounds):
                time.sleep(QUIET_SECONDS)
                content = bench_models.dense(bench_models.BIG_SIZES, seed=number)
                folder = repository / f"big-{number}" / "1"
                folder.mkdir(parents=True)
                (folder / "model.onnx").write_bytes(content)
                del content
                time.sleep(QUIET_SECONDS)
                started = time.perf_counter()
                _load(control_port, f"big-{number}")
                spans.append((started, time.perf_counter()))
    if clients.ledger.failures:
        raise SystemExit(f"invalid: {clients.ledger.failures[:3]}")
    return _report(clients.ledger.latencies, spans)


def _report(latencies: list[tuple[float, float]], spans: list[tuple[float, float]]) -> str:
    ends = np.array([end for end, _ in latencies])
    seconds = np.array([duration for _, duration in latencies])
    loading = np.zeros(len(ends), bool)
    quiet = np.zeros(len(ends), bool)
    for started, finished in spans:
        loading |= (ends >= started) & (ends <= finished)
        quiet |= (ends >= started - QUIET_SECONDS) & (ends < started)
    before, during = (np.quantile(seconds[part], (0.5, 0.99)) * 1e6 for part in (quiet, loading))
    took = np.median([finished - started for started, finished in spans])
    return (
        f"load of a 100 MB model: {took:.2f} s (median of {len(spans)})\n"
        f"without: p50 {before[0]:.0f} us, p99 {before[1]:.0f} us ({quiet.sum():,} answers)\n"
        f"during:  p50 {during[0]:.0f} us, p99 {during[1]:.0f} us ({loading.sum():,} answers)\n"
        f"p99 ratio: {during[1] / before[1]:.2f}"
    )


def _load(control_port: int, model: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{control_port}/v2/repository/models/{model}/load", b"{}"
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        json.load(answer)
