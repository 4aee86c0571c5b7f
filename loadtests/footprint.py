"""What the gateway takes before it does anything: time to start, memory, a scrape of /metrics."""

import contextlib
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from loadtests import bench_models, targets
from loadtests.processes import cpu_seconds, pss_bytes, tree
from loadtests.targets import Target

EXAMPLES = Path(__file__).parent.parent / "models"
MANY = 50


def measure() -> str:
    """Return a table of figures."""
    lines = ["| what | figure |", "|---|---|"]
    with tempfile.TemporaryDirectory(prefix="loadtests-") as name:
        scratch = Path(name)
        cold, warm = _starts(scratch)
        for what, (seconds, cpu) in (
            ("start to first prediction, example models, first time", cold),
            ("the same, models checked before", warm),
        ):
            lines.append(f"| {what} | {seconds:.2f} s, {cpu:.2f} s of processor time |")
        lines += _memory_and_scrape(scratch)
    return "\n".join(lines)


def _starts(scratch: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the seconds from the command to the first good answer, cold and warm.

    Each with the processor time that all processes have taken until then.
    """
    times: list[tuple[float, float]] = []
    for _ in range(4):
        started = time.perf_counter()
        with targets.tidegate(scratch, EXAMPLES, 2, "start") as target:
            url = f"http://127.0.0.1:{target.port}/v2/models/diabetes/infer"
            body = (
                b'{"inputs":[{"name":"features","datatype":"FP32","shape":[1,10],'
                b'"data":[0,0,0,0,0,0,0,0,0,0]}]}'
            )
            with urllib.request.urlopen(url, body, timeout=10) as answer:
                answer.read()
            times.append((time.perf_counter() - started, cpu_seconds(target.pid)))
    warm = [statistics.median(figure) for figure in zip(*times[1:], strict=True)]
    return times[0], (warm[0], warm[1])


def _memory_and_scrape(scratch: Path) -> list[str]:
    repository = scratch / "many"
    content = bench_models.tabular()
    sizes: dict[int, dict[str, int]] = {}
    lines = []
    for count in (0, MANY):
        for number in range(count):
            folder = repository / f"tabular-{number:03d}" / "1"
            folder.mkdir(parents=True)
            (folder / "model.onnx").write_bytes(content)
        repository.mkdir(exist_ok=True)
        control_port = targets.free_port()
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(
                targets.tidegate(
                    scratch, repository, 1, f"many-{count}", "--control-port", str(control_port)
                )
            )
            _ask_each(target, count)
            sizes[count] = memory(target.pid)
            seconds, size = scrape(control_port)
        lines.append(f"| /metrics with {count} models | {seconds * 1e3:.1f} ms, {size:,} bytes |")
    for name, empty in sizes[0].items():
        lines.append(f"| memory (PSS) of {name} without models | {empty / 2**20:.0f} MiB |")
    for name in ("control", "worker"):
        each = (sizes[MANY][name] - sizes[0][name]) / MANY / 1024
        size = len(content) // 1024
        lines.append(f"| for each model of {size} KiB, in {name} | {each:.0f} KiB |")
    return lines


def _ask_each(target: Target, count: int) -> None:
    """Send each model a request, so that all its metrics are there."""
    body, headers = bench_models.workloads()["tabular-json-1"].body()
    for number in range(count):
        url = f"http://127.0.0.1:{target.port}/v2/models/tabular-{number:03d}/infer"
        request = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
    time.sleep(1)  # Counts reach control four times a second.


_MODULES = {"server.controlplane.process": "control", "server.dataplane.process": "worker"}


def memory(pid: int) -> dict[str, int]:
    """Return the memory of supervisor, control and worker, without the one that checks models."""
    sizes = {"supervisor": pss_bytes(pid)}
    for child in tree(pid):
        for word in Path(f"/proc/{child}/cmdline").read_text().split("\0"):
            if word in _MODULES:
                sizes[_MODULES[word]] = pss_bytes(child)
    return sizes


def control_seconds(pid: int) -> float:
    """Return the processor time of control so far."""
    return sum(
        cpu_seconds(child)
        for child in tree(pid)
        if "server.controlplane.process" in Path(f"/proc/{child}/cmdline").read_text()
    )


def scrape(control_port: int, scrapes: int = 20) -> tuple[float, int]:
    """Return the median seconds of a scrape and the page's size."""
    times, size = [], 0
    for _ in range(scrapes):
        started = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{control_port}/metrics") as answer:
            size = len(answer.read())
        times.append(time.perf_counter() - started)
    return statistics.median(times), size
