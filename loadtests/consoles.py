"""What twenty open tabs of the console cost: latency of predictions, processor time, page by page.

Predictions come at a rate of their own, far from what the worker could answer. A tab asks as a
browser does: for the part of its page that changes, every few seconds; the tabs are spread over all
pages. The same gateway is measured without tabs and with them, in turns. The browsers themselves
are left out: they run on other machines.
"""

import argparse
import contextlib
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtests import bench_models, open_loop, targets
from loadtests.control import Control
from loadtests.processes import cpu_seconds

MODELS = 50
TABS = 20
ASK_SECONDS = 3.0
PAGES = ("/", "/models/{}", "/models/{}/drift", "/models/{}/release", "/system")
ASKED = 20
"""How often each page is asked for, to say what it takes."""


@dataclass(frozen=True)
class Seen:
    """What was measured with so many tabs, medians over the rounds."""

    tabs: int
    requests: int
    failures: int
    p50_milliseconds: float
    p99_milliseconds: float
    cpu_microseconds: float
    """Of all processes of the gateway, for each prediction."""


@dataclass(frozen=True)
class PageSeen:
    """What one page takes."""

    path: str
    size: int
    median_milliseconds: float
    slowest_milliseconds: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said on the command line."""
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=float, default=1000.0, help="predictions a second")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(options: argparse.Namespace) -> None:
    """Measure, and print both tables."""
    with _gateway() as (pid, url, port):
        pages = [_page(port, path) for path in PAGES]
        runs: dict[int, list[tuple[open_loop.Answers, float]]] = {0: [], TABS: []}
        for number in range(options.rounds):
            for tabs in (0, TABS) if number % 2 else (TABS, 0):
                runs[tabs].append(_once(pid, url, port, tabs, options))
    seen = [_median(tabs, some) for tabs, some in runs.items()]
    ratio = statistics.median(
        one.quantile(0.99) / other.quantile(0.99)
        for (one, _), (other, _) in zip(runs[TABS], runs[0], strict=True)
    )
    if options.json:
        told = {"pages": [asdict(one) for one in pages], "tabs": [asdict(one) for one in seen]}
        print(json.dumps(told | {"p99_ratio": ratio}, indent=2))
        return
    print("\n".join(_tables(pages, seen)))
    print(f"\np99 with tabs over p99 without, median of {options.rounds} pairs: {ratio:.3f}")


def _tables(pages: list[PageSeen], seen: list[Seen]) -> Iterator[str]:
    yield f"| page, with {MODELS} models | bytes | median ms | slowest ms |"
    yield "|---|---|---|---|"
    for one in pages:
        times = f"{one.median_milliseconds:.1f} | {one.slowest_milliseconds:.1f}"
        yield f"| `{one.path}` | {one.size:,} | {times} |"
    yield ""
    yield "| open tabs | predictions | failed | p50 ms | p99 ms | CPU a prediction |"
    yield "|---|---|---|---|---|---|"
    for each in seen:
        yield (
            f"| {each.tabs} | {each.requests:,} | {each.failures} | {each.p50_milliseconds:.2f} | "
            f"{each.p99_milliseconds:.2f} | {each.cpu_microseconds:.0f} µs |"
        )


@contextlib.contextmanager
def _gateway() -> Iterator[tuple[int, str, int]]:
    """Serve many models; yield process, address of one model's predictions, and control's port."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        content = bench_models.tabular()
        for number in range(MODELS):
            folder = scratch / "models" / _name(number) / "1"
            folder.mkdir(parents=True)
            (folder / "model.onnx").write_bytes(content)
        port = targets.free_port()
        flags = ["--control-port", str(port)]
        target = stack.enter_context(
            targets.tidegate(scratch, scratch / "models", 1, "tidegate", *flags)
        )
        Control(port).first_live(_name(MODELS - 1))
        yield target.pid, f"http://127.0.0.1:{target.port}/v2/models/{_name(0)}/infer", port


def _name(number: int) -> str:
    return f"model-{number:02}"


def _once(
    pid: int, url: str, port: int, tabs: int, options: argparse.Namespace
) -> tuple[open_loop.Answers, float]:
    """Ask for predictions for some seconds beside so many tabs; return processor time as well."""
    body, _ = bench_models.workloads()["tabular-json-1"].body()
    over = threading.Event()
    looking = [threading.Thread(target=_tab, args=(port, number, over)) for number in range(tabs)]
    for one in looking:
        one.start()
    open_loop.run(url, body, b"outputs", options.rate, 1.0)
    before = cpu_seconds(pid)
    answers = open_loop.run(url, body, b"outputs", options.rate, options.seconds)
    used = cpu_seconds(pid) - before
    over.set()
    for one in looking:
        one.join()
    return answers, used


def _tab(port: int, number: int, over: threading.Event) -> None:
    """Ask for the part of a page that changes until it is over, as a browser would."""
    path = PAGES[number % len(PAGES)].format(_name(0))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    over.wait(ASK_SECONDS * number / TABS)
    while not over.wait(ASK_SECONDS):
        connection.request("GET", path, headers={"HX-Request": "true"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status}")


def _page(port: int, path: str) -> PageSeen:
    """Ask for a whole page again and again."""
    times: list[float] = []
    size = 0
    path = path.format(_name(0))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(ASKED + 1):
        started = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        size = len(answer.read())
        if number:  # The first one also imports Jinja2, and compiles the template.
            times.append(1e3 * (time.perf_counter() - started))
    return PageSeen(path, size, statistics.median(times), max(times))


def _median(tabs: int, runs: list[tuple[open_loop.Answers, float]]) -> Seen:
    def middle(values: Any) -> float:
        return float(statistics.median(values))

    return Seen(
        tabs,
        sum(len(one.latencies) for one, _ in runs),
        sum(len(one.failures) for one, _ in runs),
        1e3 * middle(one.quantile(0.5) for one, _ in runs),
        1e3 * middle(one.quantile(0.99) for one, _ in runs),
        1e6 * middle(used / max(1, len(one.latencies)) for one, used in runs),
    )
