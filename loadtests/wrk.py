"""Drive a target with wrk: a closed loop, as many requests as it answers.

A script has wrk send whole requests in turn, and print what it saw as JSON: its own table lacks
percentiles and rounds the others.
"""

import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests.bench_models import Workload, first_float
from loadtests.overload.offering import post
from loadtests.processes import cpu_seconds
from loadtests.targets import Target

PATIENCE_SECONDS = 30
"""How long wrk waits for an answer before it counts as an error."""

_SCRIPT = """
local requests, turn = {}, 0
function init()
  for number = 1, %(count)d do
    local file = assert(io.open("%(folder)s/" .. number .. ".http", "rb"))
    requests[number] = file:read("*a")
    file:close()
  end
  -- One request is made once, and costs no call of this script each time.
  if #requests == 1 then wrk.format = function() return requests[1] end end
end
if %(count)d > 1 then
  function request()
    turn = turn %% #requests + 1
    return requests[turn]
  end
end
function done(summary, latency)
  local errors = summary.errors
  local seen = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local line = string.format(
    '{"requests": %%d, "errors": %%d, "seconds": %%.6f, "percentiles": [%%f, %%f, %%f, %%f]}',
    summary.requests, seen, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency:percentile(99.9))
  io.write("\\nseen ", line, "\\n")
end
"""


@dataclass(frozen=True)
class Sent:
    """What the load generator saw."""

    requests: int
    errors: int
    """Answers that were not 2xx or 3xx, connections that broke, requests without an answer."""
    requests_per_second: float
    p50_seconds: float
    p90_seconds: float
    p99_seconds: float
    p999_seconds: float
    late_p99_seconds: float = 0.0
    """How late the load generator itself was; a closed loop cannot be."""


@dataclass(frozen=True)
class Run:
    """What one run showed."""

    target: str
    workload: str
    connections: int
    requests: int
    errors: int
    requests_per_second: float
    p50_seconds: float
    p99_seconds: float
    cpu_seconds_per_request: float

    @property
    def is_valid(self) -> bool:
        """Whether every answer was good; other runs count for nothing."""
        return self.errors == 0 and self.requests > 0


def check_answer(target: Target, workload: Workload, expected: float) -> None:
    """Make sure that a target gives the right numbers before it is measured."""
    body, headers = workload.body()
    request = urllib.request.Request(target.url(workload), body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        got = first_float(answer.read(), answer.headers.get("Inference-Header-Content-Length"))
    if not np.isclose(got, expected, rtol=1e-3, atol=1e-6):
        raise SystemExit(f"{target.name} answers {got}, not {expected}: nothing to measure")


def run(
    target: Target,
    workload: Workload,
    connections: int,
    seconds: int,
    scratch: Path,
    paths: Sequence[str] = (),
) -> Run:
    """Send a workload for some seconds over some connections.

    To `paths` in turn, if there are any, and not to the workload's own model.
    """
    body, headers = workload.body()
    lines = [f"{name}: {value}" for name, value in headers.items()]
    there = paths or [f"/v2/models/{workload.model}/infer"]
    before = cpu_seconds(target.pid)
    requests = [post(path, body, *lines) for path in there]
    sent = closed(target.port, requests, connections, seconds, scratch)
    spent = cpu_seconds(target.pid) - before
    return Run(
        target.name,
        workload.name,
        connections,
        sent.requests,
        sent.errors,
        sent.requests_per_second,
        sent.p50_seconds,
        sent.p99_seconds,
        spent / max(sent.requests, 1),
    )


def closed(
    port: int, requests: Sequence[bytes], connections: int, seconds: int, scratch: Path
) -> Sent:
    """Send whole requests in turn, on each connection the next one when one is answered."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    # A folder of its own: two may run at once.
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        for number, request in enumerate(requests, start=1):
            Path(folder, f"{number}.http").write_bytes(request)
        script = Path(folder, "requests.lua")
        script.write_text(_SCRIPT % {"count": len(requests), "folder": folder})
        command = [
            program, "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={PATIENCE_SECONDS}s",
            "-s", str(script), f"http://127.0.0.1:{port}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"wrk ended with {done.returncode}: {done.stderr.strip()[:500]}")
    return read(done.stdout)


def read(text: str) -> Sent:
    """Read what the script had wrk print."""
    lines = [line for line in text.splitlines() if line.startswith("seen ")]
    if not lines:
        raise SystemExit(f"wrk printed something else than expected:\n{text[:2000]}")
    seen = json.loads(lines[-1].removeprefix("seen "))
    p50, p90, p99, p999 = (value / 1e6 for value in seen["percentiles"])
    rate = seen["requests"] / seen["seconds"]
    return Sent(seen["requests"], seen["errors"], rate, p50, p90, p99, p999)
